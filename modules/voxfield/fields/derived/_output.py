"""Tables, images, metrics and findings of `fields.derive`; means and standard deviations over samples."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import FaceFlux, PointField, Polyline, Table, VectorImage
from voxfield.fields.derived._gradient import gradient_at
from voxfield.fields.derived._planes import Plane, Slab, area, conserved_flow, flow, slab_of
from voxfield.fields.derived._samples import SPEED_UNITS, Velocities, spread
from voxfield.fields.derived._streamlines import Streamlines
from voxfield.fields.derived._wall import Shear, Wall
from voxfield.stage import Context

Floats = NDArray[np.float64]
Row = dict[str, Any]

MILLI = 1e3
CUBIC_METRES = 1e-9
FEWEST_ACROSS = 5
VARIES = 0.1
"""Share by which the flow may differ along a branch before it is told, if that is beyond three standard deviations."""
FLOW_COLUMNS = (
    "plane", "along_mm", "frame", "x_mm", "y_mm", "z_mm", "nx", "ny", "nz", "area_mm2", "area_sd_mm2", "flow_ml_per_s",
    "flow_sd_ml_per_s", "flow_of_fluxes_ml_per_s", "peak_speed_m_per_s", "peak_speed_sd_m_per_s", "voxels_across",
)  # fmt: skip


def flow_rows(
    planes: Sequence[Plane], velocities: Velocities, flux: FaceFlux | None, owner: NDArray[np.int64] | None
) -> tuple[list[Row], dict[str, Floats], list[Plane]]:
    """Rows of the table; flow (sections, s, t) by name of the branch; planes that miss the lumen.

    owner  (n,) the branch that each voxel belongs to; None without a centerline
    """
    rows: list[Row] = []
    flows: dict[str, list[Floats]] = {}
    missed = []
    for plane in planes:
        slab = slab_of(plane, velocities, owner)
        if slab is None:
            missed.append(plane)
            continue
        through = flow(slab, plane, velocities)
        flows.setdefault(plane.name, []).append(through)
        rows += _plane_rows(plane, slab, through, velocities, flux)
    return rows, {name: np.stack(parts) for name, parts in flows.items()}, missed


def _plane_rows(plane: Plane, slab: Slab, through: Floats, velocities: Velocities, flux: FaceFlux | None) -> list[Row]:
    section, passed = spread(area(slab, velocities)), spread(through)
    speed = np.linalg.norm(velocities.values[:, :, slab.members], axis=-1)
    peak = spread(np.where(velocities.inside[:, None, slab.members], speed, 0).max(axis=-1).astype(np.float64))
    conserved = None
    if flux is not None:
        conserved = conserved_flow(slab, plane, velocities, flux, SPEED_UNITS[flux.unit or ""])
    voxel = float(np.cbrt(velocities.grid.voxel_volume_mm3))
    x, y, z = plane.centre.tolist()
    nx, ny, nz = plane.normal.tolist()
    common = {
        "plane": plane.name, "along_mm": plane.along_mm, "x_mm": x, "y_mm": y, "z_mm": z, "nx": nx, "ny": ny, "nz": nz,
        "area_mm2": float(section.mean), "area_sd_mm2": float(section.sd), "flow_of_fluxes_ml_per_s": conserved,
        "voxels_across": 2 * float(np.sqrt(section.mean / np.pi)) / voxel,
    }  # fmt: skip
    return [
        {
            **common, "frame": frame, "flow_ml_per_s": float(passed.mean[frame]),
            "flow_sd_ml_per_s": float(passed.sd[frame]), "peak_speed_m_per_s": float(peak.mean[frame]),
            "peak_speed_sd_m_per_s": float(peak.sd[frame]),
        }
        for frame in range(through.shape[1])
    ]  # fmt: skip


def branch_summary(flows: dict[str, Floats]) -> list[Row]:
    """Flow of each branch or plane, mean over its sections and the frames, and how it varies along the branch."""
    rows = []
    for name, values in flows.items():
        by_sample, by_section = spread(values.mean(axis=(0, 2))), values.mean(axis=(1, 2))
        section_sd = spread(values.mean(axis=2).T).sd
        rows.append({
            "name": name, "sections": len(values), "flow_ml_per_s": float(by_sample.mean),
            "flow_sd_ml_per_s": float(by_sample.sd), "least_ml_per_s": float(by_section.min()),
            "most_ml_per_s": float(by_section.max()), "section_sd_ml_per_s": float(section_sd.mean()),
        })  # fmt: skip
    return rows


def energy_rows(velocities: Velocities, density: float) -> list[Row]:
    """Kinetic energy of the fluid in the lumen by frame, mJ."""
    volume = velocities.grid.voxel_volume_mm3
    square = np.square(velocities.values.astype(np.float64)).sum(axis=-1)
    energy = spread(0.5 * density * volume * CUBIC_METRES * MILLI * np.einsum("stn,sn->st", square, velocities.inside))
    filled = spread(volume * velocities.inside.sum(axis=1).astype(np.float64))
    return [
        {
            "frame": frame, "kinetic_energy_mj": float(mean), "kinetic_energy_sd_mj": float(sd),
            "volume_mm3": float(filled.mean), "volume_sd_mm3": float(filled.sd),
        }
        for frame, (mean, sd) in enumerate(zip(energy.mean, energy.sd, strict=True))
    ]  # fmt: skip


def vorticity(velocities: Velocities, shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation (x, y, z, t, 3) on the whole grid, 1/s, where at least half of the samples flow."""
    frames, count = velocities.values.shape[1:3]
    total, square = np.zeros((frames, count, 3)), np.zeros((frames, count, 3))
    for members, held in velocities.lumens():
        voxels = velocities.voxels[held]
        gradient = gradient_at(voxels.astype(np.float64), voxels, velocities.grid.affine)
        for sample in members:
            g = gradient(velocities.values[sample][:, held])
            curl = np.stack([g[..., a, b] - g[..., b, a] for a, b in ((1, 2), (2, 0), (0, 1))], axis=-1)
            total[:, held] += curl
            square[:, held] += np.square(curl)
    held_by = np.maximum(velocities.inside.sum(axis=0), 1)[:, None]
    mean = total / held_by
    variance = np.maximum(square - held_by * np.square(mean), 0) / np.maximum(held_by - 1, 1)
    known = velocities.most[:, None]
    fields = (np.where(known, part, 0.0).swapaxes(0, 1) for part in (mean, np.sqrt(variance)))
    first, second = (velocities.embed(part, shape) for part in fields)
    return first, second


