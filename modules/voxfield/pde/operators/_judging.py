"""What is held out, judged: the learned operator beside the classical discretisation with two fitted parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from voxfield.pde.operators._pairs import relative_l2

if TYPE_CHECKING:
    import torch

    from voxfield.pde.operators._learned import LearnedOperator
    from voxfield.pde.operators._pairs import Pairs
    from voxfield.pde.problem.operator import Array


def judge(operator: LearnedOperator, pairs: Pairs, device: torch.device) -> dict[str, Any]:
    """Mean relative L2 errors of both on pairs that did not train."""
    learned = relative_l2(operator.predict(pairs.inputs, pairs.axes, device), pairs.solutions)
    known = relative_l2(classical(operator, pairs), pairs.solutions)
    return {
        "points": [len(points) for points in pairs.axes], "samples": len(pairs), "learned": float(learned.mean()),
        "classical": float(known.mean()), "learned_worst": float(learned.max()),
    }  # fmt: skip


def classical(operator: LearnedOperator, pairs: Pairs) -> Array:
    """Solutions (n, *grid) of the classical discretisation on the pairs' own grid."""
    grid, source = operator.problem.grid(pairs.axes), operator.problem.source(pairs.axes)
    return np.stack([grid.solve(operator.contrast(one), source) for one in pairs.inputs])
