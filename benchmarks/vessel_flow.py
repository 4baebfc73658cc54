"""The flagship on phantoms with exact truth: every stage, seed by seed, against what one would do without it.

Each seed makes its own subjects, trains on some with every sixth slice annotated, and judges the others. Velocity is
compared with the measured samples (linear interpolation: at the same grid the measurement itself) and with a Gaussian
smoother whose width is chosen by leave-out error on the measurement, never by the truth. Grades are judged where there
are enough of them, on the geometry cohort that the grader learns from; grading.py compares them with other methods.
"""

import time
from collections.abc import Sequence
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, label

import grading
from _common import Claim, finish, options
from voxfield.artifacts import Cohort, Image, LabelMap, VectorImage
from voxfield.context import Context
from voxfield.fields import evaluate as evaluate_velocity
from voxfield.fields import reconstruct
from voxfield.pde import evaluate as evaluate_pressure
from voxfield.pde import pressure
from voxfield.phantoms import vessel
from voxfield.segmentation import centerline, evaluate, predict, repair, train

Array = NDArray[np.floating[Any]]
WIDTHS = (0.0, 0.4, 0.6, 0.8, 1.0, 1.3, 1.6)


def cohort_of(count: int) -> Cohort:
    """Subjects that are all sparsely annotated and train."""
    ids = [f"s{n}" for n in range(count)]
    return Cohort({"subject": ids, "patient": ids, "split": ["train"] * count, "annotation": ["sparse"] * count})


def gaussian_smoothed(measured: Array, lumen: NDArray[np.bool_]) -> Array:
    """Normalised Gaussian smoothing inside the lumen; the width that best predicts left-out voxels from the others."""
    keep = np.random.default_rng(0).random(lumen.shape) > 0.2
    left_out = lumen & ~keep
    errors = {w: float(np.linalg.norm((smooth(measured, lumen & keep, w) - measured)[left_out])) for w in WIDTHS[1:]}
    return smooth(measured, lumen, min(errors, key=lambda w: errors[w]))


def smooth(values: Array, weight: NDArray[np.bool_], width: float) -> Array:
    """Gaussian average of (x, y, z, 3) over the voxels of `weight`."""
    total = gaussian_filter(weight.astype(float), width) + 1e-9
    parts = [gaussian_filter(values[..., c] * weight, width) / total for c in range(3)]
    return np.stack(parts, axis=-1)


def relative(values: Array, true: Array, where: NDArray[np.bool_]) -> float:
    """Relative L2 of vectors inside a mask."""
    return float(np.linalg.norm((values - true)[where]) / np.linalg.norm(true[where]))


def judge(subject: Any, model: Any, seed: int) -> dict[str, Any]:
    """All stages on one subject that trained nothing, against its truth."""
    ctx = Context(seed=seed, device="cpu")
    started = time.process_time()
    found = predict(subject.angiogram, model, ctx=ctx)
    fixed = repair(found.probability, found.mask, ctx=ctx)
    traced = centerline(fixed.repaired, ctx=ctx)
    measure = evaluate(fixed.repaired, subject.lumen, ctx=ctx).metrics.values
    field = reconstruct(subject.velocity, found.probability, fixed.repaired, traced.openings, ctx=ctx)
    flow = evaluate_velocity(
        field.mean, field.sd, subject.velocity_true, subject.lumen, traced.openings, ctx=ctx
    ).metrics.values
    found_pressure = pressure(field.samples, traced.openings, ctx=ctx)
    drop = evaluate_pressure(found_pressure.drops, subject.pressure_true, subject.lumen, traced.openings, ctx=ctx)
    inside = (np.asarray(subject.lumen.data) > 0) & (np.asarray(traced.openings.data) < 2)  # caps lie beyond the ends
    true, measured = subject.velocity_true.data[..., 0, :], subject.velocity.data[..., 0, :]
    return {
        "dice": measure["dice"],
        "tree length %": 100 * measure["tree_length_detected"],
        "components": int(label(np.asarray(fixed.repaired.data) > 0, np.ones((3, 3, 3)))[1]),
        "radius error mm": radius_error(traced.centerline, subject.centerline),
        "velocity L2": flow["relative_l2"],
        "linear L2": relative(measured, true, inside),
        "gaussian L2": relative(gaussian_smoothed(measured, inside), true, inside),
        "coverage (one case)": flow["coverage_95"],
        "divergence": float(np.abs(field.flux.divergence()).max()),
        "drop error": drop.metrics.values["relative_l2"],
        "drops inside 95 %": f"{drop.metrics.values['inside_95']}/{drop.metrics.values['judged']}",
        "CPU s": time.process_time() - started,
    }


