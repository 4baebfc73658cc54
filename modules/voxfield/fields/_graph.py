"""The stage `fields.graph`: points, a mesh or a mask -> the domain that a field lives on."""

from typing import Annotated, NamedTuple

from annotated_types import Ge, Le

from voxfield.artifacts import LabelMap, Manifold, Mesh, Metrics, PointField
from voxfield.errors import InputError, SettingsError, about
from voxfield.stage import Context, Resources, stage

UNSURE_FRAME = 0.2


class Domain(NamedTuple):
    """What `fields.graph` makes."""

    domain: Manifold
    metrics: Metrics


@stage(resources=Resources(mem_mb=4000, runtime=10), version=1)
def graph(
    points: PointField | None = None,
    mesh: Mesh | None = None,
    mask: LabelMap | None = None,
    *,
    neighbours: Annotated[int, Ge(4), Le(30)] = 12,
    dimension: Annotated[int, Ge(1), Le(16)] | None = None,
    spacing: Annotated[float, Ge(0)] = 0.0,
    ctx: Context = Context(),
) -> Domain:
    """Find the tangent spaces of a manifold and join its points by edges that stay on it.

    points  (n, d) scattered points; their vectors are not looked at, their frames are taken where there are any, such
            as from known normals
    mesh    a surface instead: frames from its normals, edges and weights from its triangles
    mask    voxels instead: foreground voxels that share a face are joined, in flat space

    Exactly one of the three. `domain` has the points in their order (voxels in C order). Points of two sheets are kept
    apart down to a gap of about one mean spacing, without normals (see `manifold._patches`).

    `metrics`: points, dimension, edges, pieces (connected), mean_spacing (median length of an edge), frame_error_rad
    (root mean square of the estimated angle between frames and tangent spaces; null where frames are given),
    mirrored_share (of edges across which the orientation flips). Findings: several-pieces, not-orientable,
    frames-unsure.

    Settings
    neighbours: edges that each scattered point begins
    dimension: of the manifold; by default estimated from the points
    spacing: thin scattered points by farthest-point sampling until none left out is farther than this from one kept,
        unit of the points; 0 keeps all

    Raises InputError for duplicate points, fewer than 16, frames that are not orthonormal or not of `dimension`, voxels
    without a neighbour, and vertices without a triangle or a normal.

    Source: the graph of RVGP, arXiv 2309.16746; what differs is told in `manifold._patches` and `manifold._cloud`.
    """
    import numpy as np

    from voxfield.fields import manifold

    if points is None and (dimension is not None or spacing > 0):
        raise SettingsError("dimension and spacing are for scattered points; a mesh and a mask have their own")
    if points is not None and mesh is None and mask is None:
        kept = np.arange(len(points.points))
        if spacing > 0:
            kept = np.sort(manifold.farthest_points(points.points, len(kept), spacing=spacing))
        frames = None if points.frames is None else points.frames[kept]
        with about(points.file):
            found = manifold.from_points(points.points[kept], neighbours=neighbours, dimension=dimension, frames=frames)
    elif mesh is not None and points is None and mask is None:
        found = manifold.from_mesh(mesh)
    elif mask is not None and points is None and mesh is None:
        found = manifold.from_mask(mask)
    else:
        raise InputError("expected points, a mesh or a mask, and just one of them")
    pieces = int(found.component.max()) + 1
    error = float(np.sqrt(np.mean(np.square(found.frame_error))))
    if pieces > 1:
        text = f"the domain has {pieces} pieces; nothing is carried from one to another"
        ctx.finding("several-pieces", "info", text, value=pieces)
    if found.mirrored_share > 0:
        text = f"{found.mirrored_share:.2%} of the edges flip the orientation: a one-sided surface, or unsure frames"
        ctx.finding("not-orientable", "warning", text, value=found.mirrored_share)
    if error > UNSURE_FRAME:
        text = f"tangent frames are unsure by {error:.2f} rad: the points are sparse beside the curvature"
        ctx.finding("frames-unsure", "warning", text, value=error)
    facts = {
        "points": len(found),
        "dimension": found.dimension,
        "edges": len(found.edges),
        "pieces": pieces,
        "mean_spacing": found.spacing,
        "frame_error_rad": error if found.frame_error.any() else None,
        "mirrored_share": found.mirrored_share,
    }
    content = (found.points, found.frames, found.edges, found.weights, found.mass, found.frame_error)
    return Domain(Manifold(*content), Metrics(facts))
