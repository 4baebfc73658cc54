"""Pressure at the openings from virtual work (vWERP: Marlevi et al., Scientific Reports 9, 2019).

For any divergence-free field w that vanishes on the wall, integral(b . w) = sum over openings of p_j Q_j,
where Q_j is the flux of w out of opening j and p_j the mean pressure there, weighted with w. With one field
per opening, the fluxes make a small symmetric system for the p_j. Noise and doubtful gradients beside the
wall are weighted with w, that is hardly at all.

The paper takes w from a Stokes problem. Ours costs a scalar one: w = k grad phi with div(k grad phi) = 0, phi = 1 on
one opening and 0 on the others, and k the weight of the voxels (`_confidence`), which goes with the speed of the mean
flow and so vanishes where the wall is. In a straight tube this is nearly Poiseuille flow, as in the paper. The discrete
divergence of w is zero, so the identity holds for whatever lumen the voxels make.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from voxfield.pde._confidence import face_weights
from voxfield.pde._elliptic import EllipticSolver
from voxfield.pde._openings import WALL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxfield.pde._domain import Floats, VoxelDomain
    from voxfield.pde._openings import BoundaryFaces


@dataclass(frozen=True)
class VirtualFields:
    """One field per opening, on the faces of a domain.

    labels    the m openings
    interior  (f, m)           velocity of w across the interior faces
    outward   label -> (g, m)  velocity of w out of the faces of each opening
    fluxes    (m, m)           flux of field k (column) out of opening j (row)
    """

    labels: tuple[int, ...]
    faces: Mapping[int, BoundaryFaces]
    interior: Floats
    outward: Mapping[int, Floats]
    fluxes: Floats


def virtual_fields(domain: VoxelDomain, boundary: Mapping[int, BoundaryFaces], weights: Floats) -> VirtualFields:
    """Build the fields of a domain.

    boundary  label -> faces that lead out of the domain
    weights   (n,)  how much of w a voxel may carry, above 0
    """
    labels = tuple(label for label in boundary if label > WALL)
    conductance = face_weights(domain, weights)
    matrix = domain.divergence @ sparse.diags_array(conductance) @ domain.gradient
    rhs = np.zeros((domain.size, len(labels)))
    diagonal = np.zeros(domain.size)
    links = {k: 2 * weights[boundary[k].cells] / np.array(domain.spacing)[boundary[k].axes] for k in labels}
    for column, label in enumerate(labels):
        faces = boundary[label]
        strength = links[label] / np.array(domain.spacing)[faces.axes]
        np.add.at(diagonal, faces.cells, strength)
        np.add.at(rhs[:, column], faces.cells, strength)
    system = sparse.csr_array(matrix + sparse.diags_array(diagonal))
    phi = EllipticSolver(system, domain.cells, rtol=_RTOL).solve(rhs).require(_RTOL).values
    interior = conductance[:, None] * (domain.gradient @ phi)
    outward = {
        label: links[label][:, None] * (np.eye(len(labels))[row] - phi[boundary[label].cells])
        for row, label in enumerate(labels)
    }
    fluxes = np.stack([boundary[label].areas(domain) @ outward[label] for label in labels])
    return VirtualFields(labels, {k: boundary[k] for k in labels}, interior, outward, fluxes)


def opening_pressures(
    domain: VoxelDomain, fields: VirtualFields, reference: int, face_force: Floats, cell_force: Floats
) -> Floats:
    """Mean pressure at each opening (m, k), 0 at the reference; NaN where no flux of w links the two.

    face_force  (f, k)     b across the interior faces
    cell_force  (n, 3, k)  b at the voxels
    """
    work = domain.voxel_volume * fields.interior.T @ face_force
    for label in fields.labels:
        faces = fields.faces[label]
        outward_force = faces.signs[:, None] * cell_force[faces.cells, faces.axes]
        work = work + domain.voxel_volume / 2 * fields.outward[label].T @ outward_force
    pressures = np.full((len(fields.labels), face_force.shape[1]), np.nan)
    linked = _linked(fields.fluxes, fields.labels.index(reference))
    pressures[linked] = 0.0
    others = [k for k in linked if fields.labels[k] != reference]
    if others:
        pressures[others] = np.linalg.solve(fields.fluxes[np.ix_(others, others)].T, work[others])
    return pressures


def _linked(fluxes: Floats, reference: int) -> list[int]:
    """Openings in the component of the reference."""
    graph = np.abs(fluxes) > _NO_FLUX * np.abs(fluxes).max(initial=0.0)
    _, component = sparse.csgraph.connected_components(sparse.csr_array(graph), directed=False)
    return [int(k) for k in np.flatnonzero(component == component[reference])]


_NO_FLUX = 1e-9
_RTOL = 1e-10
