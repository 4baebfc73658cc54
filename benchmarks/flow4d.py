"""A CFD-based 4D-flow pair with half of its truth: our reconstruction, trilinear interpolation, a biharmonic smoother.

Every figure is taken inside the high-resolution mask > .5 over the given half. Settings are chosen without the truth:
noise, scale, smoothness and wall by the evidence of the low-resolution data, the smoother's weight by leave-out error
on them; the observation operator (corner-aligned 1-2-1) and the grid rule are those of the data's description. The data
are simulated from CFD: nothing here speaks about scanners.
"""

import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.ndimage import distance_transform_edt, map_coordinates
from scipy.sparse.linalg import cg

from _common import Claim, finish, options
from voxfield.artifacts import Cohort, Image, LabelMap, RawFile, VectorImage
from voxfield.context import Context
from voxfield.fields import reconstruct
from voxfield.io import convert
from voxfield.segmentation import annotate, predict, train

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
REFINE = 2
WALL_LAYER_MM = 0.7
WEIGHTS = (0.01, 0.03, 0.1, 0.3, 1.0)


class Case(NamedTuple):
    """The pair on its grids: low resolution (i), high resolution at index 2 i, truth known for axis 0 below `half`."""

    image: Image
    velocity: VectorImage
    labels: LabelMap
    truth: Array
    inside: Mask
    fine_mask: Array


def load(folder: Path) -> Case:
    """Read both files; the fine mask is the given one where it is known, interpolated elsewhere."""
    low = convert(RawFile.load(folder / "example_data.h5"))
    high = convert(RawFile.load(folder / "example_data_HR_half.h5"))
    assert low.image is not None
    assert low.velocity is not None
    assert low.labels is not None
    assert high.velocity is not None
    assert high.labels is not None
    inside = np.asarray(high.labels.data) > 0
    fine = trilinear(np.asarray(low.labels.data, dtype=float))
    shape = np.minimum(fine.shape, inside.shape)
    window = tuple(slice(0, int(n)) for n in shape)
    fine[window] = inside[window]
    return Case(low.image, low.velocity, low.labels, high.velocity.data[..., 0, :].astype(float), inside, fine)


def trilinear(values: Array) -> Array:
    """A low-resolution volume at the fine points (corner aligned), twice as many along every axis."""
    points = np.meshgrid(*(np.arange(REFINE * n) / REFINE for n in values.shape), indexing="ij")
    return np.asarray(map_coordinates(values, points, order=1, mode="nearest"))


def interpolated(case: Case) -> Array:
    """Trilinear interpolation of the measured velocity."""
    measured = case.velocity.data[..., 0, :].astype(float)
    return np.stack([trilinear(measured[..., c]) for c in range(3)], axis=-1)


def smoothed(case: Case) -> Array:
    """Least squares with a biharmonic penalty inside the given mask; left-out voxels choose its weight."""
    domain = case.fine_mask >= 0.5
    observe, laplacian, seen = operators(domain, np.asarray(case.labels.data) > 0)
    measured = case.velocity.data[..., 0, :].astype(float)[seen]
    left_out = np.random.default_rng(0).random(len(measured)) < 0.2
    penalty = (laplacian.T @ laplacian).tocsr()

    def fit(rows: Mask, weight: float) -> Array:
        part = observe[rows]
        matrix = (part.T @ part + weight * penalty + 1e-9 * sparse.eye(penalty.shape[0])).tocsr()
        diagonal = sparse.diags(1 / matrix.diagonal())
        solved = [cg(matrix, part.T @ measured[rows, c], rtol=1e-6, maxiter=800, M=diagonal)[0] for c in range(3)]
        return np.stack(solved, axis=-1)

    def score(weight: float) -> float:
        return float(np.linalg.norm(observe[left_out] @ fit(~left_out, weight) - measured[left_out]))

    best = min(WEIGHTS, key=score)
    field = np.zeros((*domain.shape, 3))
    field[domain] = fit(np.ones(len(measured), dtype=bool), best)
    return field


def operators(domain: Mask, coarse: Mask) -> tuple[sparse.csr_matrix, sparse.csr_matrix, tuple[NDArray[np.int64], ...]]:
    """The 1-2-1 observation of the coarse lumen voxels inside the domain, and the domain's graph Laplacian."""
    index = np.full(domain.shape, -1)
    index[domain] = np.arange(domain.sum())
    seen = tuple(axis for axis in np.nonzero(coarse & domain[::REFINE, ::REFINE, ::REFINE]))
    rows, columns, entries = [], [], []
    for shift in np.ndindex(3, 3, 3):
        at = [REFINE * seen[a] + shift[a] - 1 for a in range(3)]
        valid = np.all([(at[a] >= 0) & (at[a] < domain.shape[a]) for a in range(3)], axis=0)
        target = np.full(len(valid), -1)
        target[valid] = index[tuple(a[valid] for a in at)]
        ok = target >= 0
        rows.append(np.nonzero(ok)[0])
        columns.append(target[ok])
        entries.append(np.full(int(ok.sum()), float(np.prod([2 - abs(s - 1) for s in shift]))))
    observe = sparse.csr_matrix(
        (np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns))),
        shape=(len(seen[0]), int(domain.sum())),
    )
    observe = sparse.diags(1 / np.asarray(observe.sum(axis=1)).ravel()) @ observe
    edges = []
    for axis in range(3):
        low = [slice(None)] * 3
        high = [slice(None)] * 3
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        pair = domain[tuple(low)] & domain[tuple(high)]
        edges.append(np.stack([index[tuple(low)][pair], index[tuple(high)][pair]]))
    first, second = np.concatenate(edges, axis=1)
    size = int(domain.sum())
    links = sparse.csr_matrix((np.ones(len(first)), (first, second)), shape=(size, size))
    links = links + links.T
    laplacian = sparse.diags(np.asarray(links.sum(axis=1)).ravel()) - links
    return observe.tocsr(), laplacian.tocsr(), seen


