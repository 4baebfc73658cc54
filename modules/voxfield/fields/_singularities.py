"""The stage `fields.singularities`: where a field has sources, sinks, vortices and saddles, and how surely.

Every posterior sample is looked through, and what is found is counted: a probability for each cell, and clusters for
what is one zero in most samples. The index is exact in each sample, see `surface._poincare` and `singularity._volume`;
clusters are formed as written in `singularity._clusters`. RVGP's own features are thresholds on the divergence and curl
of one reconstruction in a flattened plane, without index and without uncertainty.
"""

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Ge, Gt, Le

from voxfield.artifacts import FieldSamples, ImageSeries, Mesh, Metrics, PointSamples, Table
from voxfield.errors import InputError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voxfield.fields.singularity._cells import Cells, Zeros
    from voxfield.fields.singularity._clusters import Cluster

CLUSTER_COLUMNS = (
    "frame", "cluster", "x_mm", "y_mm", "z_mm", "spread_mm", "index", "probability",
    "source", "sink", "vortex", "saddle", "expected_index", "expected_count",
)  # fmt: skip
CELL_COLUMNS = (
    "frame", "cell", "x_mm", "y_mm", "z_mm", "source", "sink", "vortex", "saddle", "expected_index",
)  # fmt: skip


class Singularities(NamedTuple):
    """What `fields.singularities` makes."""

    clusters: Table
    cells: Table
    metrics: Metrics
    probability: ImageSeries | None


@stage(resources=Resources(mem_mb=4000, runtime=20), version=1)
def singularities(
    points: PointSamples | None = None,
    mesh: Mesh | None = None,
    lumen: FieldSamples | None = None,
    *,
    merge_mm: Annotated[float, Gt(0), Le(1000)] | None = None,
    min_probability: Annotated[float, Ge(0), Le(1)] = 0.1,
    ctx: Context = Context(),
) -> Singularities:
    """Find the zeros of a vector field in each posterior sample, and tell where they are with which probability.

    points  (s, n, 3) samples at the vertices of `mesh`, or (s, n, 2) in the plane, where Delaunay triangles are made
    mesh    oriented manifold surface with the points as its vertices, in the same order
    lumen   (s, t, n, 3) samples on the voxels of a lumen, instead of points; each in the lumen drawn for it

    Returns `clusters`: zeros that are one in most samples; place (the z of a plane is 0) and spread in mm, the
    likeliest net index and the share of samples that have just this one (`probability`), the share with at least one
    source, sink, vortex or saddle in the cluster, and the means of net index and number. `cells` has a row for each
    triangle, or cube between eight voxels, that holds a zero in any sample: the shares of samples with one of each
    kind, and the mean index. `probability`, of a lumen alone: (x, y, z, t) the share of samples with a zero, a voxel a
    cube. `metrics`: numbers of samples and cells, mean numbers of each kind a sample, and on surfaces the Euler
    characteristic and the smallest and largest index sum of a sample; on a closed one all three are equal.

    In a plane or surface a zero of index -1 is a saddle, and one of +1 a vortex where its curl exceeds its divergence
    in size, or else a source or sink. In a lumen the index is the degree: +1 for a source, -1 for a sink, and the sign
    of the Jacobian determinant for a saddle; a saddle in whose plane the flow spirals counts as a vortex.

    Settings
    merge_mm: standard deviation of the smoothing by which zeros of different samples are seen as one, mm; none takes
        what fits how far zeros move from sample to sample, and at least two cells
    min_probability: clusters that are found in a smaller share of the samples are not listed

    Raises InputError for points that are not the vertices, scalar samples, a surface that is not an oriented manifold,
    and points in space without a mesh.
    """
    if points is not None and lumen is None:
        return _on_surface(points, mesh, merge_mm, min_probability, ctx)
    if lumen is not None and points is None and mesh is None:
        return _in_lumen(lumen, merge_mm, min_probability)
    raise InputError("give samples of one domain: `points`, with `mesh` where they are in space, or `lumen` alone")


def _on_surface(
    points: PointSamples, mesh: Mesh | None, merge_mm: float | None, min_probability: float, ctx: Context
) -> Singularities:
    import numpy as np

    from voxfield.fields.singularity._search import on_surface

    surface, values = _surface(points, mesh)
    resting = int((~values.any(axis=2)).sum())
    if resting:
        text = f"{resting} vectors of the samples are exactly 0; the index next to them is arbitrary"
        ctx.finding("zero-vectors", "warning", text, file=points.file, value=resting)
    cells, zeros = on_surface(surface, values)
    sums = np.bincount(zeros.sample, zeros.index, minlength=len(points))
    facts = {
        "euler_characteristic": surface.euler_characteristic, "closed": surface.is_closed,
        "index_sum_smallest": int(sums.min()), "index_sum_largest": int(sums.max()),
    }  # fmt: skip
    return Singularities(*_tables(cells, [zeros], len(points), merge_mm, min_probability, facts), None)


