"""What was observed, as a linear map on fields: G, its transpose, and the matrix G K G^T + R of the system.

Covariances are applied by FFT on the box; without a wall everything happens on the lattice of the voxels.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy import fft

from voxfield.fields._blocks import Covariance
from voxfield.fields._prior import Complex, Prior, Real


class ObservationMap:
    """G and its transpose on fields of the box, and G K G^T + R."""

    def __init__(self, covariance: Covariance) -> None:
        self.covariance = covariance
        self.points = covariance.points
        self.observation = covariance.tables.observation
        self.prior: Prior = covariance.tables.prior

    def observe(self, centres: Real) -> Real:
        """Observations of a field at cell centres (3, *fine): (blocks, 3)."""
        if self.observation.is_identity:
            return self._read(centres, centres)
        seen = np.stack([self._inverse(self.observation.apply(fft.rfftn(c))) for c in centres])
        return self._read(seen, centres)

    def spread(self, values: Real) -> Real:
        """The transpose of `observe`: (blocks, 3) to (3, *fine)."""
        seen, direct = self._write(values)
        if self.observation.is_identity:
            return seen + direct
        back = self.observation.symbol.conj()
        return direct + np.stack([self._inverse(fft.rfftn(s) * back) for s in seen])

    def apply(self, values: Real) -> Real:
        """(G K G^T + R) values, (blocks, 3)."""
        noise: Real = np.einsum("nij,nj->ni", self.covariance.noise, values)
        return noise + (self._apply_voxels(values) if not self.points.walls else self._apply_all(values))

    def _apply_voxels(self, values: Real) -> Real:
        """Without a wall everything happens on the lattice of the voxels."""
        shape, voxels = self.prior.box.coarse, tuple(self.points.voxels.T)
        spectra = []
        for component in values.T:
            field = np.zeros(shape)
            field[voxels] = component
            spectra.append(fft.rfftn(field))
        mixed = _mix(self._voxel_spectra, spectra)
        return np.stack([fft.irfftn(m, shape)[voxels] for m in mixed], axis=1)

    def _apply_all(self, values: Real) -> Real:
        seen, direct = self._write(values)
        if self.observation.is_identity:
            mixed = _mix(self._spectra, [fft.rfftn(f) for f in seen + direct])
            field = np.stack([self._inverse(m) for m in mixed])
            return self._read(field, field)
        symbol = self.observation.symbol
        spectra = [fft.rfftn(d) + symbol.conj() * fft.rfftn(s) for s, d in zip(seen, direct, strict=True)]
        mixed = _mix(self._spectra, spectra)
        centres = np.stack([self._inverse(m) for m in mixed])
        return self._read(np.stack([self._inverse(symbol * m) for m in mixed]), centres)

    def _read(self, seen: Real, centres: Real) -> Real:
        points, refine = self.points, self.prior.box.refine
        voxels = seen[(slice(None), *(refine * points.voxels.T))].T
        if not points.walls:
            return voxels
        share = points.share
        inside = centres[(slice(None), *points.inside.T)]
        outside = centres[(slice(None), *points.outside.T)]
        return np.concatenate([((1 - share) * inside + share * outside).T, voxels])

    def _write(self, values: Real) -> tuple[Real, Real]:
        """The transpose of `_read`: fields of voxel values and of values at centres."""
        points, refine = self.points, self.prior.box.refine
        seen = np.zeros((3, *self.prior.box.shape))
        direct = np.zeros_like(seen) if points.walls else seen
        seen[(slice(None), *(refine * points.voxels.T))] = values[points.walls :].T
        if not points.walls:
            return seen, np.zeros_like(seen)
        for axis, bound in enumerate(values[: points.walls].T):
            np.add.at(direct[axis], tuple(points.inside.T), (1 - points.share) * bound)
            np.add.at(direct[axis], tuple(points.outside.T), points.share * bound)
        return seen, direct

    def _inverse(self, spectrum: Complex) -> Real:
        field: Real = fft.irfftn(spectrum, self.prior.box.shape)
        return field

    @cached_property
    def _spectra(self) -> dict[tuple[int, int], Real]:
        return {(a, b): self.prior.spectrum(a, b) for a in range(3) for b in range(a, 3)}

    @cached_property
    def _voxel_spectra(self) -> dict[tuple[int, int], Real]:
        table = self.covariance.tables.voxel.reshape(*self.prior.box.coarse, 3, 3)
        return {(a, b): fft.rfftn(table[..., a, b]).real for a in range(3) for b in range(a, 3)}


def _mix(spectra: dict[tuple[int, int], Real], fields: list[Complex]) -> list[Complex]:
    """The matrix of spectra applied to the three components."""
    rows = [[spectra[min(a, b), max(a, b)] * fields[b] for b in range(3)] for a in range(3)]
    return [x + y + z for x, y, z in rows]
