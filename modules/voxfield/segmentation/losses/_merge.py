"""Exact 0-dimensional persistence pairs of a volume, 26-connected, at the speed of sorting it.

Lower a level from the largest value down: a component of {f >= level} is born at each local maximum, and where two
meet at a voxel, the one with the lower maximum dies there (the elder rule; Edelsbrunner and Harer, Computational
Topology, 2010, VII.1). A union-find over all voxels and their 13 n neighbour pairs needs compiled code; four facts
make the pairs of a 64^3 patch a matter of a tenth of a second in NumPy and SciPy, exactly:

1. Every voxel climbs to the largest voxel of its 3 x 3 x 3 box, and so on to a maximum; the voxels that arrive at one
   maximum (its basin) belong to its component from their own level on. So only basins can meet.
2. 26-neighbours share a block of 2 x 2 x 2 voxels. Within a block all voxels join its largest one as they appear; an
   edge from each voxel v to the largest of its 8 blocks, at level f(v), therefore stands for all 26.
3. Of several edges between two basins the highest is enough. A hash table drops nearly all others; those that it keeps
   do no harm.
4. The maximum spanning tree of the basins (Kruskal, by scipy) holds all meetings; n basins meet n - 1 times.

Equal values are told apart by their place in memory.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree

Integers = NDArray[np.int32]
TABLE = 2**19 - 1  # places, a prime


class Pairs(NamedTuple):
    """Components that die; those that never do (one for each connected part of what is known) are not among them.

    birth  (n,) maxima, as flat voxel indices
    death  (n,) voxels at which they meet an older component
    """

    birth: Integers
    death: Integers


def merge_pairs(values: NDArray[np.float32], known: NDArray[np.bool_]) -> Pairs:
    """Births and deaths of the components of {values >= level}.

    values  (x, y, z) float32, >= 0
    known   (x, y, z) False for voxels that are not there at all
    """
    if not known.any():
        return Pairs(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32))
    order = _ascending(values.reshape(-1), np.flatnonzero(known))
    rank = np.full(values.shape, -1, dtype=np.int32)
    rank.reshape(-1)[order] = np.arange(len(order), dtype=np.int32)
    largest = _of_blocks(np.pad(rank, 1, constant_values=-1))
    basin, maxima = _basins(_of_blocks(largest).reshape(-1)[order])
    saddle, here, there = _spanning_tree(*_meetings(largest, order, basin), len(maxima))
    return Pairs(order[maxima[_younger(here, there, len(maxima))]], order[saddle])


def _ascending(values: NDArray[np.float32], places: NDArray[np.intp]) -> Integers:
    """Sort places by value, then by place; twice as fast as argsort.

    The bits of floats from 0 up, read as integers, are in the order of the floats.
    """
    packed = values[places].view(np.int32).astype(np.int64) << 32 | places
    packed.sort()
    return packed.astype(np.int32)


def _of_blocks(volume: Integers) -> Integers:
    """The largest of each 2 x 2 x 2 block; one voxel shorter along every axis."""
    volume = np.maximum(volume[1:], volume[:-1])
    volume = np.maximum(volume[:, 1:], volume[:, :-1])
    return np.maximum(volume[:, :, 1:], volume[:, :, :-1])


def _basins(above: Integers) -> tuple[Integers, Integers]:
    """Basin of each rank, numbered by ascending maximum, and the rank of each maximum.

    above  rank of the largest neighbour of each rank, itself at a maximum
    """
    while not np.array_equal(further := above[above], above):
        above = further
    is_maximum = above == np.arange(len(above), dtype=np.int32)
    number = np.cumsum(is_maximum, dtype=np.int32) - 1
    return number[above], np.flatnonzero(is_maximum).astype(np.int32)


def _meetings(largest: Integers, order: Integers, basin: Integers) -> tuple[Integers, Integers, Integers]:
    """Rank at which, and basins (two arrays) between which, edges run; ascending in rank.

    largest  largest rank of each block (x + 1, y + 1, z + 1); voxel (i, j, k) is in the 8 blocks from (i, j, k) on
    order    flat index of each rank
    """
    numbers = np.arange(largest.size, dtype=np.int32).reshape(largest.shape)
    # A block without any voxel has rank -1, thus a wrong basin, but no voxel asks for it.
    block = numbers[:-1, :-1, :-1].reshape(-1)[order]
    basin_of_block = basin[largest].reshape(-1)
    around = np.stack([basin_of_block.take(block + corner) for corner in numbers[:2, :2, :2].reshape(-1)])
    differs = around != basin
    for one, other in combinations(range(len(around)), 2):
        differs[other] &= around[other] != around[one]
    rank, corner = divmod(np.flatnonzero(differs.T).astype(np.int32), len(around))
    here, there = basin[rank], around[corner, rank]
    keep = _highest(here, there, int(basin.max(initial=0)) + 1)
    return rank[keep], here[keep], there[keep]


def _highest(here: Integers, there: Integers, count: int) -> NDArray[np.intp]:
    """The last of the edges between the same two basins, and those that a full place in the table let through."""
    number = np.dtype(np.uint32 if count < 2**16 else np.uint64)
    pair = np.minimum(here, there).astype(number) * number.type(count) + np.maximum(here, there).astype(number)
    place = pair % TABLE
    table = np.empty(TABLE, dtype=np.int32)
    edges = np.arange(len(pair), dtype=np.int32)
    table[place] = edges  # of several edges for one place NumPy leaves the last, which is the highest
    winner = table[place]
    return np.flatnonzero((winner == edges) | (pair[winner] != pair))


def _spanning_tree(rank: Integers, here: Integers, there: Integers, count: int) -> tuple[Integers, Integers, Integers]:
    """The edges of the maximum spanning forest, descending in rank."""
    by_row = np.argsort(here.astype(np.min_scalar_type(count)), kind="stable")  # a radix sort for 16 bits
    starts = np.searchsorted(here[by_row], np.arange(count + 1))
    # scipy looks for the smallest sum, and 0 would mean no edge.
    weight = -1.0 - rank[by_row]
    tree = minimum_spanning_tree(csr_array((weight, there[by_row], starts), shape=(count, count))).tocoo()
    descending = np.argsort(tree.data)
    level = (-1 - tree.data[descending]).astype(np.int32)
    return level, tree.row[descending], tree.col[descending]


def _younger(here: Integers, there: Integers, count: int) -> list[int]:
    """The basin that dies at each edge of the tree; basins are numbered from the youngest on."""
    parent = list(range(count))

    def eldest(basin: int) -> int:
        while parent[basin] != basin:
            parent[basin] = basin = parent[parent[basin]]
        return basin

    dying = []
    for one, other in zip(here.tolist(), there.tolist(), strict=True):
        younger, elder = sorted((eldest(one), eldest(other)))
        parent[younger] = elder
        dying.append(younger)
    return dying
