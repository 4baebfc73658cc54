"""How much more of an airway tree a topology term finds than Dice and cross entropy alone, for the same training time.

A network learns from the trees of one source of the public airway set and is tested on every tree of the other, each
in CT that `phantoms.chest_ct` simulates around it, cropped to the box of the tree and `MARGIN_MM` around. The CT shows
the airways of the label map and no others, so a false positive is one; nothing here speaks about real CT. Of the
training trees `scans` CTs are made, each with noise, contrast and walls of its own, of a test tree one. Networks work
on a grid of 1 mm, masks are judged on the grid of the labels.

Equal time: CPU seconds of a step are measured for every method in turn, median of the rounds, and each gets as many
steps as fill the same seconds. What a training really took stands in its row.

The choice looks at no test tree: the last third of the training trees along the first voxel axis is unannotated, and
judges. Every method and weight is trained once, shorter; the candidate with the most tree length at a level of its
probability whose precision is not below that of Dice and cross entropy at 1/2 (where none is, the one that loses least
precision) is trained again as long as those that are tested, beside Dice and cross entropy, and by the same rule gets
its level from that: what a level trades changes with the training. Chosen and plain are then trained anew on the whole
trees, once a seed. Since a level alone trades precision for length, both are listed at all levels, before repair;
`segmentation.repair` is told the number of trees of the reference.

`--quick` does the same with grown trees, less training and two candidates; there the gain is not judged. With `--json
FILE`, finished trainings are kept in FILE.parts, and a run that was stopped goes on from them.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import numpy as np
import yaml

from _common import ROOT, Claim, finish, options
from _parts import Clocked, finished, kept, remembered
from voxfield.artifacts import Cohort, Image, LabelMap, Model
from voxfield.context import Context
from voxfield.phantoms import airway, chest_ct
from voxfield.segmentation import evaluate, predict, repair, train

LABELS = ROOT / "pipelines" / "airway" / "medrad.yaml"
TRAINING_SOURCE = "EXACT"
MARGIN_MM = 10.0
UNANNOTATED = 255
WORKERS = 2
ROUNDS = 3
PLAIN = "Dice + CE"
SETTINGS: dict[str, Any] = {
    "channels": (8, 16, 32, 64), "spacing_mm": (1.0, 1.0, 1.0), "normalisation": "cohort", "foreground_share": 0.2,
    "elastic_share": 0.25, "vary_intensity": False,
}  # fmt: skip
"""Of every training: the grid that the time allows, and little foreground, since a CT has little of it."""
METHODS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "skeleton_recall .3": {"regularizers": {"skeleton_recall": 0.3}},
    "skeleton_recall 1": {"regularizers": {"skeleton_recall": 1.0}},
    "cldice .5": {"regularizers": {"cldice": {"weight": 0.5, "iterations": 5}}},
    "connectivity .5": {"regularizers": {"connectivity": 0.5}},
    "scope .3": {"regularizers": {"scope": 0.3}},
    "airwaynet": {"architecture": "airwaynet"},
}
LEVELS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
PLAIN_LEVEL = 0.5


@dataclass(frozen=True)
class Effort:
    """How large a run is.

    choosing_s, training_s  CPU seconds of the steps of a training that chooses a method, and of the longer ones
    scans                   simulated CTs to train on
    """

    choosing_s: float
    training_s: float
    scans: int
    methods: tuple[str, ...]
    patch: tuple[int, int, int]


FULL = Effort(200, 1200, 8, tuple(METHODS), (48, 48, 48))
QUICK = Effort(3, 4, 1, (PLAIN, "skeleton_recall 1", "scope .3"), (24, 24, 24))


@dataclass(frozen=True)
class Tree:
    """An airway as it was labelled, with what lies around it."""

    name: str
    source: str
    airway: LabelMap
    vessels: LabelMap | None
    lungs: list[LabelMap]


class Scan(NamedTuple):
    """Files of a simulated CT and of its airway."""

    name: str
    image: Path
    airway: Path


@dataclass(frozen=True)
class Job:
    """A training and the scans that it is tested on; `choosing` hides a part of the trees and is tested on that.

    level  of the probability, above which the mask lies that is repaired
    """

    method: str
    level: float
    steps: int
    seed: int
    training: tuple[Scan, ...]
    tests: tuple[Scan, ...]
    choosing: bool
    effort: Effort

    @property
    def name(self) -> str:
        """Of the file with its rows."""
        return f"{'choose' if self.choosing else 'test'}, {self.method}, {self.steps} steps, seed {self.seed}"


def labelled_trees(data: Path) -> Iterator[Tree]:
    """The trees of the public set."""
    for name, files in yaml.safe_load(LABELS.read_text())["labels"].items():
        vessels, *lungs = (LabelMap.load(data / file) for file in (files["vessels"], *files["lung"]))
        yield Tree(name, name.rstrip("0123456789"), LabelMap.load(data / files["airway"]), vessels, lungs)


def grown_trees() -> Iterator[Tree]:
    """Two small trees that stand for two sources."""
    for seed, source in enumerate((TRAINING_SOURCE, "grown")):
        grown = airway(size_mm=(80.0, 60.0, 80.0), generations=5, min_diameter_mm=2.0, ctx=Context(seed=seed))
        yield Tree(source, source, grown.airway, None, [grown.lung])


def simulated(tree: Tree, seed: int, folder: Path) -> Scan:
    """A CT around the tree, in its box; files that are there already are left."""
    scan = Scan(tree.name, folder / f"{tree.name}-{seed}-ct.nii", folder / f"{tree.name}-{seed}-airway.nii")
    if scan.airway.exists():
        return scan
    low, high = box_of(tree.airway)
    lumen = cropped(tree.airway, low, high)
    vessels = tree.vessels and cropped(tree.vessels, low, high)
    lungs = [cropped(lung, low, high) for lung in tree.lungs]
    ct = chest_ct(lumen, vessels, lungs, ctx=Context(seed=seed))
    ct.image.save(scan.image)
    lumen.save(scan.airway)
    return scan


def box_of(labels: LabelMap) -> tuple[Any, Any]:
    """First voxel of the surroundings of a label map, and the voxel after the last."""
    found = np.argwhere(labels.data > 0)
    margin = np.ceil(MARGIN_MM / labels.grid.spacing).astype(int)
    return np.maximum(found.min(axis=0) - margin, 0), np.minimum(found.max(axis=0) + margin + 1, labels.data.shape)


def cropped(labels: LabelMap, low: Any, high: Any) -> LabelMap:
    """Where a label map has foreground, in a box of voxels."""
    values = part(labels.data, low, high) > 0
    return LabelMap(values.astype(np.uint8), moved(labels, low), labels={1: "airway"})


def part(data: Any, low: Any, high: Any) -> Any:
    """The voxels of a box."""
    return np.ascontiguousarray(data[tuple(slice(a, b) for a, b in zip(low, high, strict=True))])


def moved(artifact: Image | LabelMap, low: Any) -> Any:
    """The affine of a box that begins at voxel `low`."""
    affine = artifact.affine
    affine[:3, 3] = artifact.grid.world(low)
    return affine


def hidden_from(shape: Sequence[int]) -> int:
    """First index along the first axis of what is held back from a training that chooses."""
    return 2 * shape[0] // 3


def annotated(scan: Scan, choosing: bool) -> LabelMap:
    """The airway that a training sees."""
    mask = LabelMap.load(scan.airway)
    if not choosing:
        return mask
    values = mask.data.copy()
    values[hidden_from(values.shape) :] = UNANNOTATED
    return LabelMap(values, mask.affine, labels=mask.labels, unannotated=UNANNOTATED)


def tested(scan: Scan, choosing: bool) -> tuple[Image, LabelMap]:
    """The CT and the airway that a training is tested on."""
    image, mask = Image.load(scan.image), LabelMap.load(scan.airway)
    low = np.array([hidden_from(mask.data.shape) if choosing else 0, 0, 0])
    high = mask.data.shape
    return Image(part(image.data, low, high), moved(image, low)), cropped(mask, low, high)


def trained(job: Job) -> tuple[Model, list[float]]:
    """The network of a job, and the CPU seconds of its steps."""
    clock = Clocked(seed=job.seed, device="cpu", stage="train")
    kind = "sparse" if job.choosing else "dense"
    cohort = Cohort({
        "subject": [scan.image.stem for scan in job.training], "patient": [scan.name for scan in job.training],
        "annotation": [kind] * len(job.training), "unannotated": [UNANNOTATED] * len(job.training),
    })  # fmt: skip
    model = train(
        cohort, [Image.load(scan.image) for scan in job.training], [annotated(s, job.choosing) for s in job.training],
        steps=job.steps, patch=job.effort.patch, ctx=clock, **METHODS[job.method], **SETTINGS,
    ).model  # fmt: skip
    return model, np.diff(clock.ticks).tolist()


def costs(methods: Sequence[str], training: tuple[Scan, ...], effort: Effort) -> dict[str, float]:
    """CPU seconds of a step of each method, median of the rounds; within a round they take turns."""
    found: dict[str, list[float]] = {method: [] for method in methods}
    for seed in range(ROUNDS):
        for method in methods:
            _, seconds = trained(Job(method, PLAIN_LEVEL, 8, seed, training[:1], (), True, effort))
            found[method].append(mean(seconds[2:]))
    return {method: median(seconds) for method, seconds in found.items()}


def work(job: Job) -> list[dict[str, Any]]:
    """Train and test; the rows."""
    model, seconds = trained(job)
    about = {"method": job.method, "seed": job.seed, "steps": job.steps, "CPU s": sum(seconds)}
    rows = []
    for scan in job.tests:
        image, reference = tested(scan, job.choosing)
        probability = predict(image, model, overlap=0.25, ctx=Context(device="cpu")).probability
        for level in LEVELS:
            row = {"case": scan.name, **about, "level": level, "mask": "predicted"}
            rows.append(row | measured(above(probability, level), reference))
        if not job.choosing:
            row = {"case": scan.name, **about, "level": job.level, "mask": "repaired"}
            trees = rows[-1]["reference trees"]
            mended = repair(probability, above(probability, job.level), trees=trees).repaired
            rows.append(row | measured(mended, reference))
    print(job.name, *rows, sep="\n", file=sys.stderr, flush=True)
    return rows


def above(probability: Image, level: float) -> LabelMap:
    """The mask where a probability exceeds a level."""
    return LabelMap((probability.data > level).astype(np.uint8), probability.affine, labels={1: "airway"})


def measured(mask: LabelMap, reference: LabelMap) -> dict[str, Any]:
    """What a row says of a mask."""
    values = evaluate(mask, reference).metrics.values
    return {
        "Dice": values["dice"],
        "precision": values["precision"],
        "tree length": values["tree_length_detected"],
        "of mm": values["tree_length_reference_mm"],
        "branches": values["branches_detected"],
        "trees": values["betti_prediction"]["components"],
        "reference trees": values["betti_reference"]["components"],
        "cavities": values["betti_prediction"]["cavities"],
    }


def done(jobs: Sequence[Job], folder: Path) -> list[dict[str, Any]]:
    """Rows of all jobs; those that are in the folder are not done again."""
    return [row for rows in finished({job.name: job for job in jobs}, work, folder, WORKERS).values() for row in rows]


Point = tuple[str, float]
"""A method, and a level of its probability."""
PLAIN_POINT: Point = (PLAIN, PLAIN_LEVEL)


def choose(rows: Sequence[dict[str, Any]]) -> Point:
    """The candidate and level that the rule of this script picks from rows on held-back parts."""
    length, precision = (average(rows, column) for column in ("tree length", "precision"))
    candidates = [point for point in length if point[0] != PLAIN]
    precise = [point for point in candidates if precision[point] >= precision[PLAIN_POINT]]
    return max(precise, key=length.__getitem__) if precise else max(candidates, key=precision.__getitem__)


def average(rows: Sequence[dict[str, Any]], column: str) -> dict[Point, float]:
    """Mean of a column by method and level."""
    found: dict[Point, list[float]] = {}
    for row in rows:
        found.setdefault((row["method"], row["level"]), []).append(row[column])
    return {point: mean(values) for point, values in found.items()}


def curves(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means of what a level trades, by method and level."""
    columns = ("Dice", "precision", "tree length", "branches")
    found = {column: average(rows, column) for column in columns}
    return [{"method": point[0], "level": point[1]} | {c: found[c][point] for c in columns} for point in found["Dice"]]


