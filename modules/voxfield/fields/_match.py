"""The stage `fields.match`: which point of one surface is which of another, and what moves between their densities.

Functional maps with a sliced-transport term (`matching._functional_map`) and Sinkhorn with sparse Newton steps
(`matching._transport`); both cite their papers and say what differs.
"""

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Ge, Gt, Le

from voxfield.artifacts import Mesh, Metrics, PointField, Table
from voxfield.errors import InputError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voxfield.fields.manifold._domain import Domain

FEWEST = 24
FAR = 0.2  # mean change of distances above which the surfaces are no bent copies of each other
UNMOVED = 1e-8  # error of the marginals, out of 1, that is worth telling
LEAST = 1e-3  # entries of a plan are listed that hold this share of what leaves or arrives at a vertex


class Match(NamedTuple):
    """What `fields.match` makes."""

    matches: Table
    metrics: Metrics
    plan: Table | None


@stage(resources=Resources(mem_mb=4000, runtime=30), version=2)
def match(
    source: Mesh,
    target: Mesh,
    source_density: PointField | None = None,
    target_density: PointField | None = None,
    *,
    eigenfunctions: Annotated[int, Ge(6), Le(500)] = 80,
    isometry: Annotated[float, Ge(0)] = 100.0,
    transport: Annotated[float, Ge(0)] = 1.0,
    blur_mm: Annotated[float, Gt(0)] | None = None,
    ctx: Context = Context(),
) -> Match:
    """Match two surfaces that are bent copies of each other, and transport a density from one to the other.

    source, target   surfaces of one piece, mm; every vertex belongs to a triangle
    source_density   (n, 1) at the vertices of `source`, 0 or more, per area; with `target_density` or not at all
    target_density   (m, 1) at the vertices of `target`

    Returns `matches`, a row for each vertex of the target: the vertex of the source that it is, and its place, mm;
    `plan`, where there are densities: how much of the whole goes from which source vertex to which target vertex,
    at least 0.1 % of what either of them holds; and `metrics`: the mean change of the distances between vertices under
    the map, relative to their mean, which needs no truth; the ratio of the areas (the surfaces are compared at equal
    area); and for densities the root of the mean squared way of the mass (distances along the source, from a vertex to
    the match of its goal), the error of the marginals, and the numbers of steps.

    Settings
    eigenfunctions: of each Laplacian in the final map, at most a quarter of the vertices
    isometry: weight of the preservation of distances, against descriptors
    transport: weight of the sliced-transport term; a map without it is made too, and the one that changes distances
        less is kept
    blur_mm: width by which the entropy of the plan blurs it, mm; none takes the spacing of the source

    A surface with a mirror or rotation symmetry has several maps that are equally good. Raises InputError for surfaces
    in several pieces or of fewer than 24 vertices, negative densities, and one density without the other.

    Source: Ovsjanikov et al., ACM TOG 2012; Le et al., CVPR 2024; Melzi et al., ACM TOG 2019; Tang et al., ICLR 2024.
    """
    from voxfield.fields.manifold._mesh import from_mesh
    from voxfield.fields.matching._basis import basis
    from voxfield.fields.matching._match_points import Surface, match_points

    if (source_density is None) != (target_density is None):
        raise InputError("give both `source_density` and `target_density`, or neither")
    first, second = from_mesh(source), from_mesh(target)
    for mesh, domain in ((source, first), (target, second)):
        if len(domain) < FEWEST:
            raise InputError(f"has {len(domain)} vertices; expected at least {FEWEST}", file=mesh.file)
        if domain.component.any():
            raise InputError(f"has {domain.component.max() + 1} pieces; expected a surface of one", file=mesh.file)
    here, there = basis(first, eigenfunctions), basis(second, eigenfunctions)
    points, change = match_points(Surface(first, here), Surface(second, there), isometry, transport, ctx.rng())
    facts: dict[str, Any] = {
        "eigenfunctions": min(here.values.size, there.values.size), "distance_change": change,
        "area_ratio": float(second.mass.sum() / first.mass.sum()),
    }  # fmt: skip
    if change > FAR:
        text = f"distances change by {change:.0%} under the map: the surfaces are no bent copies, or the map is wrong"
        ctx.finding("distances-change", "warning", text, value=change)
    plan = None
    if source_density is not None and target_density is not None:
        plan, moved = _transport(first, second, points, source_density, target_density, blur_mm)
        facts |= moved
        if moved["marginal_error"] > UNMOVED:
            text = f"{moved['marginal_error']:.1e} of the mass is out of place after the last step; raise blur_mm"
            ctx.finding("transport-unfinished", "warning", text, value=moved["marginal_error"])
    place = source.vertices[points]
    columns = {"vertex": range(len(points)), "source_vertex": points.tolist()}
    columns |= {f"{axis}_mm": place[:, k].tolist() for k, axis in enumerate("xyz")}
    return Match(Table(columns), Metrics(facts), plan)


def _transport(
    first: "Domain", second: "Domain", points: "NDArray[np.int64]", source: PointField, target: PointField,
    blur_mm: float | None,
) -> tuple[Table, dict[str, Any]]:  # fmt: skip
    import numpy as np

    from voxfield.fields.matching._densities import carry, masses

    here, there = masses(source.vectors, first.mass, source.file), masses(target.vectors, second.mass, target.file)
    found, cost = carry(first, points, here, there, first.spacing if blur_mm is None else blur_mm)
    leaving, arriving = found.mass.sum(axis=1, keepdims=True), found.mass.sum(axis=0)
    i, j = np.nonzero((found.mass >= LEAST * leaving) | (found.mass >= LEAST * arriving))
    columns = {"source_vertex": here[0][i], "target_vertex": there[0][j], "share": found.mass[i, j]}
    return Table({name: column.tolist() for name, column in columns.items()}), {
        "transport_mm": float(np.sqrt((found.mass * cost).sum())), "marginal_error": found.error,
        "sinkhorn_rounds": found.scalings, "newton_steps": found.newton,
    }  # fmt: skip
