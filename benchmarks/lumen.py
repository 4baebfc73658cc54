"""Velocity in pipes whose flow is known in closed form, measured with noise: ours beside classical denoising.

A curved pipe with swirl and Dean vortices, and a stenosis (see `_pipes`); noise of 10, 20 and 30 % of the highest speed
on every component, the share of lumen in every voxel given. Ours is `fields.reconstruct`, everything by its evidence.
Beside it, on the same data: Gaussian smoothing inside the lumen, at rest beyond the wall or not, its width chosen by
the *truth* (the best that any choice could do); projection on the divergence-free fluxes; thin-plate radial basis
functions with 50 neighbours whose smoothing is chosen by the truth as well. Divergence is that of a cell, times its
side, over the highest speed; flux through the wall is over what passes the openings. Seconds are CPU: until the mean
with learned settings is there, and all in, with 16 samples and the standard deviation.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import gaussian_filter

from _common import Claim, finish, options
from _pipes import SPACING_MM, Flow, curved_pipe, stenosis
from voxfield.artifacts import Image, VectorImage, face_labels
from voxfield.context import Context
from voxfield.fields import reconstruct
from voxfield.fields._faces import LumenFaces
from voxfield.records import peak_memory_mb

Array = NDArray[np.float64]
T = TypeVar("T")
AFFINE = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
FLOWS: dict[str, Callable[[int], Flow]] = {"curved pipe": curved_pipe, "stenosis": stenosis}
NOISES = (0.1, 0.2, 0.3)
QUICK, SMALL, LARGE = 1_500, 12_000, 100_000
WIDTHS = (0.6, 0.8, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0)
"""Of the Gaussian, voxels."""
SMOOTHING = (1e-2, 1e-1, 1.0, 10.0)
"""Of the radial basis functions."""
JUDGED = 2000
"""Voxels of the truth that the smoothing of the radial basis functions is chosen by."""
AIM, QUICK_AIM = 0.5, 0.75
"""Error over the best Gaussian's; with few voxels there is less to average."""


def error(found: Array, flow: Flow) -> float:
    """Relative L2 in the lumen."""
    lumen = flow.lumen
    return float(np.linalg.norm((found - flow.velocity)[lumen]) / np.linalg.norm(flow.velocity[lumen]))


def gaussian(measured: Array, flow: Flow) -> Array:
    """Smoothing of the width, and with the wall, that suit the truth best."""
    inside = np.where(flow.lumen[..., None], measured, 0.0)

    def smoothed(width: float, at_rest: bool) -> Array:
        weight = np.ones(flow.lumen.shape) if at_rest else gaussian_filter(flow.lumen.astype(float), width) + 1e-12
        return np.stack([gaussian_filter(inside[..., a], width) / weight for a in range(3)], axis=-1)

    fields = (smoothed(width, at_rest) for width in WIDTHS for at_rest in (True, False))
    return min(fields, key=lambda smooth: error(smooth, flow))


def lumen_faces(flow: Flow) -> LumenFaces:
    """Faces of the lumen, open where it leaves the field of view."""
    openings = np.where(flow.lumen, 2, 0)
    openings[1:-1, 1:-1, 1:-1] = 0
    return LumenFaces(flow.lumen, face_labels(flow.lumen, openings), (SPACING_MM,) * 3)


def faces_of(velocity: Array, faces: LumenFaces) -> tuple[Array, Array, Array]:
    """Means of the voxels to both sides of a face; beyond the lumen and the field of view, the voxel itself."""
    found = []
    for axis in range(3):
        values = np.pad(velocity[..., axis], [(1, 1) if a == axis else (0, 0) for a in range(3)])
        lumen = np.pad(faces.lumen, [(1, 1) if a == axis else (0, 0) for a in range(3)])
        count = velocity.shape[axis] + 1
        sides = [
            (np.take(values, range(s, s + count), axis), np.take(lumen, range(s, s + count), axis)) for s in (0, 1)
        ]
        total = sum(value * inside for value, inside in sides)
        found.append(total / np.maximum(sum(inside.astype(float) for _, inside in sides), 1.0))
    return found[0], found[1], found[2]


def projected(measured: Array, flow: Flow) -> Array:
    """The nearest divergence-free fluxes with nothing through the wall, back at the voxels."""
    faces = lumen_faces(flow)
    closed = faces.close_walls(faces_of(measured, faces))
    parts = [0.5 * (np.delete(f, 0, axis) + np.delete(f, -1, axis)) for axis, f in enumerate(closed)]
    return np.stack(parts, axis=-1)


def radial(measured: Array, flow: Flow) -> Array:
    """Thin-plate radial basis functions of 50 neighbours."""
    points = np.argwhere(flow.lumen).astype(float)
    values, truth = measured[flow.lumen], flow.velocity[flow.lumen]
    some = np.random.default_rng(0).permutation(len(points))[:JUDGED]

    def fitted(smoothing: float, at: Array) -> Array:
        return np.asarray(RBFInterpolator(points, values, neighbors=50, smoothing=smoothing)(at))

    best = min(SMOOTHING, key=lambda s: float(np.linalg.norm(fitted(s, points[some]) - truth[some])))
    denoised = np.zeros_like(measured)
    denoised[flow.lumen] = fitted(best, points)
    return denoised


