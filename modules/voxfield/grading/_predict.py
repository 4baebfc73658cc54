"""The stage `grading.predict`."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from annotated_types import Ge, Gt, Lt

from voxfield.artifacts import Image, Metrics, Model, Table
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voxfield.grading.grader import Grader


class Prediction(NamedTuple):
    grade: Metrics


@stage(resources=Resources(mem_mb=2000, runtime=5), version=2)
def predict(
    image: Image,
    model: Model,
    features: Table | None = None,
    *,
    coverage: Annotated[float, Gt(0), Lt(1)] | None = None,
    coverage_of: Literal["marginal", "per_grade"] | None = None,
    abstain_beyond: Annotated[int, Ge(1)] = 2,
    ctx: Context = Context(),
) -> Prediction:
    """Grade one scan: a calibrated distribution, its median, and a contiguous conformal set of grades.

    image     (x, y, z), any spacing and orientation; resampled as in training
    model     written by `grading.train`, or for another site by `grading.adapt`
    features  a table of one row, needed by a model that was trained with features
    returns   grade (the median of the distribution), grade_argmax, probabilities, set [lowest, highest], the
              stated coverage and the claim in words; abstained, and why

    The claim is coverage under exchangeable patients, of all scans or of those of each grade, with the 5 to 95 % range
    of what one draw of calibration patients realises; after `grading.adapt` it is asymptotic coverage at the other
    site, with its assumptions. It is withheld where the calibration patients are too few (`not-certifiable`, no set) or
    the scan is unlike the training scans (`unlike-training`, a set without claim).

    The grader abstains, and says so, where the set is too wide to decide anything or the scan is unlike the training
    scans: a person should look. The grade is given all the same.

    Settings
    coverage: of the set, 0..1; by default that of the training.
    coverage_of: all scans together, or of the scans of each grade; by default that of the training.
    abstain_beyond: grades; a wider set is an abstention.
    """
    from voxfield.grading.grader import Grader
    from voxfield.grading.scans import read_scan, scan_features

    device = ctx.torch_device()
    grader = Grader.from_model(model, device)
    volume, summary = read_scan(image, grader.grid)
    values = scan_features(grader.scaler, features, model, ctx)
    raw, embedding = grader.look(grader.rows(volume[None], values, [-1]), device)
    strange = _unlike(grader, summary, embedding[0], image, ctx)
    probabilities = grader.calibrated(raw)
    facts = _claim(grader, probabilities, embedding, coverage, coverage_of, ctx)
    if strange["unlike_training"]:
        facts |= {"certified": False, "claim": "no coverage is claimed: the scan is unlike the training scans"}
    facts |= strange | _abstention(facts["set"], strange, abstain_beyond)
    return Prediction(Metrics({**_distribution(probabilities), **facts, "model": _origin(model, grader)}))


def _unlike(
    grader: "Grader",
    summary: "NDArray[np.float64]",
    embedding: "NDArray[np.float64]",
    image: Image,
    ctx: Context,
) -> dict[str, Any]:
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
    return {"distance": distances, "unlike_training": any(d > 1 for d in distances.values())}


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


def _claim(
    grader: "Grader",
    probabilities: "NDArray[np.float64]",
    embedding: "NDArray[np.float64]",
    coverage: float | None,
    coverage_of: Literal["marginal", "per_grade"] | None,
    ctx: Context,
) -> dict[str, Any]:
    """The set of one scan and on what terms it is given."""
    stated, of = coverage or grader.coverage, coverage_of or grader.coverage_of
    facts = grader.conformal.account(stated, of)
    facts |= {"set": None, "claim": grader.conformal.claim(stated, of)}
    sets = grader.conformal.sets(probabilities, embedding, stated, of)
    if sets is None:
        ctx.finding("not-certifiable", "warning", facts["claim"], value=facts["calibration_patients"])
        return facts
    low, high = int(sets[0][0]), int(sets[1][0])
    return facts | {"set": [low, high], "claim": f"grades {low} to {high} {facts['claim']}"}


def _abstention(ends: list[int] | None, strange: dict[str, Any], beyond: int) -> dict[str, Any]:
    """Whether to leave the scan to a person, and why."""
    reasons = []
    if ends is not None and ends[1] - ends[0] + 1 > beyond:
        reasons.append(f"the set spans {ends[1] - ends[0] + 1} grades, more than {beyond}")
    if strange["unlike_training"]:
        far = {name: d for name, d in strange["distance"].items() if d > 1}
        told = " and ".join(f"its {name} {d:.1f} times as far as the limit" for name, d in far.items())
        reasons.append(f"the scan is unlike the training scans, {told}")
    return {"abstained": bool(reasons), "abstention": "; ".join(reasons) or None}


def _origin(model: Model, grader: "Grader") -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "sha256": None if model.origin is None else model.origin.sha256,
        "architecture": model.architecture,
        "licence": model.licence,
        "temperature": asdict(grader.temperature),
        "notes": grader.notes,
    }