def compare(chosen: argparse.Namespace, folder: Path) -> None:
    """The whole comparison; what is finished stands in the folder."""
    effort = QUICK if chosen.quick else FULL
    trees = list(grown_trees() if chosen.quick else labelled_trees(chosen.data))
    ours = [tree for tree in trees if tree.source == TRAINING_SOURCE]
    training = [simulated(ours[n % len(ours)], n, folder) for n in range(effort.scans)]
    tests = [simulated(tree, 100 + n, folder) for n, tree in enumerate(t for t in trees if t not in ours)]
    job = partial(Job, training=tuple(training), effort=effort)
    cost = remembered(folder / "costs.json", partial(costs, effort.methods, tuple(training), effort))
    held_back = tuple(training[: 2 * len(ours)])

    def held_back_rows(methods: Sequence[str], seconds: float) -> list[dict[str, Any]]:
        jobs = [job(m, PLAIN_LEVEL, round(seconds / cost[m]), 0, tests=held_back, choosing=True) for m in methods]
        return done(jobs, folder)

    choices = held_back_rows(effort.methods, effort.choosing_s)
    longer = held_back_rows((PLAIN, choose(choices)[0]), effort.training_s)
    best = choose(longer)
    print(f"chosen on held-back parts of the training trees: {best[0]} at {best[1]:g}", flush=True)
    rows = done(
        [job(m, level, round(effort.training_s / cost[m]), seed, tests=tuple(tests), choosing=False)
         for seed in range(1 if chosen.quick else chosen.seeds) for m, level in (PLAIN_POINT, best)], folder,
    )  # fmt: skip
    steps = [{"method": method, "CPU s of a step": seconds} for method, seconds in cost.items()]
    own = dict((PLAIN_POINT, best))
    shown = [row for row in rows if row["level"] == own[row["method"]]]
    finish(
        chosen, claims(shown, best, chosen.quick), steps, curves(choices), curves(longer),
        curves([row for row in rows if row["mask"] == "predicted"]), shown,
    )  # fmt: skip


