"""Sums of operators along single axes, inverted at once: fast diagonalisation, and substitution where that is unsafe.

(A_1 x 1 x 1 + 1 x A_2 x 1 + 1 x 1 x A_3 + s) u = f is solved axis by axis (Lynch, Rice & Thomas, Numer. Math. 6,
1964): with A_k = V_k L_k V_k^-1 the system is diagonal in the products of eigenvectors. First-derivative matrices
(time, advection) have eigenvectors that are parallel up to round-off; for these A_k = Q_k T_k Q_k^H by Schur, and the
triangular systems are solved by substitution from the last row on (Bartels & Stewart, Comm. ACM 15, 1972), for any
number of axes. Complex eigenvalues of real matrices are kept complex: the caller takes the real part.

Constants that the operator maps to zero (derivatives alone, slopes alone on the boundary) are an eigenvector of every
A_k, to the eigenvalue 0. Schur vectors are ordered so that it comes first: the product of first vectors is the constant
on the whole grid, and leaving it out of solution and right side changes the latter by a constant alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft, linalg

from voxfield.pde.problem.operator import Array
from voxfield.pde.spectral._fourier import Fourier

SAFE_CONDITION = 1e5
ROUND_OFF = 4 * np.finfo(float).eps


@dataclass(frozen=True)
class Factor:
    """A matrix A = B T F along one axis: F and B = F^-1 the ways into and out of its basis.

    core      (n,) eigenvalues, or (n, n) upper triangular
    forward   (n, n), or None for the Fourier transform
    backward  (n, n), or None
    """

    core: Array
    forward: Array | None
    backward: Array | None

    def into(self, values: Array, axis: int) -> Array:
        """Coefficients in the basis."""
        return fft.fft(values, axis=axis) if self.forward is None else along(self.forward, values, axis)

    def out(self, values: Array, axis: int) -> Array:
        """Values of coefficients."""
        return fft.ifft(values, axis=axis) if self.backward is None else along(self.backward, values, axis)


def factorise(matrix: Array, *, singular: bool = False) -> Factor:
    """Eigenvectors where they are well conditioned, else Schur vectors, those of a kernel (`singular`) first."""
    eigenvalues, vectors = linalg.eig(matrix)
    if not eigenvalues.imag.any():
        eigenvalues, vectors = eigenvalues.real, vectors.real
    if np.linalg.cond(vectors) < SAFE_CONDITION:
        return Factor(eigenvalues, linalg.inv(vectors), vectors)
    triangular, unitary = linalg.schur(matrix, output="complex")
    if singular:
        smallest = np.abs(np.diagonal(triangular)).min()
        # The stubs know the two arguments of a real form alone; of a complex one there is the eigenvalue.
        triangular, unitary, _ = linalg.schur(  # type: ignore[call-overload]
            matrix, output="complex", sort=lambda value: abs(value) <= smallest
        )
    return Factor(triangular, unitary.conj().T, unitary)


def circulant(axis: Fourier, coefficients: dict[int, complex], *, singular: bool = False) -> Factor:
    """Sum of coefficient * derivative on a periodic axis, which the Fourier transform makes diagonal.

    Odd derivatives alone do not see the Nyquist mode, which then is no constant and yet in the kernel. Where constants
    are (`singular`) it gets the eigenvalue of one of its two waves: what is found of it is imaginary, and left out.
    """
    parts = [coefficient * axis.symbol(order) for order, coefficient in coefficients.items()]
    core = np.sum(parts, axis=0) if parts else np.zeros(axis.count)
    nyquist = axis.count // 2
    if singular and parts and core[nyquist] == 0:
        wave = 1j * axis.wavenumbers[nyquist]
        core[nyquist] = sum(coefficient * wave**order for order, coefficient in coefficients.items())
    return Factor(core, None, None)


def solve(factors: Sequence[Factor], shift: complex, right: Array, *, singular: bool = False) -> Array:
    """Solve (sum of A_k along axis k, plus shift) u = right.

    right     one dimension a factor
    singular  the constants are the kernel: their mode is left out of right and u
    returns   u, shaped as right
    """
    for axis, factor in enumerate(factors):
        right = factor.into(right, axis)
    cores = [factor.core for factor in factors]
    kernel = tuple(int(np.abs(_eigenvalues(core)).argmin()) for core in cores) if singular else None
    values = _substitute(cores, shift, right, kernel)
    for axis, factor in enumerate(factors):
        values = factor.out(values, axis)
    return values


def along(matrix: Array, values: Array, axis: int) -> Array:
    """Matrix (m, n) applied along one axis of length n."""
    return np.asarray(np.moveaxis(np.tensordot(matrix, values, axes=(1, axis)), 0, axis))


def _substitute(
    cores: list[Array], shift: complex | Array, right: Array, kernel: tuple[int, ...] | None = None
) -> Array:
    """Solve in the bases: triangular axes one row after the other, diagonal ones all at once, a kernel set to zero."""
    for axis, core in enumerate(cores):
        if core.ndim == 2:
            return _rows(cores, axis, shift, right, kernel)
    denominator = np.asarray(shift + _sum(cores))
    if kernel is not None:
        denominator[kernel] = np.inf
    size = np.abs(denominator[np.isfinite(denominator)])
    if len(size) and size.min() <= ROUND_OFF * size.max():
        raise np.linalg.LinAlgError("an eigenvalue is zero")
    return np.asarray(right / denominator)


def _rows(cores: list[Array], axis: int, shift: complex | Array, right: Array, kernel: tuple[int, ...] | None) -> Array:
    rest = cores[:axis] + cores[axis + 1 :]
    core = cores[axis]
    rows = np.moveaxis(right, axis, 0)
    values = np.zeros(rows.shape, dtype=complex)
    for row in range(len(core) - 1, -1, -1):
        known = np.tensordot(core[row, row + 1 :], values[row + 1 :], axes=1)
        inner = kernel[:axis] + kernel[axis + 1 :] if kernel is not None and kernel[axis] == row else None
        values[row] = _substitute(rest, shift + core[row, row], rows[row] - known, inner)
    return np.moveaxis(values, 0, axis)


def _eigenvalues(core: Array) -> Array:
    return np.asarray(np.diagonal(core)) if core.ndim == 2 else core


def _sum(cores: list[Array]) -> Array:
    """Sums (n_1, n_2, ...) of one entry of each (n_k,)."""
    return np.asarray(sum(np.ix_(*cores), start=np.zeros(())))
