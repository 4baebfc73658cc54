"""The stage `pde.distance`: how far from the sources, or how late, by paths that stay inside a mask."""

from typing import Literal, NamedTuple

from voxfield.artifacts import Image, LabelMap, Metrics, PartialImage, Picture
from voxfield.stage import Context, Resources, stage


class Distance(NamedTuple):
    """What `pde.distance` makes; NaN in all images outside the mask and where no path leads.

    distance    (x, y, z) mm, or s where a speed is given
    difference  (x, y, z) heat minus eikonal, same unit; with method "both"
    nearest     (x, y, z) label of the source that the shortest path comes from, 0 elsewhere; not with method "heat"
    metrics     sizes, error estimates, and how far the methods agree
    picture     distance, and difference, in three planes
    """

    distance: PartialImage
    difference: PartialImage | None
    nearest: LabelMap | None
    metrics: Metrics
    picture: Picture


@stage(resources=Resources(mem_mb=4000, runtime=30), version=1)
def distance(
    mask: LabelMap,
    sources: LabelMap,
    speed: Image | None = None,
    *,
    method: Literal["eikonal", "heat", "both"] = "both",
    source_labels: tuple[int | str, ...] = (),
    ctx: Context = Context(),
) -> Distance:
    """Geodesic distance from labelled sources inside a mask, or arrival times for a given speed.

    Paths go through voxels that share a face. Distances are from the centres of the source voxels.

    mask     (x, y, z) every label above 0 is inside, but for the unannotated one
    sources  (x, y, z) on the same grid; labels above 0 are sources where they lie in the mask
    speed    (x, y, z) on the same grid, positive in the mask, unit mm/s, cm/s or m/s; without it the result is a
             distance, with it a time in s

    The eikonal equation |grad T| = 1 / speed is solved by upwind differences of second order. Straight from a source at
    uniform speed the result is exact. Where a path bends around an edge of the mask it is up to a fifth of a voxel too
    long, where speed varies up to a voxel; along the stairs of a curved wall these add up, to three voxels in half a
    turn. The heat method (Crane et al. 2013) takes another way to the same numbers and comes within about a voxel, more
    behind such stairs, where the speed changes little from voxel to voxel; where the two are further apart than
    that and its error estimate allow, a finding says so.

    Findings: unreached, source-outside, methods-disagree.

    Settings
    method: "eikonal", "heat", or "both" to have one check the other; with "both" the distance is the eikonal one.
    source_labels: labels or names in `sources` that are sources; none for all.

    Raises InputError for an empty mask, no source voxel in it, different or sheared grids, a speed without unit
    and one that is not positive; SettingsError for a source label that does not occur.
    """
    from voxfield.pde.geodesic._output import packed
    from voxfield.pde.geodesic._problem import posed
    from voxfield.pde.geodesic._solve import solved

    problem = posed(mask, sources, speed, source_labels, ctx)
    return Distance(*packed(problem, solved(problem, method), mask, sources, ctx))
