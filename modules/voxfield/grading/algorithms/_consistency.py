"""Distance of two predictions, of the methods that ask a network to agree with itself, and ramps of weights."""

import math

from torch import Tensor


def squared_distance(first: Tensor, second: Tensor) -> Tensor:
    """(1 / k) sum_k (p_k - q_k)^2 of each row; (n,) from log-probabilities (n, k) and (n, k)."""
    return (first.exp() - second.exp()).square().mean(1)


def sigmoid_ramp(progress: float, length: float) -> float:
    """exp(-5 (1 - t)^2) with t the part of the ramp that is done, from .007 to 1 (Laine and Aila 2017).

    progress  share of the training that is done     length  share of the training that the ramp takes, 0 for none
    """
    return math.exp(-5 * (1 - min(progress / length, 1.0)) ** 2) if length > 0 else 1.0


def linear_ramp(progress: float, length: float) -> float:
    """From 0 to 1 over a share of the training; see `sigmoid_ramp`."""
    return min(progress / length, 1.0) if length > 0 else 1.0
