"""From data to a posterior: the kernels of the axes, the pairs of components, their weights by evidence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from voxfield.pde.gp_hm._axis import AxisKernel
from voxfield.pde.gp_hm._evidence import Regression
from voxfield.pde.gp_hm._line import Fit, Known, Line, find
from voxfield.pde.gp_hm._product import GridData, Product, along

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxfield.pde.gp_hm._envelope import Floats


@dataclass(frozen=True)
class Spectrum:
    """What was found along one axis.

    kernel    with the bands of all lines
    first     the fit of the first line: the equation in 1D, the forcing on a grid
    noise     standard deviation of the forcing
    stopped   why the search ended
    """

    kernel: AxisKernel
    first: Fit
    noise: float
    stopped: str

    def analysis(self) -> Floats:
        """(functions of the first fit, nodes) from values on the nodes to coefficients."""
        basis = np.linalg.qr(self.first.kernel.raw(self.first.line.points))[0]
        return np.asarray(self.first.regression.gain @ basis.T)


def spectra(data: GridData, envelope: str, noise: tuple[float, float]) -> list[Spectrum]:
    """The spectrum of every axis, from the forcing and from the values on the faces along that axis.

    In 1D the evidence is that of the equation with its boundary values. Along an axis of a grid it is that of the
    forcing, whose lines count as draws of one kernel, and then of each face.
    """
    if len(data.axes) == 1:
        return [_merged([find(_equation(data, noise), _start(data.axes[0], envelope, 24, 11), 192)], noise)]
    found = []
    for axis, x in enumerate(data.axes):
        lines = _lines(data, axis, noise) or [Line(x, np.zeros((len(x), 1)), ((1.0, 0),), (), noise)]
        found.append(_merged([find(line, _start(x, envelope, 15, 7), 30) for line in lines], noise))
    return found


def _start(x: Floats, envelope: str, trend_degree: int, band_degree: int) -> AxisKernel:
    """The kernel that a search begins with, of degrees that the nodes can carry."""
    degree = max(min(trend_degree, len(x) // 4), 4)
    return AxisKernel(float(x[0]), float(x[-1]), envelope, trend_degree=degree, band_degree=band_degree)


def condition(data: GridData, found: Sequence[Spectrum], noise: tuple[float, float]) -> tuple[Product, Regression]:
    """Weights of the pairs of components and the noise by evidence; pairs that the data refuse are left out."""
    variances = _variances(data, found)
    product = _affordable([one.kernel for one in found], variances)
    begin = float(np.clip(max(one.noise for one in found), *noise))
    weights, least = variances[tuple(product.pairs)], _least(data, variances)[tuple(product.pairs)]
    posterior = Regression(data.rows(product), np.maximum(weights, least), begin, least)
    for _ in range(_STEPS):
        following = posterior.improved(product.blocks, noise)
        if not following.log_evidence > posterior.log_evidence + _ENOUGH * data.forcing.size:
            break
        product, posterior = _pruned(product, following)
    return product, posterior


def _pruned(product: Product, posterior: Regression) -> tuple[Product, Regression]:
    """Without the pairs whose prior is lost in the noise of every observation."""
    rows = posterior.rows
    power = (rows.forcing**2).sum(axis=0) / posterior.noise**2 + (rows.known**2 / rows.known_sd[:, None] ** 2).sum(
        axis=0
    )
    felt = np.bincount(product.blocks, power * posterior.weights)
    least = np.broadcast_to(posterior.least, posterior.weights.shape)
    kept = (felt[product.blocks] > _UNFELT) | (least > 0)
    if kept.all() or not kept.any():
        return product, posterior
    active = product.active.copy()
    active[active] = kept
    fewer = replace(posterior, rows=rows.only(kept), weights=posterior.weights[kept], least=least[kept])
    return replace(product, active=active), fewer


def _affordable(kernels: list[AxisKernel], variances: Floats) -> Product:
    """The product of the kernels, with polynomials of as high a degree as the linear algebra can afford.

    variances  (components on each axis); where the lowest degrees are too many still, the smallest pairs go
    """
    while True:
        pairs = np.ix_(*[kernel.blocks for kernel in kernels])
        active = (variances > 0)[pairs].ravel()
        if active.sum() <= _AFFORDABLE or len(kernels) == 1:
            return Product(tuple(kernels), active)
        shrunk = [
            replace(k, trend_degree=max(int(0.9 * k.trend_degree), 9), band_degree=max(int(0.9 * k.band_degree), 3))
            for k in kernels
        ]
        if shrunk == kernels:
            variances = np.where(variances > variances[variances > 0].min(), variances, 0)
        kernels = shrunk


def _least(data: GridData, variances: Floats) -> Floats:
    """What the evidence may not lower the variances below, (components on each axis).

    Where the faces across an axis leave the solution open, data that show no trend do not speak against one: along that
    axis a trend of the size of the solution is never ruled out.
    """
    given = [face.values for face in data.faces] + ([] if data.observations is None else [data.observations.values])
    seen = max((float(np.nanmean(values**2)) for values in given if np.isfinite(values).any()), default=0.0)
    bands = variances[tuple(slice(1, None) for _ in variances.shape)].sum()
    trend = np.zeros(variances.shape, dtype=bool)
    for axis in data.open:
        trend |= np.indices(variances.shape)[axis] == 0
    return np.where(trend, max(seen, float(bands)), 0.0)


def _variances(data: GridData, found: Sequence[Spectrum]) -> Floats:
    """Prior variances of u to begin with, (components on each axis); 0 for pairs of bands that the forcing has not.

    Those of the line in 1D; else those of the coefficients of the forcing over the squared symbol of the operator.
    """
    if len(found) == 1:
        return found[0].first.weights()
    given = [face.values[np.isfinite(face.values)] for face in data.faces]
    boundary = max([float((values**2).mean()) for values in given if values.size] or [0.0])
    shape = [len(one.kernel.frequencies) + 1 for one in found]
    trend = np.any(np.indices(shape) == 0, axis=0)
    if not data.forcing.any():
        return np.full(shape, boundary or 1.0)
    energy = along([one.analysis() for one in found], data.forcing) ** 2
    for axis, one in enumerate(found):
        blocks = one.first.kernel.blocks
        member = (np.arange(shape[axis])[:, None] == blocks) / np.maximum(
            np.bincount(blocks, minlength=shape[axis]), 1
        )[:, None]
        energy = np.moveaxis(np.tensordot(member, energy, axes=(1, axis)), 0, axis)
    energy[energy < _ABSENT * max(one.noise for one in found) ** 2] = 0
    waves = []
    for one in found:
        reach = 1 / (one.kernel.trend_length * (one.kernel.high - one.kernel.low))
        waves.append(np.array([reach, *one.kernel.frequencies]))
    grid = np.meshgrid(*waves, indexing="ij")
    symbol = np.abs(
        sum(c * np.prod([(1j * m) ** k for m, k in zip(grid, order, strict=True)], axis=0) for c, order in data.terms)
    )
    variances = energy / np.maximum(symbol, np.finfo(float).eps * symbol.max()) ** 2
    return np.asarray(variances + trend * max(boundary, float(variances.max())))


def _merged(fits: list[tuple[Fit, str]], noise: tuple[float, float]) -> Spectrum:
    """The first line's kernel, with the bands of the others that lie farther than a period from all before."""
    first, stopped = fits[0]
    kernel = first.kernel
    apart = 2 * np.pi / (kernel.high - kernel.low)
    for other, _ in fits[1:]:
        for frequency in other.kernel.frequencies:
            if all(abs(frequency - known) > apart for known in kernel.frequencies):
                kernel = replace(kernel, frequencies=(*kernel.frequencies, frequency))
    return Spectrum(kernel, first, first.regression.noise if first.line.noise == noise else noise[0], stopped)


