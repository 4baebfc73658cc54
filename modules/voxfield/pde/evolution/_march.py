"""Steps of time chosen to a tolerance, kept so that a run that was killed goes on bit for bit.

Every step is made twice, in one go and in two halves. The halves are kept; their error is a third of the difference,
the method being of second order. A step may err by its share of the tolerance, step / duration, so that the
errors of all steps sum to no more than the tolerance. Steps are the time between two outputs over a power of two:
outputs are hit exactly, and a solver that was set up serves many steps.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from voxfield.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from voxfield.pde._domain import Floats
    from voxfield.pde.evolution._growth import Growth
    from voxfield.workspace import Workspace

FINEST = 30  # halvings of the time between two outputs after which a tolerance is given up
SAVED_EVERY = 20  # steps
EASY = 1 / 8  # of the error allowed, below which a step of twice the length is tried: it errs four times as much


@dataclass
class March:
    """Where the march stands, besides the values.

    stage    number of outputs passed
    level    a step is the time to the next output over 2^level
    place    steps of that level since the last output
    steps    made so far, each in two halves
    refused  steps that erred too much
    error    sum of the error estimates of all steps: largest over the voxels, each
    added    what growth has added, summed over the voxels
    lowest, highest  value that any step has led to
    """

    stage: int = 0
    level: int = 0
    place: int = 0
    steps: int = 0
    refused: int = 0
    error: float = 0.0
    added: float = 0.0
    lowest: float = 0.0
    highest: float = 0.0


class Moment(NamedTuple):
    """An output: the values (n,) and the march up to it."""

    values: Floats
    march: March


def march(
    growth: Growth, initial: Floats, times: Sequence[float], tolerance: float, workspace: Workspace
) -> Iterator[Moment]:
    """Values at each of the times.

    initial    (n,) at day 0
    times      days, increasing, the first 0 or later
    tolerance  for the sum of the errors of all steps, in the unit of u
    workspace  where checkpoints are kept
    """
    values, state = _start(initial, workspace)
    for stage, time in enumerate(times):
        if stage < state.stage:
            yield _kept(workspace, stage)
            continue
        span = time - (times[stage - 1] if stage else 0.0)
        if span > 0:
            values = _to_next(growth, values, span, tolerance / times[-1], state, workspace)
        state.stage, state.place = stage + 1, 0
        state.level = _level_after(state.level, span, times[stage + 1] - time) if stage + 1 < len(times) else 0
        _save(workspace, f"output-{stage:04}", values, state)
        _save(workspace, "march", values, state)
        yield Moment(values, March(**asdict(state)))


def _to_next(
    growth: Growth, values: Floats, span: float, tolerance_per_day: float, state: March, workspace: Workspace
) -> Floats:
    """The values `span` days after the last output."""
    if state.level == 0 and state.place == 0:
        state.level = _first_level(growth, values, span, tolerance_per_day)
    while state.place < 2**state.level:
        days = span / 2**state.level
        coarse, _ = growth.step(values, days)
        middle, added_first = growth.step(values, days / 2)
        fine, added_second = growth.step(middle, days / 2)
        error = float(np.abs(fine - coarse).max()) / 3
        allowed = tolerance_per_day * days
        if error > allowed:
            state.refused += 1
            state.level, state.place = state.level + 1, state.place * 2
            _require_reachable(state, error, allowed)
            continue
        values = fine
        state.place += 1
        state.steps += 1
        state.error += error
        state.added += added_first + added_second
        state.lowest = min(state.lowest, float(fine.min()))
        state.highest = max(state.highest, float(fine.max()))
        if error < allowed * EASY and state.level and state.place % 2 == 0:
            state.level, state.place = state.level - 1, state.place // 2
        if state.steps % SAVED_EVERY == 0:
            _save(workspace, "march", values, state)
    return values


def _first_level(growth: Growth, values: Floats, span: float, tolerance_per_day: float) -> int:
    """Steps in which the values change by about the root of what they may err by."""
    change = float(np.abs(growth.rate(values)).max()) * span
    wanted = change / max(np.sqrt(tolerance_per_day * span), 1e-300)
    return int(np.clip(np.ceil(np.log2(max(wanted, 1.0))), 0, FINEST // 2))


def _level_after(level: int, span: float, following: float) -> int:
    """The level of the next output at which steps are about as long as they were."""
    if span == 0:
        return 0
    return max(0, int(np.ceil(level + np.log2(following / span) - 1e-9)))


def _require_reachable(state: March, error: float, allowed: float) -> None:
    if state.level > FINEST:
        raise InputError(
            f"a step of 2^-{FINEST} of the time between two outputs still errs by {error:.2g}, "
            f"{allowed:.2g} is allowed; use a larger tolerance"
        )


def _start(initial: Floats, workspace: Workspace) -> tuple[Floats, March]:
    found = workspace.load("march")
    if found is None:
        return initial, March(lowest=float(initial.min()), highest=float(initial.max()))
    tensors, state = found
    return tensors["values"].numpy(), March(**state)


def _kept(workspace: Workspace, stage: int) -> Moment:
    found = workspace.load(f"output-{stage:04}")
    if found is None:
        raise InputError(f"the checkpoint of output {stage} is gone from {workspace.folder}; delete the folder")
    tensors, state = found
    return Moment(tensors["values"].numpy(), March(**state))


def _save(workspace: Workspace, name: str, values: Floats, state: March) -> None:
    if workspace.folder is None:
        return
    import torch

    workspace.save(name, {"values": torch.from_numpy(values)}, asdict(state))
