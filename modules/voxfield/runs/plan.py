"""What a cohort will cost, from what some of its scans have cost. Arithmetic only: nothing runs here.

A stage's cost on a scan is taken to grow with its voxels: in proportion for the estimate; for the range not at all (a
start, a page) or by the power 1.5 (a solver on a finer grid). One measured scan says nothing of how scans differ: the
range then goes from half of it to its double, a rule of thumb; of several it goes from the cheapest to the dearest.
Work on the whole cohort, such as a training, is counted once and as it was measured.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import fmean

from voxfield.runs.costs import Costs, Job

POWERS = (0.0, 1.0, 1.5)
THUMB = 2.0  # one measured scan: from half of it to its double
MARGIN = 1.25  # of memory and time over what is foreseen
STEP_MB = 500


@dataclass(frozen=True)
class Range:
    """An estimate between its bounds."""

    low: float
    middle: float
    high: float

    def __add__(self, other: "Range") -> "Range":
        return Range(self.low + other.low, self.middle + other.middle, self.high + other.high)

    def __mul__(self, factor: float) -> "Range":
        return Range(self.low * factor, self.middle * factor, self.high * factor)


NOTHING = Range(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class StagePlan:
    """What one stage will cost.

    once         whether it is paid once, for the whole cohort
    cpu_s        CPU seconds of all scans
    wall_s       seconds of all scans one after the other
    memory_mb    the peak that was measured, on the largest scan
    largest_s    seconds that the largest scan may take
    bytes        on disk, while computed
    kept         bytes of them that stay (`keep:`)
    files        on disk, records among them
    """

    stage: str
    once: bool
    cpu_s: Range
    wall_s: Range
    memory_mb: float
    largest_s: float
    bytes: Range
    kept: Range
    files: float


@dataclass(frozen=True)
class Sizes:
    """Voxels of the scans of a cohort over those of the scans that were measured; all alike where nothing is known."""

    ratios: Sequence[float]

    def sums(self) -> Range:
        """How many times the measured scan the whole cohort is."""
        sums = [sum(ratio**power for ratio in self.ratios) for power in POWERS]
        return Range(min(sums), sums[1], max(sums))

    @property
    def largest(self) -> float:
        """The largest scan, in measured ones."""
        return max(self.ratios)


def planned(costs: Costs, sizes: Sizes, stays: Callable[[str], bool]) -> list[StagePlan]:
    """The cost of every stage, in the order in which stages first ran.

    stays  whether a file of this name is kept
    """
    order: dict[tuple[str, bool], list[Job]] = {}
    for job in costs.jobs:
        order.setdefault((job.stage, not job.subject), []).append(job)
    return [
        _once(stage, jobs) if once else _of_scans(stage, jobs, sizes, len(costs.scans), stays)
        for (stage, once), jobs in order.items()
    ]


def frame(costs: Costs, scans: int, batch: int = 8) -> Range:
    """CPU seconds around the stages: a large cohort shares starts among the scans of a batch, a small one does not."""
    if costs.frame_cpu_s is None or not costs.scans:
        return NOTHING
    alone = costs.frame_cpu_s / len(costs.scans) * scans
    return Range(alone / batch, alone / 2, alone)


def suggestions(plans: Sequence[StagePlan], needs: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """mem_mb and runtime (minutes) of stages for which those of the profile are too small.

    needs  stage -> its resources as they stand
    """
    found: dict[str, dict[str, int]] = {}
    for plan in plans:
        memory, minutes = plan.memory_mb * MARGIN, plan.largest_s * MARGIN / 60
        if memory > needs[plan.stage]["mem_mb"]:
            found.setdefault(plan.stage, {})["mem_mb"] = STEP_MB * ceil(memory / STEP_MB)
        if minutes > needs[plan.stage]["runtime"]:
            found.setdefault(plan.stage, {})["runtime"] = ceil(minutes)
    return found


def _once(stage: str, jobs: Sequence[Job]) -> StagePlan:
    size = _exactly(sum(sum(job.sizes) for job in jobs))
    return StagePlan(
        stage,
        True,
        _exactly(sum(job.cpu_s for job in jobs)),
        _exactly(sum(job.wall_s for job in jobs)),
        max(job.memory_mb for job in jobs),
        max(job.wall_s for job in jobs),
        size,
        size,
        sum(job.files for job in jobs),
    )


def _of_scans(stage: str, jobs: Sequence[Job], sizes: Sizes, scans: int, stays: Callable[[str], bool]) -> StagePlan:
    subjects = list(dict.fromkeys(job.subject for job in jobs))
    share = len(subjects) / scans  # of the scans that this stage is for, such as those with a reference
    times = sizes.sums() * share

    def whole(cost: Callable[[Job], float]) -> Range:
        each = [sum(cost(job) for job in jobs if job.subject == subject) for subject in subjects]
        low, high = (each[0] / THUMB, each[0] * THUMB) if len(each) == 1 else (min(each), max(each))
        return Range(low * times.low, fmean(each) * times.middle, high * times.high)

    return StagePlan(
        stage,
        False,
        whole(lambda job: job.cpu_s),
        whole(lambda job: job.wall_s),
        max(job.memory_mb for job in jobs) * max(1.0, sizes.largest),
        max(job.wall_s for job in jobs) * max(1.0, sizes.largest ** POWERS[-1]),
        whole(lambda job: sum(job.sizes)),
        whole(lambda job: sum(size for name, size in zip(job.names, job.sizes, strict=True) if stays(name))),
        sum(job.files for job in jobs) / scans * len(sizes.ratios),
    )


def _exactly(value: float) -> Range:
    return Range(value, value, value)