def _equation(data: GridData, noise: tuple[float, float]) -> Line:
    """The equation in 1D."""
    x = data.axes[0]
    known = [
        Known(x[[-1 if face.high else 0]], face.order, np.reshape(face.values, (1, 1)), _sd(face.sd, 1, data.exact))
        for face in data.faces
    ]
    if (seen := data.observations) is not None:
        known.append(Known(seen.points[:, 0], 0, seen.values[:, None], _sd(seen.sd, len(seen.values), data.exact)))
    terms = tuple((coefficient, order[0]) for coefficient, order in data.terms)
    return Line(x, data.forcing[:, None], terms, tuple(known), noise)


def _lines(data: GridData, axis: int, noise: tuple[float, float]) -> list[Line]:
    """The forcing along an axis, then every face that holds this axis; all zeros tell nothing."""
    x, lines = data.axes[axis], []
    if data.forcing.any():
        lines.append(Line(x, np.moveaxis(data.forcing, axis, 0).reshape(len(x), -1), ((1.0, 0),), (), noise))
    for face in data.faces:
        if face.axis == axis:
            continue
        values = np.moveaxis(face.values, axis - (axis > face.axis), 0).reshape(len(x), -1)
        kept = np.isfinite(values).all(axis=1)
        values = values[kept]
        sd = max(face.sd, data.exact)
        if len(values) >= _FEWEST and np.sqrt((values**2).mean()) > _ABOVE * sd:
            highest = sd if face.sd else float(np.sqrt((values**2).mean()))
            lines.append(Line(x[kept], values, ((1.0, 0),), (), (sd, highest)))
    return lines


def _sd(sd: float, count: int, exact: float) -> Floats:
    return np.full(count, max(sd, exact))


_AFFORDABLE = 1600  # columns: a factorisation takes 2 s
_STEPS = 15
_ENOUGH = 1e-5  # in log evidence a value of the forcing
_UNFELT = 1e-2
_ABSENT = 1e-2  # of the noise: mean square of coefficients of a pair that is not there
_FEWEST = 12  # values on a face in which a frequency can be looked for
_ABOVE = 10.0