def share_inside(rows: Sequence[dict[str, Any]]) -> float:
    """Share of all drops whose interval holds the truth."""
    inside, judged = np.array([row["drops inside 95 %"].split("/") for row in rows], dtype=int).sum(axis=0)
    return float(inside / judged)


def radius_error(found: Any, true: Any) -> float:
    """Mean absolute difference of the radius at every found node to that at the nearest true node, mm."""
    from scipy.spatial import cKDTree

    known = np.isfinite(found.radii)
    _, nearest = cKDTree(true.points).query(found.points[known])
    return float(np.abs(found.radii[known] - true.radii[nearest]).mean())


def run_seed(seed: int, training: int, testing: int, steps: int) -> list[dict[str, Any]]:
    """Make subjects, train on some, judge the others."""
    subjects = [vessel(ctx=Context(seed=1000 * seed + n)) for n in range(training + testing)]
    learnt = subjects[:training]
    images: Sequence[Image] = [s.angiogram for s in learnt]
    masks: Sequence[LabelMap] = [s.sparse for s in learnt]
    model = train(cohort_of(training), images, masks, steps=steps, ctx=Context(seed=seed, device="cpu")).model
    rows = []
    for number, subject in enumerate(subjects[training:]):
        assert isinstance(subject.velocity, VectorImage)
        rows.append({"seed": seed, "subject": number, **judge(subject, model, seed)})
    return rows


def grade_seed(seed: int, count: int) -> dict[str, Any]:
    """Draw the geometry cohort, learn from its training rows and grade the others."""
    started = time.process_time()
    case = grading.draw_case(seed, count)
    scores = grading.judge(case, grading.network(case, seed), seed)
    return {"seed": seed, "method": "ours", **scores, "CPU s": time.process_time() - started}


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__ or "")
    training, testing, steps, count = (2, 1, 150, 240) if chosen.quick else (4, 4, 300, 600)
    rows = [row for seed in range(chosen.seeds) for row in run_seed(seed, training, testing, steps)]
    grades = [grade_seed(seed, count) for seed in range(chosen.seeds)]

    def average(name: str) -> float:
        return mean(row[name] for row in rows if row[name] is not None)

    claims = [
        Claim("Dice", average("dice"), 0.9, ">="),
        Claim("tree length detected, %", average("tree length %"), 95, ">="),
        Claim("components after repair", average("components"), 1, "<="),
        Claim("radius error, mm", average("radius error mm"), 0.2, "<="),
        Claim("velocity L2 over Gaussian smoother", average("velocity L2") / average("gaussian L2"), 1, "<="),
        Claim("velocity L2 over linear", average("velocity L2") / average("linear L2"), 1, "<="),
        Claim("largest cell divergence", max(row["divergence"] for row in rows), 1e-9, "<="),
        Claim("pressure-drop error, relative", average("drop error"), 0.2, "<="),
        Claim("drops inside their 95 % interval, share", share_inside(rows), 0.92, ">="),
        *grading.own_claims(grades, count // 10),
    ]
    finish(chosen, claims, rows, grades)


if __name__ == "__main__":
    main()
