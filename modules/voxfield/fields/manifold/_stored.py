"""A fitted field as named arrays and plain data, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxfield.fields.manifold._domain import Domain
from voxfield.fields.manifold._field import MEMBERS, SOURCES, FieldGP
from voxfield.fields.manifold._kriging import Kernel
from voxfield.fields.manifold._likelihood import Intrinsic
from voxfield.fields.manifold._modes import Modes
from voxfield.fields.manifold._neighbourhoods import cells
from voxfield.fields.manifold._places import attach, node_places
from voxfield.fields.manifold._settings import Observed, Settings
from voxfield.fields.manifold._spectrum import Spectrum

Arrays = Mapping[str, NDArray[Any]]
FAMILY = "manifold-field"
DOMAIN = ("points", "frames", "edges", "weights", "mass", "frame_error")


def domain_of(arrays: Arrays) -> Domain:
    """The domain that named arrays describe."""
    return Domain(*(arrays[name] for name in DOMAIN))


def pack(field: FieldGP, domain: Arrays) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays and configuration from which `unpack` makes the same field."""
    settings = field.settings
    intrinsic = settings.intrinsic
    arrays = {f"domain.{name}": np.asarray(domain[name]) for name in DOMAIN}
    arrays |= {"observed.points": field.observed.places.points, "observed.values": field.observed.values}
    arrays |= {"modes.vectors": field.modes.vectors, "modes.eigenvalues": field.modes.eigenvalues}
    if intrinsic is not None:
        arrays["density"] = intrinsic.density
    config = {
        "scalar": field.observed.values.shape[1] == 1 and field.domain.points.shape[1] != 1,
        "seed": field.seed,
        "tilt": field.tilt,
        "local": None if settings.local is None else asdict(settings.local),
        "spectrum": None if intrinsic is None else asdict(intrinsic.spectrum),
        "share": None if intrinsic is None else intrinsic.share,
        "tail": None if intrinsic is None else intrinsic.tail,
        "noise_ratio": settings.noise_ratio,
        "variance": settings.variance,
        "log_evidence": settings.log_evidence,
    }
    return arrays, config


def unpack(arrays: Arrays, config: Mapping[str, Any]) -> FieldGP:
    """The field that `pack` took apart."""
    domain = domain_of({name: arrays[f"domain.{name}"] for name in DOMAIN})
    modes = Modes(arrays["modes.eigenvalues"], arrays["modes.vectors"])
    nodes = node_places(domain, modes, scalar=config["scalar"])
    places = attach(arrays["observed.points"], nodes, domain)
    cell = cells(domain, places.nodes, SOURCES, MEMBERS, config["seed"])
    observed = Observed(places, arrays["observed.values"], cell.sets[cell.cell[places.nodes]])
    intrinsic = None
    if config["spectrum"] is not None:
        intrinsic = Intrinsic(Spectrum(**config["spectrum"]), arrays["density"], config["share"], config["tail"])
    local = None if config["local"] is None else Kernel(**config["local"])
    numbers = (config["noise_ratio"], config["variance"], config["log_evidence"])
    return FieldGP(nodes, modes, domain, observed, cell, Settings(local, intrinsic, *numbers), config["tilt"],
                   config["seed"])  # fmt: skip


def account(field: FieldGP) -> dict[str, Any]:
    """What was chosen, as plain data in the units of points and field."""
    settings, intrinsic = field.settings, field.settings.intrinsic
    whole = {"observations": len(field.observed.places), "modes": field.modes.vectors.shape[2]}
    ambient, spectral = None, None
    if settings.local is not None:
        ambient = {**asdict(settings.local), "sd": float(np.sqrt(settings.variance)), "inflation": field.inflation}
    if intrinsic is not None:
        spectral = {**asdict(intrinsic.spectrum), "sd": float(np.sqrt(settings.variance * intrinsic.share))}
        spectral["sd_left_out"] = float(np.sqrt(settings.variance * intrinsic.tail))
    return {
        **whole,
        "ambient": ambient,
        "intrinsic": spectral,
        "noise_sd": settings.noise_sd,
        "log_evidence": settings.log_evidence,
        "frame_error_rad": float(np.sqrt(np.mean(np.square(field.frame_error)))),
        "frame_error_factor": field.tilt,
    }