def segmented(case: Case, seed: int, steps: int) -> Image:
    """Probability of the lumen by a network that saw every sixth slice of the mask."""
    ctx = Context(seed=seed, device="cpu")
    slices = annotate(case.image, case.labels, every=6, ctx=ctx).annotation
    columns = {"subject": ["flow4d"], "split": ["train"], "annotation": ["sparse"], "unannotated": [255]}
    learnt = train(Cohort(columns), [case.image], [slices], steps=steps, patch=(24, 24, 24), batch=4, ctx=ctx)
    return predict(case.image, learnt.model, ctx=ctx).probability


def ours(case: Case, probability: Image, seed: int) -> tuple[Array, Array, dict[str, Any]]:
    """Posterior mean and standard deviation, and what the stage says of itself.

    The lumen is taken where its probability exceeds .2: without a wall condition the level moves no number, it only
    says where the field is told.
    """
    found = reconstruct(
        case.velocity, probability, refine=REFINE, alignment="corner", observation="corner-aligned",
        wall_levels=(0.2,), ctx=Context(seed=seed, device="cpu"),
    )  # fmt: skip
    divergence = float(np.abs(found.flux.divergence()).max())
    facts = {"divergence": divergence, **found.metrics.values}
    return found.mean.data[..., 0, :].astype(float), found.sd.data[..., 0, :].astype(float), facts


def row(
    name: str, seed: int, case: Case, make: Callable[[], tuple[Array, Array | None, dict[str, Any]]]
) -> dict[str, Any]:
    """Run one method and judge it inside the given half."""
    started = time.process_time()
    field, sd, facts = make()
    seconds = time.process_time() - started
    half = tuple(slice(0, n) for n in case.inside.shape)
    error, inside = field[half] - case.truth, case.inside
    depth = distance_transform_edt(inside, sampling=[0.59375] * 3)
    wall = inside & (depth <= WALL_LAYER_MM)

    def relative(where: Mask) -> float:
        return float(np.linalg.norm(error[where]) / np.linalg.norm(case.truth[where]))

    told = None if sd is None else inside & (sd[half] > 0).any(axis=-1)
    return {
        "method": name,
        "seed": seed,
        "relative L2": relative(inside),
        "wall layer": relative(wall),
        "core": relative(inside & ~wall),
        "told %": None if told is None else 100 * float(told.sum() / inside.sum()),
        "coverage": None if sd is None or told is None else float((np.abs(error) <= 1.96 * sd[half])[told].mean()),
        "divergence": facts.get("divergence"),
        "wall condition": facts.get("model", {}).get("condition"),
        "in - out, raw": facts.get("net_outflow_raw"),
        "CPU s": seconds,
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__ or "")
    folder = chosen.data / "fields" / "flow4d_cerebro_pair"
    if not folder.is_dir():
        print(f"the data set is not at {folder}; give --data FOLDER")
        return
    case = load(folder)
    given = Image(case.fine_mask.astype("f4"), fine_affine(case))
    rows = [
        row("trilinear", 0, case, lambda: (interpolated(case), None, {})),
        row("biharmonic smoother", 0, case, lambda: (smoothed(case), None, {})),
    ]
    seeds = range(1 if chosen.quick else chosen.seeds)
    for seed in seeds:
        rows.append(row("ours, given mask", seed, case, lambda seed=seed: ours(case, given, seed)))
        if not chosen.quick:
            lumen = segmented(case, seed, 400)
            rows.append(
                row("ours, segmented lumen", seed, case, lambda seed=seed, lumen=lumen: ours(case, lumen, seed))
            )

    def worst(name: str, key: str = "relative L2") -> float:
        return max(float(r[key]) for r in rows if r["method"] == name)

    claims = [
        Claim("relative L2, given mask", worst("ours, given mask"), 0.035, "<="),
        Claim("over the smoother", worst("ours, given mask") / worst("biharmonic smoother"), 1.0, "<="),
        Claim("largest cell divergence, 1/s", worst("ours, given mask", "divergence"), 1e-9, "<="),
    ]
    if not chosen.quick:
        claims.append(Claim("relative L2, segmented lumen", worst("ours, segmented lumen"), 0.035, "<="))
    finish(chosen, claims, rows)


def fine_affine(case: Case) -> Array:
    """Affine of the fine grid, corner aligned."""
    affine = np.array(case.velocity.affine)
    affine[:3, :3] /= REFINE
    return affine


if __name__ == "__main__":
    main()
