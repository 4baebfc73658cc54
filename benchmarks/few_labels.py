"""How far a few labels go: 3 to 12 annotated slices of one scan, or 1, 2 and 4 labelled trees among unlabelled ones.

Slices: three ways, given the same evenly spread slices: the sparse-annotation U-Net, trained on those slices of this
one scan and asked about the rest of it (Cicek et al., 2016; it sees the image); the neural field of
`segmentation.from_slices` (OReX; it sees no image); and the classical reference, linear interpolation of signed
distances between slices (Raya and Udupa, 1990). Cases: exact shapes, upright and turned at random, with a simulated
scan of the first; and, where the folder of public data sets is there, the aorta and the pulmonary artery of a CT and
the hepatic veins of a label map without image. Labels of that CT are a model's output: what is measured is how well
slices of them foretell the rest.

Dice is taken on the voxels that nobody annotated. No setting follows from it. Trees: see `_few_trees`.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import special_ortho_group

from _common import ROOT, Claim, finish, options, table
from _few_trees import tree_rows

sys.path.insert(0, str(Path(ROOT) / "tests"))

from segmentation.shapes import SHAPES, UNANNOTATED, Inside, centres, dice, every, grid_of, interpolated
from voxfield.artifacts import Cohort, Grid, Image, LabelMap
from voxfield.context import Context
from voxfield.segmentation import from_slices, predict, train

Mask = NDArray[np.bool_]
CONTRAST_TO_NOISE = 2.0


@dataclass(frozen=True)
class Case:
    """A mask that is to be found from a few of its slices, with its scan where there is one."""

    name: str
    kind: str
    mask: Mask
    grid: Grid
    image: Image | None = None


@dataclass(frozen=True)
class Effort:
    """How large a run is."""

    slices: tuple[int, ...]
    field_steps: int
    network_steps: int
    channels: tuple[int, ...]


FULL = Effort((3, 6, 12), 400, 300, (8, 16, 32))
QUICK = Effort((5,), 400, 20, (4, 8))


def exact_shapes(seeds: int, quick: bool) -> Iterator[Case]:
    """Shapes of known extent: upright, and as many turned ones as seeds; the upright branching tube has a scan."""
    grid = grid_of((1.25, 1.25, 1.25) if quick else (0.75, 0.75, 0.75))
    for name in ("branching tube",) if quick else SHAPES:
        mask = SHAPES[name](centres(grid))
        yield Case(name, "exact", mask, grid, simulated(mask, grid) if name == "branching tube" else None)
    for seed in range(seeds):
        for name in ("torus",) if quick else SHAPES:
            inside = turned(SHAPES[name], seed)
            yield Case(f"{name}, turned {seed}", "exact", inside(centres(grid)), grid)


def turned(inside: Inside, seed: int) -> Inside:
    """A shape turned at random around the origin."""
    turn = special_ortho_group.rvs(3, random_state=seed)
    return lambda points: inside(points @ turn)


def simulated(mask: Mask, grid: Grid) -> Image:
    """A scan of a mask: partial volume, white noise, and a slow change of brightness."""
    rng = np.random.default_rng(0)
    shade = gaussian_filter(rng.normal(size=mask.shape), 12)
    values = gaussian_filter(mask.astype(np.float32), 0.7) * CONTRAST_TO_NOISE + rng.normal(size=mask.shape)
    return Image((100 * (values + 0.5 * shade / shade.std())).astype(np.float32), grid.affine)


def real(data: Path) -> Iterator[Case]:
    """Organs of the public data sets; nothing where the folder is absent."""
    volumes = data / "volumes"
    for folder, name in (("aorta", "aorta"), ("pulmonary", "pulmonary_artery")):
        place = volumes / "totalsegmentator-ct" / folder
        if place.is_dir():
            label, image = LabelMap.load(place / f"{name}.nii.gz"), Image.load(place / "ct_cropped.nii.gz")
            yield Case(name.replace("_", " "), "real", label.data > 0, label.grid, image)
    veins = volumes / "medrad-liver" / "Patient2" / "hepaticVein.nii.gz"
    if veins.is_file():
        yield cropped("hepatic veins", LabelMap.load(veins))


def cropped(name: str, label: LabelMap, margin: int = 4) -> Case:
    """The surroundings of a label, every second voxel in the plane."""
    found = np.argwhere(label.data > 0)
    low = np.maximum(found.min(axis=0) - margin, 0)
    step = np.array([2, 2, 1])
    part = label.data[tuple(slice(a, b + margin + 1, s) for a, b, s in zip(low, found.max(axis=0), step, strict=True))]
    affine = label.affine
    affine[:3, 3] = label.grid.world(low)
    affine[:3, :3] *= step
    return Case(name, "real", part > 0, Grid(part.shape, affine))


def seen_slices(case: Case, count: int) -> Mask:
    """Voxels on `count` slices z, evenly spread over the extent of the mask as a reader would choose them."""
    shown = np.zeros(case.mask.shape, dtype=bool)
    extent = np.flatnonzero(case.mask.any(axis=(0, 1)))
    low, high = int(extent[0]), int(extent[-1]) + 1
    shown[:, :, low:high] = every(Grid((*case.mask.shape[:2], high - low), np.eye(4)), count)
    return shown


def by_distances(case: Case, seen: Mask) -> tuple[Mask, dict[str, Any]]:
    """Linear interpolation of signed distances."""
    return interpolated(case.mask, np.flatnonzero(seen[0, 0]), case.grid.spacing), {}


def by_field(case: Case, seen: Mask, effort: Effort, folds: int) -> tuple[Mask, dict[str, Any]]:
    """The neural field, and what it says of itself by leaving slices out."""
    drawn = annotation_of(case, seen)
    result = from_slices(drawn, steps=effort.field_steps, folds=folds, ctx=Context(device="cpu"))
    values = result.metrics.values["left_out"]
    return result.mask.data > 0, {"left-out Dice": values and values["dice"]["organ"]}


def by_network(case: Case, seen: Mask, effort: Effort) -> tuple[Mask, dict[str, Any]]:
    """A U-Net trained on the annotated slices of this scan alone."""
    if case.image is None:
        raise ValueError(f"{case.name} has no image")
    cohort = Cohort({"subject": ["scan"], "annotation": ["sparse"], "unannotated": [UNANNOTATED]})
    model = train(
        cohort, [case.image], [annotation_of(case, seen)], steps=effort.network_steps, channels=effort.channels,
        ctx=Context(device="cpu"),
    ).model  # fmt: skip
    return predict(case.image, model, ctx=Context(device="cpu")).mask.data > 0, {}


def annotation_of(case: Case, seen: Mask) -> LabelMap:
    """What a reader of the slices would have drawn."""
    values = np.where(seen, case.mask, UNANNOTATED).astype(np.uint8)
    return LabelMap(values, case.grid.affine, labels={1: "organ"}, unannotated=UNANNOTATED)


def compare(case: Case, count: int, effort: Effort) -> dict[str, Any]:
    """One row: every way on one case with one number of slices."""
    seen = seen_slices(case, count)
    row: dict[str, Any] = {"case": case.name, "kind": case.kind, "slices": count}
    ways: dict[str, Any] = {
        "distances": lambda: by_distances(case, seen),
        "field": lambda: by_field(case, seen, effort, folds=4 if case.kind == "real" else 0),
    }
    if case.image is not None:
        ways["U-Net"] = lambda: by_network(case, seen, effort)
    for name, way in ways.items():
        started = time.process_time()
        mask, more = way()
        row[name] = dice(mask[~seen], case.mask[~seen])
        row |= more
        row[f"{name}, CPU s"] = time.process_time() - started
    print(row, file=sys.stderr, flush=True)
    return row


def slice_rows(chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """All rows about annotated slices."""
    effort = QUICK if chosen.quick else FULL
    cases = list(exact_shapes(1 if chosen.quick else chosen.seeds, chosen.quick))
    cases += [] if chosen.quick else list(real(chosen.data))
    return [compare(case, count, effort) for case in cases for count in effort.slices]


def slice_claims(rows: list[dict[str, Any]]) -> list[Claim]:
    """What we hold ourselves to: the field at least as good as interpolated distances, and telling its error."""
    claims = []
    for kind in sorted({row["kind"] for row in rows}):
        gains = [row["field"] - row["distances"] for row in rows if row["kind"] == kind]
        claims.append(Claim(f"Dice of the field minus interpolated distances, {kind}", mean(gains), 0.0, ">="))
    told = [row["field"] - row["left-out Dice"] for row in rows if row.get("left-out Dice") is not None]
    if told:
        claims.append(Claim("Dice of the field minus what it says of itself", mean(told), 0.0, ">="))
    return claims


def tree_claim(rows: list[dict[str, Any]]) -> Claim:
    """What we hold ourselves to: a start from unlabelled scans does no harm on average."""
    gain = mean(row["Dice, pre-trained"] - row["Dice, scratch"] for row in rows)
    return Claim("Dice with pre-training minus without, mean over numbers of trees", gain, 0.0, ">=")


def main() -> None:
    chosen = options(__doc__ or "", seeds=1)
    slices, trees = slice_rows(chosen), tree_rows(chosen.quick, chosen.seeds)
    print(table(trees))
    # Ten steps of pre-training are no start: the quick run only shows that it works.
    claims = slice_claims(slices) + ([] if chosen.quick else [tree_claim(trees)])
    finish(chosen, claims, [*slices, *trees])


if __name__ == "__main__":
    main()
