"""The stage `grading.predict`."""

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Gt, Lt

from voxfield.artifacts import Image, Metrics, Model, Table
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voxfield.grading.grader import Grader


class Prediction(NamedTuple):
    grade: Metrics


@stage(resources=Resources(mem_mb=2000, runtime=5), version=1)
def predict(
    image: Image,
    model: Model,
    features: Table | None = None,
    *,
    coverage: Annotated[float, Gt(0), Lt(1)] | None = None,
    ctx: Context = Context(),
) -> Prediction:
    """Grade one scan: a calibrated distribution, its median, and a contiguous conformal set of grades.

    image     (x, y, z), any spacing and orientation; resampled as in training
    model     written by `grading.train`
    features  a table of one row, needed by a model that was trained with features
    returns   grade (the median of the distribution), grade_argmax, probabilities, set [lowest, highest], the
              stated coverage and the claim in words

    The claim is marginal coverage under exchangeable patients. It is withheld where the calibration patients
    are too few (`not-certifiable`, no set) or the scan is unlike the training scans (`unlike-training`, a set
    without claim).

    Settings
    coverage: of the set, 0..1; by default that of the training.
    """
    from voxfield.grading.grader import Grader
    from voxfield.grading.scans import read_scan, scan_features

    device = ctx.torch_device()
    grader = Grader.from_model(model, device)
    volume, summary = read_scan(image, grader.grid)
    values = scan_features(grader.scaler, features, model, ctx)
    raw, embedding = grader.look(grader.rows(volume[None], values, [-1]), device)
    strange = _unlike(grader, summary, embedding[0], image, ctx)
    stated = grader.coverage if coverage is None else coverage
    values_out = _distribution(grader.calibrated(raw))
    values_out |= _decision(grader, values_out["probabilities"], stated, strange, ctx)
    return Prediction(Metrics({**values_out, "model": _origin(model, grader)}))


def _unlike(
    grader: "Grader",
    summary: "NDArray[np.float64]",
    embedding: "NDArray[np.float64]",
    image: Image,
    ctx: Context,
) -> dict[str, float]:
    """Distances over their limits; above 1 becomes the finding `unlike-training`."""
    from voxfield.grading.inputs import SUMMARY

    distances: dict[str, float] = {}
    for name, bank, point in (
        ("scan", grader.scan_bank, summary),
        ("embedding", grader.embedding_bank, embedding),
    ):
        if bank is None:
            continue
        distances[name] = float(bank.distance(point[None])[0])
        if distances[name] > 1:
            what = f", most of all in {SUMMARY[bank.farthest(point)]}" if name == "scan" else ""
            message = f"the {name} lies {distances[name]:.1f} times the training's limit away{what}"
            ctx.finding("unlike-training", "warning", message, file=image.file, value=distances[name])
    return distances


def _distribution(probabilities: "NDArray[np.float64]") -> dict[str, Any]:
    import numpy as np

    from voxfield.grading.metrics.scores import median_grade

    p = probabilities[0]
    return {
        "grade": int(median_grade(probabilities)[0]),
        "grade_is": "median of the calibrated distribution",
        "grade_argmax": int(p.argmax()),
        "grade_expected": float(p @ np.arange(p.size)),
        "probabilities": p.tolist(),
    }


def _decision(
    grader: "Grader", probabilities: list[float], coverage: float, distances: dict[str, float], ctx: Context
) -> dict[str, Any]:
    import numpy as np

    from voxfield.grading.conformal import coverage_range

    count = len(grader.scores)
    facts: dict[str, Any] = {
        "coverage": coverage,
        "calibration_patients": count,
        "distance": distances,
        "unlike_training": any(d > 1 for d in distances.values()),
        "set": None,
        "certified": False,
    }
    sets = grader.sets(np.array([probabilities]), coverage)
    if sets is None:
        ctx.finding("not-certifiable", "warning", grader.shortfall(coverage), value=count)
        return {**facts, "claim": grader.shortfall(coverage)}
    low, high = int(sets[0][0]), int(sets[1][0])
    facts |= {"set": [low, high], "coverage_range_5_95": list(coverage_range(count, 1 - coverage))}
    if facts["unlike_training"]:
        return {**facts, "claim": "no coverage is claimed: the scan is unlike the training scans"}
    least, most = facts["coverage_range_5_95"]
    claim = (
        f"grades {low} to {high} at {100 * coverage:g} %: marginal coverage under exchangeable patients, "
        f"from {count} calibration patients; over draws of these {least:.2f} to {most:.2f} (5 to 95 %)"
    )
    return {**facts, "certified": True, "claim": claim}


def _origin(model: Model, grader: "Grader") -> dict[str, Any]:
    return {
        "sha256": None if model.origin is None else model.origin.sha256,
        "architecture": model.architecture,
        "licence": model.licence,
        "temperature": grader.temperature,
        "notes": grader.notes,
    }