@dataclass(frozen=True)
class Stopwatch(Context):
    """A context that notes when draws begin: the mean with learned settings is there by then."""

    begun: list[float] = field(default_factory=list)

    def progress(self, items: Iterable[T], *, total: int | None = None, desc: str = "") -> Iterator[T]:
        """Note the CPU time, and iterate."""
        self.begun.append(time.process_time())
        yield from items


def ours(measured: Array, flow: Flow, seed: int) -> tuple[Array, dict[str, Any]]:
    """Posterior mean, and what else the stage tells."""
    ctx = Stopwatch(seed=seed, device="cpu")
    started = time.process_time()
    lumen = Image(flow.fraction.astype(np.float32), AFFINE)
    found = reconstruct(VectorImage(measured, AFFINE, unit="m/s"), lumen, ctx=ctx)
    seconds = time.process_time() - started
    mean, sd = found.mean.data[..., 0, :].astype(float), found.sd.data[..., 0, :].astype(float)
    told = flow.lumen & (sd > 0).any(axis=-1)
    values = found.metrics.values
    return mean, {
        "coverage": float((np.abs(mean - flow.velocity) <= 1.96 * sd)[told].mean()),
        "divergence": values["flux_divergence"],
        "wall flux": values["through_wall"] / values["through_openings"],
        "wall": values["model"]["condition"],
        "mean CPU s": ctx.begun[0] - started,
        "CPU s": seconds,
    }


def peer_facts(denoised: Array, flow: Flow) -> dict[str, Any]:
    """Divergence and flux through the wall of a field, by the means on its faces."""
    faces = lumen_faces(flow)
    fluxes = faces_of(denoised, faces)
    speed = max(float(np.abs(f).max()) for f in fluxes)
    divergence = float(np.abs(faces.divergence(fluxes)).max()) * SPACING_MM / speed
    return {"divergence": divergence, "wall flux": faces.passing(fluxes, 1) / faces.passing(fluxes, 2)}


def rows_of(name: str, voxels: int, noise: float, seed: int) -> list[dict[str, Any]]:
    """Every method on one measurement."""
    flow = FLOWS[name](voxels)
    rng = np.random.default_rng(seed)
    measured = flow.velocity + noise * rng.standard_normal(flow.velocity.shape)
    case = {"flow": name, "voxels": int(flow.lumen.sum()), "noise": noise, "seed": seed}
    rows = [{**case, "method": "measured", "relative L2": error(measured, flow), **peer_facts(measured, flow)}]
    peers = {"Gaussian, width by truth": gaussian, "projection": projected}
    if voxels == SMALL:
        peers["thin plate, smoothing by truth"] = radial
    for method, denoise in peers.items():
        started = time.process_time()
        denoised = denoise(measured, flow)
        seconds = time.process_time() - started
        row = {**case, "method": method, "relative L2": error(denoised, flow), **peer_facts(denoised, flow)}
        rows.append({**row, "CPU s": seconds})
    mean, facts = ours(measured, flow, seed)
    rows.append({**case, "method": "ours", "relative L2": error(mean, flow), **facts})
    rows[-1]["peak MB"] = peak_memory_mb()["host"]
    return rows


def claims_of(rows: list[dict[str, Any]]) -> list[Claim]:
    """Error over the best Gaussian's, and seconds."""
    claims, own = [], [row for row in rows if row["method"] == "ours"]
    for row in own:
        same = ("flow", "voxels", "noise", "seed")
        best = next(r for r in rows if r["method"].startswith("Gaussian") and all(r[k] == row[k] for k in same))
        text = f"{row['flow']}, {row['voxels']} voxels, noise {row['noise']:.0%}, seed {row['seed']}"
        aim = QUICK_AIM if row["voxels"] < SMALL / 2 else AIM
        ratio = row["relative L2"] / best["relative L2"]
        claims.append(Claim(f"{text}: error over the best Gaussian's", ratio, aim, "<="))
    small = [row["CPU s"] for row in own if row["voxels"] < LARGE / 2]
    large = [row for row in own if row["voxels"] > LARGE / 2]
    if small:
        claims.append(Claim("12,000 voxels, all in, CPU s", max(small), 20, "<="))
    if large:
        claims.append(Claim("100,000 voxels, mean, CPU s", max(r["mean CPU s"] for r in large), 60, "<="))
        sampling = max(r["CPU s"] - r["mean CPU s"] for r in large)
        claims.append(Claim("100,000 voxels, 16 samples and standard deviation, CPU s", sampling, 300, "<="))
    claims.append(Claim("largest cell divergence", max(row["divergence"] for row in own), 1e-9, "<="))
    return claims


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__ or "")
    if chosen.quick:
        rows = rows_of("curved pipe", QUICK, 0.2, 0)
    else:
        seeds = range(chosen.seeds)
        rows = [r for name in FLOWS for noise in NOISES for seed in seeds for r in rows_of(name, SMALL, noise, seed)]
        rows += [r for name in FLOWS for r in rows_of(name, LARGE, 0.2, 0)]
    finish(chosen, claims_of(rows), rows)


if __name__ == "__main__":
    main()