def wall_artifacts(wall: Wall, shear: Shear, velocities: Velocities) -> tuple[PointField, Table, Row]:
    """Mean stress vector at the points known, the table of magnitudes, and what the metrics tell."""
    known = shear.known
    points = velocities.grid.world(wall.places[known])
    stress, held = shear.stress[:, :, known], shear.held[:, known]
    vector = spread(stress.mean(axis=1), np.broadcast_to(held[..., None], (len(stress), *stress.shape[2:])))
    size = np.linalg.norm(stress, axis=-1)
    average = size.mean(axis=1)
    magnitude, highest = spread(average, held), spread(size.max(axis=1), held)
    directed = np.linalg.norm(stress.mean(axis=1), axis=-1)
    oscillating = spread(0.5 * (1 - directed / np.maximum(average, 1e-30)), held)
    columns: dict[str, Any] = {f"{axis}_mm": points[:, i] for i, axis in enumerate("xyz")}
    columns |= {f"n{axis}": wall.normals[known, i] for i, axis in enumerate("xyz")}
    columns |= {
        "wall_shear_stress_pa": magnitude.mean, "wall_shear_stress_sd_pa": magnitude.sd,
        "peak_wall_shear_stress_pa": highest.mean, "peak_wall_shear_stress_sd_pa": highest.sd,
        "oscillatory_index": oscillating.mean,
    }  # fmt: skip
    walled = held.any(axis=1)
    whole = spread(np.where(held, average, 0.0)[walled].sum(axis=1) / held[walled].sum(axis=1))
    summary = {
        "points": int(known.sum()),
        "mean_pa": float(whole.mean),
        "mean_sd_pa": float(whole.sd),
        "percentile_95_pa": float(np.percentile(magnitude.mean, 95)),
    }
    table = Table({name: values.tolist() for name, values in columns.items()})
    return PointField(points, vector.mean, sd=vector.sd, unit="Pa"), table, summary


def lines_artifact(lines: Streamlines, velocities: Velocities) -> Polyline:
    """Streamlines in the world with speed, spread (-1 where most samples are gone) and number of the line."""
    counts = [len(points) for points in lines.points]
    ends = np.cumsum([0, *counts])
    chains = [np.arange(a, b) for a, b in pairwise(ends)]
    if not sum(counts):
        return Polyline(np.zeros((0, 3)), [])
    data = {
        "speed_m_per_s": np.concatenate(lines.speed),
        "spread_mm": np.nan_to_num(np.concatenate(lines.spread), nan=-1.0),
        "line": np.repeat(np.arange(len(counts)), counts),
    }
    return Polyline(velocities.grid.world(np.concatenate(lines.points)), chains, data)


def images(fields: tuple[NDArray[np.float32], NDArray[np.float32]], affine: Floats) -> tuple[VectorImage, VectorImage]:
    """Mean and standard deviation of the vorticity as images."""
    return VectorImage(fields[0], affine, unit="1/s"), VectorImage(fields[1], affine, unit="1/s")


def tell(rows: Sequence[Row], summary: Sequence[Row], missed: Sequence[Plane], ctx: Context) -> None:
    """Findings worth a reader's time."""
    if missed:
        names = ", ".join(dict.fromkeys(plane.name for plane in missed))
        ctx.finding("plane-outside", "warning", f"{len(missed)} planes lie off the lumen ({names})", value=len(missed))
    narrow = [row["voxels_across"] for row in rows if row["voxels_across"] < FEWEST_ACROSS]
    if narrow:
        text = f"{len(narrow)} sections are fewer than {FEWEST_ACROSS} voxels across, the least {min(narrow):.1f}; "
        text += "their wall shear stress is not resolved"
        ctx.finding("sections-unresolved", "warning", text, value=round(min(narrow), 2))
    for row in summary:
        away = row["most_ml_per_s"] - row["least_ml_per_s"]
        if away > max(3 * row["section_sd_ml_per_s"], VARIES * abs(row["flow_ml_per_s"])) and row["sections"] > 1:
            text = f"flow along {row['name']} runs from {row['least_ml_per_s']:.3g} to {row['most_ml_per_s']:.3g} ml/s"
            ctx.finding("flow-varies", "warning", f"{text}; mass is conserved no better than that", value=away)
