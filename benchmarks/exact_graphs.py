"""Centerlines of simulated retinal vessels against the exact graphs that their labels were drawn from.

The labels of `octa-synthetic` (1216 x 1216 pixels) are projections of forests whose edges, with radii, are known.
Ours, `segmentation.centerline`, against scikit-image's skeleton with the distance transform as radius, both on the
exact label, in pixels of it:

graph found   length of the exact edges within `NEAR` of a traced point, over that of all edges on the label
on the graph  length of what was traced within `NEAR` of an exact edge, over all of it
radius error  mean difference to the radius of the nearest edge, where one is within `NEAR`; `bias` with its sign

Where vessels cross in the projection the label is wider than any of them, and edges that run side by side are one
vessel to whoever sees the label only: neither way can reach 1. `--seeds` is the number of graphs.
"""

import csv
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from _common import Claim, finish, options
from voxfield.artifacts import LabelMap, RawFile
from voxfield.io import convert
from voxfield.segmentation import centerline

NEAR = 2.0
STEP = 0.5
Points = NDArray[np.float64]
Traced = tuple[Points, Points, Points]
"""Points (n, 2), the length that each stands for and its radius, pixels."""


def exact(file: Path, mask: NDArray[np.bool_]) -> Traced:
    """Points every `STEP` pixels along the edges of a graph, where they lie on the label."""
    with file.open(newline="") as text:
        rows = [(place(row["node1"]), place(row["node2"]), float(row["radius"])) for row in csv.DictReader(text)]
    size = np.array(mask.shape)
    points, lengths, radii = [], [], []
    for one, other, radius in rows:
        start, stop = one * size - 0.5, other * size - 0.5
        length = float(np.linalg.norm(stop - start))
        count = max(1, round(length / STEP))
        points.append(start + (np.arange(count)[:, None] + 0.5) / count * (stop - start))
        lengths += [length / count] * count
        radii += [radius * size[0]] * count
    places = np.concatenate(points)
    voxel = np.rint(places).astype(int)
    inside = ((voxel >= 0) & (voxel < size)).all(axis=1)
    inside[inside] = mask[tuple(voxel[inside].T)]
    return places[inside], np.array(lengths)[inside], np.array(radii)[inside]


def place(text: str) -> Points:
    """A node, (2,) in shares of the image; its depth is left out."""
    return np.array([float(word) for word in text.strip("[]").split()[:2]])


def ours(mask: NDArray[np.bool_]) -> Traced:
    """Our centerlines: each node stands for the way to its parent."""
    line = centerline(LabelMap(mask[:, :, None].astype(np.uint8), np.eye(4))).centerline
    child = np.flatnonzero(line.parents >= 0)
    parent = line.parents[child]
    return (
        (line.points[child, :2] + line.points[parent, :2]) / 2,
        np.linalg.norm(line.points[child] - line.points[parent], axis=1),
        line.radii[child],
    )


def plain(mask: NDArray[np.bool_]) -> Traced:
    """The skeleton's pixels, each standing for half the way to each neighbour."""
    from skimage.morphology import skeletonize

    points = np.argwhere(skeletonize(mask)).astype(float)
    pairs = cKDTree(points).query_pairs(1.5, output_type="ndarray")
    half = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1) / 2
    lengths = np.bincount(pairs.ravel(), np.repeat(half, 2), len(points))
    # Half a pixel more than to the centre of the first pixel outside would be biased the other way.
    return points, lengths, distance_transform_edt(mask)[tuple(points.astype(int).T)] - 0.5


def measured(traced: Traced, truth: Traced) -> dict[str, float]:
    """What a row says of one way."""
    points, lengths, radii = traced
    places, share, radius = truth
    found = cKDTree(points).query(places)[0] <= NEAR
    away, nearest = cKDTree(places).query(points)
    on_graph = away <= NEAR
    error = (radii - radius[nearest])[on_graph]
    return {
        "graph found": float(share[found].sum() / share.sum()),
        "on the graph": float(lengths[on_graph].sum() / lengths.sum()),
        "radius error": float(np.abs(error).mean()),
        "bias": float(error.mean()),
    }


def compare(folder: Path, count: int, crop: int | None) -> list[dict[str, Any]]:
    """Rows of the first `count` graphs, of a corner of the label where `crop` is given."""
    rows = []
    ways: dict[str, Callable[[NDArray[np.bool_]], Traced]] = {"ours": ours, "skeleton + EDT": plain}
    for file in sorted((folder / "vessel_graphs").glob("*.csv"))[:count]:
        labels = convert(RawFile.load(folder / "labels" / f"{file.stem}.png"), content="labels").labels
        assert labels is not None  # asked for
        mask = labels.data[:, :, 0] > 0
        truth = exact(file, mask)
        if crop:
            kept = (truth[0] < crop - 1).all(axis=1)
            mask, truth = mask[:crop, :crop], (truth[0][kept], truth[1][kept], truth[2][kept])
        for name, way in ways.items():
            started = time.process_time()
            traced = way(mask)
            rows.append(
                {"graph": file.stem, "way": name, **measured(traced, truth), "CPU s": time.process_time() - started}
            )
    return rows


def main() -> None:
    chosen = options(__doc__ or "", seeds=10)
    folder = chosen.data / "volumes" / "octa-synthetic"
    if not folder.is_dir():
        print(f"the data set is not at {folder}; give --data FOLDER")
        return
    rows = compare(folder, 1 if chosen.quick else chosen.seeds, 300 if chosen.quick else None)

    def of(way: str, column: str) -> float:
        return mean(row[column] for row in rows if row["way"] == way)

    radius = of("ours", "radius error") / of("skeleton + EDT", "radius error")
    claims = [
        Claim("length of the exact graph found", of("ours", "graph found"), 0.95, ">="),
        Claim("length traced that lies on the graph", of("ours", "on the graph"), 0.95, ">="),
        Claim("radius error over that of the plain way", radius, 1.0, "<="),
    ]
    finish(chosen, claims, rows)


if __name__ == "__main__":
    main()