def _surface(points: PointSamples, mesh: Mesh | None) -> "tuple[Mesh, NDArray[np.float32]]":
    """The mesh, made where the points lie in a plane, and vectors (s, n, 3) at its vertices."""
    import numpy as np

    from voxfield.fields.singularity._cells import planar_mesh

    axes, components = points.points.shape[1], points.values.shape[2]
    if components != axes:
        raise InputError("its samples are scalars; a zero of a vector field needs vectors", file=points.file)
    if mesh is None:
        if axes != 2:
            raise InputError(f"its points have {axes} coordinates; give the mesh of their surface", file=points.file)
        return planar_mesh(points.points, points.file), np.pad(points.values, ((0, 0), (0, 0), (0, 1)))
    if points.points.shape != mesh.vertices.shape or not _same_places(points.points, mesh):
        raise InputError(
            f"its {len(points.points)} points are not the {len(mesh.vertices)} vertices of the mesh; predict the field "
            "at these, in their order", file=points.file,
        )  # fmt: skip
    return mesh, points.values


def _same_places(points: "NDArray[np.float64]", mesh: Mesh) -> bool:
    """To a ten-thousandth of the size of the mesh: files of 32-bit coordinates agree that well."""
    import numpy as np

    size = np.ptp(mesh.vertices, axis=0).max()
    return bool(np.abs(points - mesh.vertices).max() <= 1e-4 * size)


def _in_lumen(lumen: FieldSamples, merge_mm: float | None, min_probability: float) -> Singularities:
    import numpy as np

    from voxfield.fields.singularity._search import in_lumen

    if lumen.values.shape[3] != 3:
        raise InputError("its samples are scalars; a zero of a vector field needs vectors", file=lumen.file)
    cells, lowest, frames = in_lumen(lumen)
    if not len(lowest):
        raise InputError(
            "no eight voxels of its lumen make a cube; expected a lumen of two voxels across", file=lumen.file
        )
    share = np.zeros((*lumen.mask.shape, len(frames)), dtype=np.float32)
    for frame, zeros in enumerate(frames):
        share[(*lowest.T, frame)] = _share(zeros.sample, zeros.cell, len(lowest), len(lumen))
    affine = lumen.affine
    affine[:3, 3] = lumen.grid.world([0.5, 0.5, 0.5])  # a cube has its centre between voxels
    made = _tables(cells, frames, len(lumen), merge_mm, min_probability, {})
    return Singularities(*made, ImageSeries(share, affine))


def _tables(
    cells: "Cells", frames: "list[Zeros]", samples: int, merge_mm: float | None, least: float, facts: dict[str, Any]
) -> tuple[Table, Table, Metrics]:
    from voxfield.fields.singularity._clusters import clusters, natural_width
    from voxfield.fields.surface._poincare import PLURALS, Kind

    widths = [natural_width(cells, zeros, samples) if merge_mm is None else merge_mm for zeros in frames]
    cluster_rows, cell_rows = [], []
    for frame, (zeros, width) in enumerate(zip(frames, widths, strict=True)):
        likely = [c for c in clusters(cells, zeros, samples, width) if c.probability >= least]
        cluster_rows += [_cluster_row(frame, number, c) for number, c in enumerate(likely, 1)]
        cell_rows += _cell_rows(frame, cells, zeros, samples)
    total = samples * len(frames)
    facts |= {
        f"mean_{PLURALS[kind]}": sum(int((zeros.kind == kind).sum()) for zeros in frames) / total for kind in Kind
    }
    facts |= {"samples": samples, "frames": len(frames), "cells": len(cells.sizes), "merge_mm": max(widths)}
    clustered, counted = Table.from_rows(cluster_rows, CLUSTER_COLUMNS), Table.from_rows(cell_rows, CELL_COLUMNS)
    return clustered, counted, Metrics(facts)


def _cluster_row(frame: int, number: int, cluster: "Cluster") -> dict[str, Any]:
    x, y, z = cluster.place.tolist()
    row = {"frame": frame, "cluster": number, "x_mm": x, "y_mm": y, "z_mm": z, "spread_mm": cluster.spread}
    row |= {"index": cluster.index, "probability": cluster.probability}
    row |= {kind.name.lower(): share for kind, share in cluster.kinds.items()}
    return row | {"expected_index": cluster.expected_index, "expected_count": cluster.expected_count}


def _cell_rows(frame: int, cells: "Cells", zeros: "Zeros", samples: int) -> list[dict[str, Any]]:
    """One row for each cell with a zero in any sample."""
    import numpy as np

    from voxfield.fields.surface._poincare import Kind

    held, place = np.unique(zeros.cell, return_inverse=True)
    index = np.bincount(place, zeros.index, minlength=len(held)) / samples
    columns = {"cell": held, "expected_index": index}
    columns |= dict(zip(("x_mm", "y_mm", "z_mm"), cells.centres[held].T, strict=True))
    for kind in Kind:
        of_kind = zeros.kind == kind
        columns[kind.name.lower()] = _share(zeros.sample[of_kind], place[of_kind], len(held), samples)
    names = list(columns)
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [{"frame": frame, **dict(zip(names, row, strict=True))} for row in rows]


def _share(sample: "NDArray[np.int64]", cell: "NDArray[np.int64]", cells: int, samples: int) -> "NDArray[np.float64]":
    """(cells,) share of the samples with a zero in each cell; several in one sample count once."""
    import numpy as np

    once = np.unique(sample * cells + cell) % max(cells, 1)
    return np.bincount(once, minlength=cells) / samples
