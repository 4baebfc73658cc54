"""A made-up subject: a vessel that bends and forks, with a narrowing, and all that the stages would say of it.

The fields are smooth inventions of the right shape and size, for pages and pictures only; no number in here is physics.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import (
    Artifact,
    Centerline,
    Image,
    LabelMap,
    Metrics,
    Table,
    VectorImage,
)
from voxfield.records import hash_file, record_path, save_record

Floats = NDArray[np.float64]
CLAIM = "grades 1 to 2 at 90 %: marginal coverage under exchangeable patients, from 60 calibration patients"


def paths(scale: float = 1.0) -> dict[str, tuple[Floats, Floats]]:
    """Name -> points (n, 3) mm and radii (n,) mm of the trunk and its two daughters."""
    trunk = np.linspace(0, 1, 40)[:, None]
    start, bend, fork = np.array([-9.0, 4, -24]), np.array([-6.0, -4, -8]), np.array([0.0, 0, 0])
    a = (1 - trunk) ** 2 * start + 2 * trunk * (1 - trunk) * bend + trunk**2 * fork
    t = np.linspace(0, 1, 36)[:, None]
    left = fork + t * np.array([-10.0, 5, 20]) + 4 * t * (1 - t) * np.array([-3.0, 1, 2])
    right = fork + t * np.array([12.0, -3, 17]) + 4 * t * (1 - t) * np.array([2.0, 4, 3])
    narrowing = 1 - 0.48 * np.exp(-(((t[:, 0] - 0.45) / 0.13) ** 2))
    found = {
        "trunk": (a, np.full(40, 2.7)),
        "left": (left, np.linspace(2.2, 1.8, 36)),
        "right": (right, 2.0 * narrowing),
    }
    return {name: (scale * points, scale * radii) for name, (points, radii) in found.items()}


def centerline(scale: float = 1.0, *, bridge: bool = True) -> Centerline:
    """The tree; a few nodes of the left daughter are a bridge."""
    (a, ra), (b, rb), (c, rc) = paths(scale).values()
    points = np.concatenate([a, b[1:], c[1:]])
    radii = np.concatenate([ra, rb[1:], rc[1:]])
    na, nb, nc = len(a), len(b) - 1, len(c) - 1
    parents = np.concatenate(
        [np.arange(-1, na - 1), [na - 1], na + np.arange(nb - 1), [na - 1], na + nb + np.arange(nc - 1)]
    )
    kinds = np.zeros(len(points), dtype=int)
    if bridge:
        kinds[na + nb - 14 : na + nb - 9] = 7
        radii = np.where(kinds == 7, np.nan, radii)
    return Centerline(points, radii, parents, kinds)


def affine(shape: tuple[int, int, int], spacing: float) -> Floats:
    """An RAS grid with the origin of the world in its middle."""
    made = np.diag([spacing, spacing, spacing, 1.0])
    made[:3, 3] = -spacing * (np.array(shape) - 1) / 2
    return made


def _fields(shape: tuple[int, int, int], spacing: float, scale: float) -> dict[str, Any]:
    """Distance, radius, direction and way along the nearest path for every voxel."""
    from scipy.spatial import cKDTree

    world = np.indices(shape).reshape(3, -1).T * spacing + affine(shape, spacing)[:3, 3]
    points, radii, tangents, ways = [], [], [], []
    offset = 0.0
    for name, (line, radius) in paths(scale).items():
        tangent = np.gradient(line, axis=0)
        step = np.linalg.norm(tangent, axis=1)
        way = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
        offset = offset if name != "trunk" else 0.0
        points.append(line)
        radii.append(radius)
        tangents.append(tangent / step[:, None])
        ways.append(way + offset)
        offset = way[-1] if name == "trunk" else offset
    distance, nearest = cKDTree(np.concatenate(points)).query(world)
    return {
        "distance": distance.reshape(shape),
        "radius": np.concatenate(radii)[nearest].reshape(shape),
        "tangent": np.concatenate(tangents)[nearest].reshape(*shape, 3),
        "way": np.concatenate(ways)[nearest].reshape(shape),
    }


def subject(
    shape: tuple[int, int, int] = (36, 30, 52), spacing: float = 1.0, scale: float = 1.0, seed: int = 0
) -> dict[str, Artifact | list[Artifact]]:
    """Every input of `report.subject`, in memory."""
    rng = np.random.default_rng(seed)
    place = affine(shape, spacing)
    at = _fields(shape, spacing, scale)
    lumen = at["distance"] <= at["radius"]
    soft = 1 / (1 + np.exp((at["distance"] - at["radius"]) / (0.4 * spacing)))
    angiogram = 60 + 260 * soft + rng.normal(0, 18, shape) + 30 * np.sin(np.indices(shape).sum(0) / 17)
    labels = lumen.astype(np.uint8)
    speed = np.clip(1 - (at["distance"] / at["radius"]) ** 2, 0, 1) * 0.42 * (2.4 * scale / at["radius"]) ** 2
    velocity = np.where(lumen[..., None], speed[..., None] * at["tangent"], 0)
    sd = np.where(lumen, 0.012 + 0.02 * at["distance"] / at["radius"] + 0.02 * speed, 0)
    pressure = np.where(lumen, -2.4 * at["way"] - 260 * speed**2, 0)
    pressure_sd = np.where(lumen, 4 + 0.35 * at["way"], 0)
    openings = np.zeros(shape, dtype=np.uint8)
    edge = ~lumen & (at["distance"] <= at["radius"] + 1.5 * spacing)
    openings[edge] = 1
    world = np.indices(shape).reshape(3, -1).T * spacing + place[:3, 3]
    for label, (name, last) in enumerate((("trunk", 0), ("left", -1), ("right", -1)), start=2):
        end, radius = paths(scale)[name][0][last], paths(scale)[name][1][last]
        openings[~lumen & (np.linalg.norm(world - end, axis=1).reshape(shape) <= radius + 1.5 * spacing)] = label
    names = {1: "wall", 2: "inlet", 3: "outlet left", 4: "outlet right"}
    return {
        "image": Image(angiogram, place),
        "mask": LabelMap(labels, place, labels={1: "lumen", 2: "bridge"}),
        "probability": Image(soft, place),
        "centerline": centerline(scale),
        "branches": branches(),
        "bridges": Table(
            {"bridge": [1], "kind": ["joins"], "from": [1], "to": [2], "length_mm": [2.8], "probability": [0.21]}
        ),
        "stenoses": stenoses(),
        "openings": LabelMap(openings, place, labels=names),
        "velocity": VectorImage(velocity[..., None, :], place, unit="m/s"),
        "velocity_sd": VectorImage(np.repeat(sd[..., None, None], 3, axis=-1), place, unit="m/s"),
        "pressure": Image(pressure, place, unit="Pa"),
        "pressure_sd": Image(pressure_sd, place, unit="Pa"),
        "drops": drops(),
        "grade": grade(),
        "metrics": [Metrics(values) for values in results(rng).values()],
    }


def branches() -> Table:
    """A branch table of three branches; nothing is claimed of the bridged one."""
    rows = [
        (1, None, 0, 26.4, 2.71, 2.62, 2.70, 0.03, 0),
        (2, 1, 1, 24.8, 1.99, None, None, None, 1),
        (3, 1, 1, 23.1, 1.78, 1.04, 2.0, 0.48, 0),
    ]
    radii = ["radius_mean_mm", "radius_min_mm", "radius_distal_mm"]
    names = ["branch", "parent", "generation", "length_mm", *radii, "stenosis", "bridge"]
    return Table.from_rows([dict(zip(names, row, strict=True)) for row in rows])


def stenoses() -> Table:
    """A healthy vessel, a bridge, a graded throat, and a twig that looks narrower and is not graded."""
    names = ["vessel", "method", "grade", "degree_percent", "sd_percent", "at_least_percent", "x_mm", "y_mm", "z_mm"]
    rows = [
        (0, "nascet", "none", 3.0, 4.0, None, 0.0, 0.0, -10.0),
        (1, "nascet", "occlusion", None, None, None, 5.0, 0.0, 12.0),
        (2, "nascet", "mild", 48.0, 5.0, None, -6.0, 1.0, 14.0),
        (3, "nascet", "not gradable", None, None, None, 9.0, 2.0, 16.0),
    ]
    return Table.from_rows([dict(zip(names, row, strict=True)) for row in rows])


def drops() -> Table:
    """Pressure over three openings, the inlet being the reference."""
    rows = [
        (2, "inlet", 0.0, 0.0, 1),
        (3, "outlet left", -121.0, 11.0, 0),
        (4, "outlet right", -164.5, 14.2, 0),
    ]
    return Table.from_rows(
        [
            {"opening": k, "name": n, "pressure_pa": p, "sd_pa": s, "pressure_mmhg": p / 133.322,
             "sd_mmhg": s / 133.322, "reference": r, "frame": 0, "sd_samples_pa": 0.8 * s,
             "stokes_mmhg": 1.04 * p / 133.322, "stokes_sd_mmhg": 0.7 * s / 133.322, "bernoulli_mmhg": -1.9}
            for k, n, p, s, r in rows
        ]
    )  # fmt: skip


def grade() -> Metrics:
    """A grade with its set."""
    return Metrics(
        {
            "grade": 2,
            "set": [1, 2],
            "probabilities": [0.05, 0.31, 0.47, 0.14, 0.03],
            "coverage": 0.9,
            "certified": True,
            "claim": CLAIM,
        }
    )


def results(rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    """Metrics by the stage that writes them."""
    return {
        "segmentation.evaluate": {
            "dice": float(0.94 - 0.05 * rng.random()), "cl_dice": 0.97, "hd95_mm": 0.72, "assd_mm": 0.21,
            "tree_length_detected": 0.985, "components": 1,
        },
        "fields.evaluate": {
            "relative_l2": float(0.05 + 0.04 * rng.random()), "relative_l2_wall": 0.093, "coverage_95": 0.941,
            "unit": "m/s",
        },
        "pde.evaluate": {
            "openings": [{"opening": 3, "true_pa": -118.0}, {"opening": 4, "true_pa": -171.0}],
            "relative_l2": 0.036, "inside_95": 2, "judged": 2,
        },
        "phantoms.vessel": {"stenosis_max": 0.5, "grade_read": 2, "speed_max_m_per_s": 2.0, "reynolds": 120.0},
        "pde.pressure": {"reference": "inlet", "residual": 3.1e-9, "openings": {"inlet": 0.0}},
    }  # fmt: skip


FILES = {
    "image": ("angiogram.nii.gz", "phantoms.vessel"),
    "mask": ("lumen.nii.gz", "segmentation.repair"),
    "probability": ("probability.nii.gz", "segmentation.predict"),
    "centerline": ("centerline.swc", "segmentation.centerline"),
    "branches": ("branches.tsv", "segmentation.centerline"),
    "bridges": ("bridges.tsv", "segmentation.repair"),
    "stenoses": ("stenoses.tsv", "segmentation.stenosis"),
    "openings": ("openings.nii.gz", "segmentation.centerline"),
    "velocity": ("velocity.nii.gz", "fields.reconstruct"),
    "velocity_sd": ("velocity_sd.nii.gz", "fields.reconstruct"),
    "pressure": ("pressure.nii.gz", "pde.pressure"),
    "pressure_sd": ("pressure_sd.nii.gz", "pde.pressure"),
    "drops": ("drops.tsv", "pde.pressure"),
    "grade": ("grade.json", "grading.predict"),
}
METRIC_FILES = {
    "segmentation_metrics.json": "segmentation.evaluate",
    "velocity_metrics.json": "fields.evaluate",
    "pressure_metrics.json": "pde.evaluate",
    "truth.json": "phantoms.vessel",
    "pressure_summary.json": "pde.pressure",
}
SETTINGS: dict[str, dict[str, Any]] = {
    "phantoms.vessel": {"shape": [96, 96, 96], "reynolds": 120.0, "stenosis": 0.48},
    "segmentation.predict": {"overlap": 0.5},
    "fields.reconstruct": {"refine": 2, "observation": "cell", "wall": "evidence", "samples": 24},
    "pde.pressure": {"density_kg_per_m3": 1060.0, "viscosity_pa_s": 0.0035, "reference": None},
}
FINDINGS: dict[str, list[dict[str, Any]]] = {
    "segmentation.repair": [
        {"code": "bridge", "level": "warning", "message": "1 bridge of 2.8 mm: gap or occlusion"}
    ],
    "pde.pressure": [
        {"code": "no-transient-term", "level": "info", "message": "a single frame: the term rho du/dt is left out"},
        {"code": "throat-unresolved", "level": "warning", "message": "4 voxels across the throat to outlet right"},
    ],
}  # fmt: skip


def write(folder: Path, made: dict[str, Any]) -> dict[str, Any]:
    """Write a subject with records as a run would; returns input name -> path or paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[str, Any] = {}
    for name, artifact in made.items():
        if name == "metrics":
            written[name] = [
                _write(a, folder / file, stage) for a, (file, stage) in zip(artifact, METRIC_FILES.items(), strict=True)
            ]
        elif artifact is not None:
            file, stage = FILES[name]
            written[name] = _write(artifact, folder / file, stage)
    return written


def _write(artifact: Artifact, path: Path, stage: str) -> Path:
    artifact.save(path)
    sha256, size = hash_file(path)
    seconds = {"wall": 4.2, "cpu": 3.9, "body_wall": 3.6, "body_cpu": 3.5}
    record = {
        "schema": 1, "stage": stage, "version": 1, "code": "0123456789abcdef", "key": stage,
        "settings": SETTINGS.get(stage, {}), "seed": 7, "device": "cpu", "inputs": {},
        "findings": FINDINGS.get(stage, []),
        "packages": {"python": "3.11.9", "voxfield": "0.1.0", "numpy": "2.4.0"}, "threads": 1, "seconds": seconds,
        "peak_memory_mb": {"host": 412.0},
        "output": {"path": path.name, "sha256": sha256, "bytes": size, "name": "x", "kind": artifact.kind},
    }  # fmt: skip
    save_record(record_path(path), record)
    return path
