"""Spectral densities of intrinsic kernels, K = sum_j S(lambda_j) phi_j phi_j^T.

Matern: (2 nu / kappa^2 + lambda)^-nu; heat: exp(-kappa^2 lambda / 2) (Borovitskiy et al., NeurIPS 2020; RVGP, arXiv
2309.16746). Both are scaled to unit mean variance of the whole spectrum, kept modes and truncated ones: RVGP scales the
kept ones alone, as if nothing were left out. What is left out is estimated by Weyl's law, lambda_j ~ lambda_k (j /
k)^(2 / m), summed to the last mode that the nodes can hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from voxfield.fields.manifold._patches import Real

Kind = Literal["matern", "heat"]


@dataclass(frozen=True)
class Spectrum:
    """A spectrum with its settings.

    length      kappa, unit of the points
    smoothness  nu; not used by "heat"
    """

    kind: Kind
    length: float
    smoothness: float

    def log_density(self, eigenvalues: Real) -> Real:
        """log S, not scaled."""
        if self.kind == "heat":
            return -0.5 * self.length**2 * eigenvalues
        shift = 2 * self.smoothness / self.length**2
        return -self.smoothness * np.log1p(eigenvalues / shift)


@dataclass(frozen=True)
class Band:
    """The modes that are kept, and those that are not.

    eigenvalues  (k,) kept
    variance     (k,) mean variance over the domain that one mode of unit density gives to a component
    total        number of modes that the nodes can hold
    dimension    of the manifold
    """

    eigenvalues: Real
    variance: float
    total: int
    dimension: int

    def weights(self, spectrum: Spectrum) -> tuple[Real, float]:
        """S of the kept modes, and the variance left out, with the two making up a variance of 1."""
        logs = spectrum.log_density(self.eigenvalues)
        kept = np.exp(logs - logs[0])
        places, widths = self._beyond
        tail = float(np.sum(widths * np.exp(spectrum.log_density(places) - logs[0])))
        whole = self.variance * (kept.sum() + tail)
        return kept / whole, self.variance * tail / whole

    @cached_property
    def _beyond(self) -> tuple[Real, Real]:
        """Eigenvalues beyond the kept ones by Weyl's law, and how many modes each stands for."""
        count = len(self.eigenvalues)
        if self.total <= count:
            return np.empty(0), np.empty(0)
        edges = np.geomspace(count, self.total, 25)
        middle = np.sqrt(edges[1:] * edges[:-1])
        return self.eigenvalues[-1] * (middle / count) ** (2 / self.dimension), np.diff(edges)