def claims(rows: Sequence[dict[str, Any]], best: Point, quick: bool) -> list[Claim]:
    """What we hold ourselves to; means over cases and seeds, but trees and cavities in every case."""
    predicted = [row for row in rows if row["mask"] == "predicted"]
    repaired = [row for row in rows if row["mask"] == "repaired"]
    length, precision, seconds = (average(predicted, column) for column in ("tree length", "precision", "CPU s"))
    wrong = sum(row["trees"] != row["reference trees"] for row in repaired)
    gain = [
        Claim("points of tree length gained", 100 * (length[best] - length[PLAIN_POINT]), 5, ">="),
        Claim("points of precision gained", 100 * (precision[best] - precision[PLAIN_POINT]), -1, ">="),
        Claim(
            "CPU seconds of the chosen training over the plain one", seconds[best] / seconds[PLAIN_POINT], 1.05, "<="
        ),
    ]
    whole = [
        Claim("cases with another number of trees after repair", wrong, 0, "<="),
        Claim("cavities after repair, all cases", sum(row["cavities"] for row in repaired), 0, "<="),
    ]
    return whole if quick else gain + whole


def main() -> None:
    chosen = options(__doc__ or "", seeds=2)
    trees = chosen.data / "volumes" / "medrad-lungs"
    if not chosen.quick and not trees.is_dir():
        print(f"the data set is not at {trees}; give --data FOLDER")
        return
    with kept(chosen.json) as folder:
        compare(chosen, folder)


if __name__ == "__main__":
    main()
