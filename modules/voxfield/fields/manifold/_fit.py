"""From observations to the posterior of a field: modes, neighbourhoods, settings by evidence."""

from __future__ import annotations

import numpy as np

from voxfield.errors import InputError
from voxfield.fields.manifold._domain import Domain
from voxfield.fields.manifold._field import MEMBERS, SOURCES, FieldGP
from voxfield.fields.manifold._frame_error import tilt_factor
from voxfield.fields.manifold._modes import Modes, modes
from voxfield.fields.manifold._neighbourhoods import cells
from voxfield.fields.manifold._patches import Real
from voxfield.fields.manifold._places import Places, attach, node_places
from voxfield.fields.manifold._settings import Observed, Parts, Wishes, choose
from voxfield.fields.manifold._spectrum import Band

FEWEST = 8


def fit(
    domain: Domain,
    points: Real,
    values: Real,
    *,
    wishes: Wishes = Wishes(),
    count: int = 100,
    seed: int = 0,
    found: Modes | None = None,
) -> FieldGP:
    """Choose settings by evidence, and condition on observations.

    points  (s, d) where, at nodes or near them
    values  (s, d) vectors, of which the tangent part is used, or (s, 1) scalars
    count   number of modes
    found   modes of the domain, where they are known
    """
    scalar = values.shape[1] == 1 and domain.points.shape[1] != 1
    nodes, basis = _nodes(domain, wishes.parts, count, scalar, found)
    places = attach(points, nodes, domain)
    if len(places) < FEWEST:
        raise InputError(f"{len(places)} observations; at least {FEWEST} are needed")
    order = np.random.default_rng(seed).permutation(len(places))
    places, values = places.take(order), values[order]
    cell = cells(domain, places.nodes, SOURCES, MEMBERS, seed)
    observed = Observed(places, places.project(values), cell.sets[cell.cell[places.nodes]])
    total = len(domain) * places.bases.shape[2]
    band = (
        None
        if wishes.parts == "ambient"
        else Band(basis.eigenvalues, 1 / places.bases.shape[2], total, domain.dimension)
    )
    extent = float(np.linalg.norm(np.ptp(domain.points, axis=0)))
    settings = choose(observed, band, wishes, extent, domain.spacing)
    tilt = tilt_factor(places, values, settings.noise_sd**2)
    return FieldGP(nodes, basis, domain, observed, cell, settings, tilt, seed)


def _nodes(domain: Domain, parts: Parts, count: int, scalar: bool, found: Modes | None) -> tuple[Places, Modes]:
    if parts == "ambient":
        width = 1 if scalar else domain.dimension
        empty = Modes(np.zeros(0), np.zeros((len(domain), width, 0)))
        return node_places(domain, empty, scalar=scalar), empty
    basis = modes(domain, count, scalar=scalar) if found is None else found
    return node_places(domain, basis, scalar=scalar), basis
