"""The stage `fields.evaluate_points`: a field predicted at points against the true one."""

from typing import Any, NamedTuple

from voxfield.artifacts import Metrics, PointField
from voxfield.errors import InputError
from voxfield.intervals import NORMAL_95
from voxfield.stage import Context, Resources, stage


class PointMetrics(NamedTuple):
    """What `fields.evaluate_points` makes."""

    metrics: Metrics


@stage(resources=Resources(mem_mb=1000, runtime=5), version=1)
def evaluate_points(
    field: PointField,
    truth: PointField,
    observed: PointField | None = None,
    *,
    ctx: Context = Context(),
) -> PointMetrics:
    """Relative L2 error, cosine and coverage of the 95 % interval, at observed points and between them.

    field     (n, d) vectors or (n, 1) scalars with standard deviation, of `fields.predict`
    truth     the same at the same points, in the same unit
    observed  points of the cloud where the field was measured: they are judged apart

    `unobserved` and `observed` hold each: relative_l2, cosine (mean over points, vectors only), coverage_95 (of the
    components along the axes), mean_sd (of the vector), points; the same for all points at the top. The coverage of
    one case says little about calibration: its points are not independent. Raises InputError for other points, shapes
    or units.
    """
    import numpy as np

    del ctx  # nothing here is random or slow
    if truth.unit != field.unit:
        raise InputError(f"unit is {truth.unit!r}, the field has {field.unit!r}", file=truth.file)
    if truth.vectors.shape != field.vectors.shape or truth.points.shape != field.points.shape:
        raise InputError(f"holds {truth.vectors.shape} values, the field {field.vectors.shape}", file=truth.file)
    size = float(np.ptp(field.points, axis=0).max())
    if np.abs(truth.points - field.points).max() > 1e-4 * size:
        raise InputError("its points are not those of the field; expected the same places in the same order",
                         file=truth.file)  # fmt: skip
    seen = np.zeros(len(field.points), dtype=bool) if observed is None else _seen(field, observed)
    values = _judged(field, truth, np.ones(len(seen), dtype=bool))
    if observed is not None:
        values |= {"observed": _judged(field, truth, seen), "unobserved": _judged(field, truth, ~seen)}
    return PointMetrics(Metrics({**values, "unit": field.unit}))


def _seen(field: PointField, observed: PointField) -> Any:
    """Which points (n,) are the nearest one to an observed place."""
    import numpy as np
    from scipy.spatial import cKDTree

    seen = np.zeros(len(field.points), dtype=bool)
    seen[cKDTree(field.points).query(observed.points)[1]] = True
    return seen


def _judged(field: PointField, truth: PointField, where: Any) -> dict[str, Any]:
    """The figures of some of the points; None where there are none of them."""
    import numpy as np

    got, true = field.vectors[where], truth.vectors[where]
    scale = float(np.linalg.norm(true))
    values: dict[str, Any] = {
        "relative_l2": float(np.linalg.norm(got - true)) / scale if scale > 0 else None,
        "cosine": None, "coverage_95": None, "mean_sd": None, "points": int(where.sum()),
    }  # fmt: skip
    if not len(got):
        return values
    if true.shape[1] > 1:
        length = np.linalg.norm(got, axis=1) * np.linalg.norm(true, axis=1)
        there = length > 0
        values["cosine"] = float(((got * true).sum(axis=1)[there] / length[there]).mean()) if there.any() else None
    if field.sd is not None:
        sd = field.sd[where]
        values["coverage_95"] = float((np.abs(got - true) <= NORMAL_95 * sd).mean())
        values["mean_sd"] = float(np.sqrt(np.square(sd).sum(axis=1)).mean())
    return values
