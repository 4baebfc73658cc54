"""A CFD-based 4D-flow pair with half of its truth: our reconstruction, trilinear interpolation, biharmonic smoothers.

Every figure is taken inside the high-resolution mask > .5 over the given half; a voxel for which a method tells no
velocity counts with velocity zero. Settings are chosen without the truth: noise, scale, smoothness and wall by the
evidence of the low-resolution data, the smoothers' weight by leave-out error on them; the observation operator
(corner-aligned 1-2-1) and the grid rule are those of the data's description. The data are simulated from CFD: nothing
here speaks about scanners.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, map_coordinates

from _common import Claim, finish, options
from _smoother import REFINE, Lumen, filled, smoothed
from voxfield.artifacts import Cohort, Image, LabelMap, RawFile, VectorImage
from voxfield.context import Context
from voxfield.fields import reconstruct
from voxfield.io import convert
from voxfield.records import peak_memory_mb
from voxfield.segmentation import annotate, predict, train

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
WALL_LAYER_MM = 0.7
LEVEL = 0.2
"""Probability above which a cell may be lumen: the least that the default wall levels draw."""
LEAST_FILL = 0.5


class Case(NamedTuple):
    """The pair on its grids: low resolution (i), high resolution at index 2 i, truth known for axis 0 below `half`."""

    image: Image
    velocity: VectorImage
    labels: LabelMap
    truth: Array
    inside: Mask
    fine_mask: Array


def load(folder: Path) -> Case:
    """Read both files; the fine mask is the given one where it is known, interpolated elsewhere."""
    low = convert(RawFile.load(folder / "example_data.h5"))
    high = convert(RawFile.load(folder / "example_data_HR_half.h5"))
    assert low.image is not None
    assert low.velocity is not None
    assert low.labels is not None
    assert high.velocity is not None
    assert high.labels is not None
    inside = np.asarray(high.labels.data) > 0
    fine = trilinear(np.asarray(low.labels.data, dtype=float))
    shape = np.minimum(fine.shape, inside.shape)
    window = tuple(slice(0, int(n)) for n in shape)
    fine[window] = inside[window]
    return Case(low.image, low.velocity, low.labels, high.velocity.data[..., 0, :].astype(float), inside, fine)


def velocity_of(case: Case) -> Array:
    """(x, y, z, 3) as measured."""
    return np.asarray(case.velocity.data[..., 0, :], dtype=float)


def trilinear(values: Array) -> Array:
    """A low-resolution volume at the fine points (corner aligned), twice as many along every axis."""
    points = np.meshgrid(*(np.arange(REFINE * n) / REFINE for n in values.shape), indexing="ij")
    return np.asarray(map_coordinates(values, points, order=1, mode="nearest"))


def interpolated(case: Case) -> Array:
    """Trilinear interpolation of the measured velocity."""
    measured = velocity_of(case)
    return np.stack([trilinear(measured[..., c]) for c in range(3)], axis=-1)


def given_lumen(case: Case) -> Lumen:
    """The given masks of both grids."""
    return Lumen(case.fine_mask >= 0.5, np.asarray(case.labels.data) > 0, filled(case.fine_mask))


def segmented_lumen(probability: Image) -> Lumen:
    """As our stage takes it: told a measured voxel beyond what may be lumen, fitted to voxels that are half full."""
    chance = trilinear(np.asarray(probability.data, dtype=float))
    fill = filled(chance)
    return Lumen(binary_dilation(chance > LEVEL, iterations=REFINE), fill >= LEAST_FILL, fill)


def segmented(case: Case, seed: int, steps: int) -> Image:
    """Probability of the lumen by a network that saw every sixth slice of the mask."""
    ctx = Context(seed=seed, device="cpu")
    slices = annotate(case.image, case.labels, every=6, ctx=ctx).annotation
    columns = {"subject": ["flow4d"], "split": ["train"], "annotation": ["sparse"], "unannotated": [255]}
    learnt = train(Cohort(columns), [case.image], [slices], steps=steps, patch=(24, 24, 24), batch=4, ctx=ctx)
    return predict(case.image, learnt.model, ctx=ctx).probability


def ours(case: Case, probability: Image, seed: int) -> tuple[Array, Array, dict[str, Any]]:
    """Posterior mean and standard deviation, and what the stage says of itself.

    One level: without a wall condition it moves no number, it only says where the field is told.
    """
    found = reconstruct(
        case.velocity, probability, refine=REFINE, alignment="corner", observation="corner-aligned",
        wall_levels=(LEVEL,), ctx=Context(seed=seed, device="cpu"),
    )  # fmt: skip
    divergence = float(np.abs(found.flux.divergence()).max())
    facts = {"divergence": divergence, **found.metrics.values}
    return found.mean.data[..., 0, :].astype(float), found.sd.data[..., 0, :].astype(float), facts


def row(
    name: str, seed: int, case: Case, make: Callable[[], tuple[Array, Array | None, dict[str, Any]]]
) -> dict[str, Any]:
    """Run one method and judge it inside the given half."""
    started = time.process_time()
    field, sd, facts = make()
    seconds = time.process_time() - started
    half = tuple(slice(0, n) for n in case.inside.shape)
    error, inside = field[half] - case.truth, case.inside
    depth = distance_transform_edt(inside, sampling=[0.59375] * 3)
    wall = inside & (depth <= WALL_LAYER_MM)

    def relative(where: Mask) -> float:
        return float(np.linalg.norm(error[where]) / np.linalg.norm(case.truth[where]))

    told = None if sd is None else inside & (sd[half] > 0).any(axis=-1)
    return {
        "method": name,
        "seed": seed,
        "relative L2": relative(inside),
        "wall layer": relative(wall),
        "core": relative(inside & ~wall),
        "told %": None if told is None else 100 * float(told.sum() / inside.sum()),
        "told beyond %": None if sd is None else 100 * float(((sd[half] > 0).any(-1) & ~inside).sum() / inside.sum()),
        "coverage": None if sd is None or told is None else float((np.abs(error) <= 1.96 * sd[half])[told].mean()),
        "divergence": facts.get("divergence"),
        "wall condition": facts.get("model", {}).get("condition"),
        "in - out, raw": facts.get("net_outflow_raw"),
        "CPU s": seconds,
        "peak MB": peak_memory_mb()["host"],
    }


def segmented_rows(case: Case, seed: int) -> list[dict[str, Any]]:
    """Smoother and ours with the lumen that a network found."""
    chance = segmented(case, seed, 400)
    peer = "smoother by fill, segmented lumen"
    return [
        row(peer, seed, case, lambda: (smoothed(velocity_of(case), segmented_lumen(chance), by_fill=True), None, {})),
        row("ours, segmented lumen", seed, case, lambda: ours(case, chance, seed)),
    ]


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__ or "")
    folder = chosen.data / "fields" / "flow4d_cerebro_pair"
    if not folder.is_dir():
        print(f"the data set is not at {folder}; give --data FOLDER")
        return
    case = load(folder)
    given = Image(case.fine_mask.astype("f4"), fine_affine(case))
    measured, lumen = velocity_of(case), given_lumen(case)
    rows = [
        row("trilinear", 0, case, lambda: (interpolated(case), None, {})),
        row("smoother", 0, case, lambda: (smoothed(measured, lumen), None, {})),
        row("smoother by fill", 0, case, lambda: (smoothed(measured, lumen, by_fill=True), None, {})),
    ]
    seeds = range(1 if chosen.quick else chosen.seeds)
    for seed in seeds:
        rows.append(row("ours, given mask", seed, case, lambda seed=seed: ours(case, given, seed)))
        if not chosen.quick:
            rows.extend(segmented_rows(case, seed))

    def worst(name: str, key: str = "relative L2") -> float:
        return max(float(r[key]) for r in rows if r["method"] == name)

    given, found = worst("ours, given mask"), "ours, segmented lumen"
    claims = [
        Claim("relative L2, given mask", given, 0.035, "<="),
        Claim("over the smoother", given / worst("smoother"), 1.0, "<="),
        Claim("over the smoother by fill", given / worst("smoother by fill"), 1.0, "<="),
        Claim("largest cell divergence, 1/s", worst("ours, given mask", "divergence"), 1e-9, "<="),
    ]
    if not chosen.quick:
        claims += [
            Claim("relative L2, segmented lumen", worst(found), 0.035, "<="),
            Claim("segmented, over the smoother with the given mask", worst(found) / worst("smoother"), 1.0, "<="),
        ]
    finish(chosen, claims, rows)


def fine_affine(case: Case) -> Array:
    """Affine of the fine grid, corner aligned."""
    affine = np.array(case.velocity.affine)
    affine[:3, :3] /= REFINE
    return affine


if __name__ == "__main__":
    main()
