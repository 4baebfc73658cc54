"""Clusters of the zeros of many samples.

The expected index of the cells, E[index], is a signed density: a pair of opposite zeros that noise makes in some
samples cancels in it, while a zero that moves about from sample to sample spreads. It is smoothed by one implicit Euler
step of heat flow over the cells, which keeps its sum, the Euler characteristic on a closed surface. Its hills and
hollows are the clusters: every cell climbs to the top of |density| among neighbours of its sign, and tops are merged
across passes that are nearly as high, by prominence (ToMATo: Chazal, Guibas, Oudot, Skraba, J. ACM 60(6), 2013). We
measure prominence relative to the lower top, since the density has no scale of its own. What lies below a hundredth
of its top belongs to no cluster.

A cluster is told by its *net* index in each sample, which stays right where a zero splits, as one of order -2 does.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import cg
from scipy.spatial import cKDTree

from voxfield.fields.singularity._cells import Cells, Zeros
from voxfield.fields.surface._poincare import Kind

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
CELLS = 2.0  # least smoothing, in distances of neighbouring cells
PASS = 0.5  # passes at least this share of the lower top merge two hills
FOOT = 0.01  # a cluster ends where the density falls to this share of its top


@dataclass(frozen=True)
class Cluster:
    """Zeros that are one in most samples.

    place           (3,) mm, the centre of the cell nearest to the mean of the zeros of the cluster's sign
    spread          root mean square distance of these zeros from their mean, mm
    index           the likeliest net index that is not 0
    probability     share of samples with just this net index
    expected_index  mean net index
    expected_count  mean number of zeros
    kinds           probability of at least one zero of each `Kind`
    """

    place: Floats
    spread: float
    index: int
    probability: float
    expected_index: float
    expected_count: float
    kinds: dict[Kind, float]


def clusters(cells: Cells, zeros: Zeros, samples: int, merge_mm: float) -> list[Cluster]:
    """Clusters in the order of falling probability.

    samples   how many there are, those without zeros too
    merge_mm  standard deviation of the smoothing along each axis
    """
    if not len(zeros.cell):
        return []
    expected = np.bincount(zeros.cell, zeros.index, minlength=len(cells.sizes)) / samples
    label = _label(cells, _smooth(cells, expected, merge_mm))
    member = label[zeros.cell]
    kept = member >= 0
    found = [
        _describe(cells, np.flatnonzero(label == name), _chosen(zeros, kept & (member == name)), samples)
        for name in np.unique(member[kept])
    ]
    return sorted((c for c in found if c is not None), key=lambda c: (-c.probability, *c.place))


def natural_width(cells: Cells, zeros: Zeros, samples: int) -> float:
    """Smoothing, mm, that fits how far zeros move from sample to sample, and at least CELLS cells.

    A zero of one sample and the nearest one of its sign in the next lie sigma sqrt(2) apart along each axis; the width
    is sigma, as the median distance in the plane gives it. Less would be better for a density, but leaves stray zeros
    on hills of their own.
    """
    a, b = cells.pairs.T
    cell = float(np.linalg.norm(cells.centres[a] - cells.centres[b], axis=1).mean()) if len(a) else 1.0
    moved = [np.zeros(0)]
    for sign in (-1, 1):
        of_sign = np.sign(zeros.index) == sign
        place = [cells.centres[zeros.cell[of_sign & (zeros.sample == sample)]] for sample in range(samples)]
        pairs = [(one, other) for one, other in pairwise(place) if len(one) and len(other)]
        moved += [np.asarray(cKDTree(other).query(one)[0]) for one, other in pairs]
    away = np.concatenate(moved)
    sigma = float(np.median(away)) / (2 * np.sqrt(np.log(2))) if len(away) else 0.0
    return max(CELLS * cell, sigma)


def _smooth(cells: Cells, amount: Floats, merge_mm: float) -> Floats:
    """Density, per mm^2 or mm^3, of an amount in the cells after it has spread."""
    count = len(cells.sizes)
    (a, b), flow = cells.pairs.T, 0.5 * merge_mm**2 * cells.conductance
    links = coo_array((np.tile(flow, 2), (np.append(a, b), np.append(b, a))), shape=(count, count)).tocsr()
    diagonal = cells.sizes + links.sum(axis=1)
    system = diags_array(diagonal) - links
    density, _ = cg(system, amount, rtol=1e-8, M=diags_array(1 / diagonal))
    return density


def _label(cells: Cells, density: Floats) -> Integers:
    """(m,) number of the hill or hollow of each cell; -1 below its foot."""
    height = np.abs(density)
    a, b = cells.pairs[np.sign(density[cells.pairs]).prod(axis=1) > 0].T
    top = _tops(height, a, b)
    top = _merge(top, height, a, b)
    return np.where(height >= FOOT * height[top], top, -1)


def _tops(height: Floats, a: Integers, b: Integers) -> Integers:
    """(m,) the cell at which the climb from each ends, always to the highest neighbour."""
    low, high = np.append(a, b), np.append(b, a)
    order = np.lexsort((height[high], low))
    best = np.arange(len(height))
    best[low[order]] = high[order]  # of equal keys the last is kept: the highest neighbour
    place = np.arange(len(height))
    best = np.where((height[best] > height) | ((height[best] == height) & (best > place)), best, place)
    while not np.array_equal(best, best[best]):
        best = best[best]
    return best


def _merge(top: Integers, height: Floats, a: Integers, b: Integers) -> Integers:
    """Join hills across high passes, the highest pass first."""
    between = top[a] != top[b]
    first, second = np.sort([top[a[between]], top[b[between]]], axis=0)
    height_of_pass = np.minimum(height[a[between]], height[b[between]])
    parent = {int(t): int(t) for t in np.unique(top)}

    def root(t: int) -> int:
        while parent[t] != t:
            t = parent[t]
        return t

    for link in np.argsort(-height_of_pass, kind="stable"):
        one, other = sorted((root(int(first[link])), root(int(second[link]))), key=lambda t: height[t])
        if one != other and height_of_pass[link] >= PASS * height[one]:
            parent[one] = other
    joined = np.arange(len(height))
    for name in parent:
        joined[name] = root(name)
    return joined[top]


def _chosen(zeros: Zeros, which: NDArray[np.bool_]) -> Zeros:
    return Zeros(zeros.sample[which], zeros.cell[which], zeros.index[which], zeros.kind[which])


def _describe(cells: Cells, own: Integers, zeros: Zeros, samples: int) -> Cluster | None:
    """One cluster; None where its zeros cancel in every sample."""
    net = np.bincount(zeros.sample, zeros.index, minlength=samples).astype(np.int64)
    values, counts = np.unique(net[net != 0], return_counts=True)
    if not len(values):
        return None
    index = int(values[counts.argmax()])
    of_sign = zeros.cell[np.sign(zeros.index) == np.sign(index)]
    mean = cells.centres[of_sign].mean(axis=0)
    nearest = own[np.square(cells.centres[own] - mean).sum(axis=1).argmin()]
    return Cluster(
        place=cells.centres[nearest],
        spread=float(np.sqrt(np.square(cells.centres[of_sign] - mean).sum(axis=1).mean())),
        index=index,
        probability=float(counts.max() / samples),
        expected_index=float(net.mean()),
        expected_count=len(zeros.cell) / samples,
        kinds={kind: len(np.unique(zeros.sample[zeros.kind == kind])) / samples for kind in Kind},
    )
