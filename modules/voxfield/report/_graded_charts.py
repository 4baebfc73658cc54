"""Charts of a grader: are stated probabilities true, and what do more labels bring?"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from voxfield.bootstrap import interval, patient_weights
from voxfield.report._chart import Chart, padded
from voxfield.report._graded import Graded

Floats = NDArray[np.float64]
BINS, DRAWS = 8, 300
SEVERE = 2  # the grade from which a joint counts as diseased


class Bin(NamedTuple):
    """Cases of about one stated probability: its mean, and the share that came true with its 95 % interval."""

    stated: float
    share: float
    low: float
    high: float
    cases: int


def reliability(cases: Graded) -> Markup:
    """The diagram: the likeliest grade, and having grade 2 or more."""
    likeliest = cases.probabilities.argmax(1)
    events = [
        ("likeliest grade", cases.probabilities.max(1), likeliest == cases.truth),
        ("grade 2 or more", cases.probabilities[:, SEVERE:].sum(1), cases.truth >= SEVERE),
    ]
    chart = Chart(
        (0, 1), (0, 1), "stated probability", "share that came true",
        "Reliability: stated probabilities beside the shares of cases in which they came true.", 560, 420, 58, 118,
    )  # fmt: skip
    chart.axes()
    chart.line(np.array([0.0, 1.0]), np.array([0.0, 1.0]), 0, "identity")
    ends: list[tuple[float, float]] = []
    for series, (name, stated, came) in enumerate(events):
        bins = binned(stated, came, cases.patients)
        chart.line(np.array([b.stated for b in bins]), np.array([b.share for b in bins]), series)
        for one in bins:
            chart.error_bar(one.stated, one.low, one.high, series)
            chart.point(one.stated, one.share, f"{name}: {one.share:.2f} of {one.cases} cases", series)
        ends.append((bins[-1].stated, bins[-1].share))
    chart.labels(ends, [name for name, _, _ in events])
    return chart.svg()


def binned(stated: Floats, came: NDArray[np.bool_], patients: Sequence[str]) -> list[Bin]:
    """Bins of as many cases each, in the order of the stated probability; intervals by the patient bootstrap."""
    order = np.argsort(stated, kind="stable")
    weights = patient_weights(list(patients), DRAWS, np.random.default_rng(0))
    found = []
    for rows in np.array_split(order, min(BINS, len(order))):
        drawn = weights[:, rows]
        total = drawn.sum(1)
        shares = np.divide(drawn @ came[rows], total, out=np.full_like(total, np.nan), where=total > 0)
        low, high = interval(shares)
        found.append(Bin(float(stated[rows].mean()), float(came[rows].mean()), low, high, len(rows)))
    return found


def learning_curve(points: Mapping[str, Sequence[tuple[int, float, float, float]]]) -> Markup:
    """Balanced accuracy over labels: method -> (labels, value, low, high) of every training."""
    every = [point for some in points.values() for point in some]
    heights = [y for point in every for y in point[1:]]
    chart = Chart(
        padded(0, max(point[0] for point in every)), padded(min(heights), max(heights)), "training labels",
        "balanced accuracy", "Learning curve: balanced accuracy on the test patients over the number of labels.",
        right=150,
    )  # fmt: skip
    chart.axes()
    ends = []
    for series, some in enumerate(points.values()):
        by_labels: dict[int, list[float]] = {}
        for labels, value, low, high in some:
            by_labels.setdefault(labels, []).append(value)
            chart.error_bar(labels, low, high, series)
        x = np.array(sorted(by_labels), dtype=np.float64)
        y = np.array([np.mean(by_labels[int(labels)]) for labels in x])
        chart.line(x, y, series)
        for labels, value in zip(x.tolist(), y.tolist(), strict=True):
            chart.point(labels, value, f"{labels:.0f} labels: {value:.3f}", series)
        ends.append((float(x[-1]), float(y[-1])))
    chart.labels(ends, list(points))
    return chart.svg()
