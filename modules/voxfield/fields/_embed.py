"""The stage `fields.embed`: a point cloud laid out so that distances are those along its manifold.

Distances come from heat on a graph of the points (`embedding._heat`, which cites the paper and says what differs), the
layout from metric scaling (`embedding._scaling`).
"""

from typing import Annotated, NamedTuple

from annotated_types import Ge, Gt, Le

from voxfield.artifacts import Metrics, PointField, Table
from voxfield.errors import InputError
from voxfield.stage import Context, Resources, stage

FEWEST, MOST = 16, 6000


class HeatEmbedding(NamedTuple):
    """What `fields.embed` makes."""

    embedding: Table
    metrics: Metrics


@stage(resources=Resources(mem_mb=4000, runtime=20), version=1)
def embed(
    points: PointField,
    *,
    dimensions: Annotated[int, Ge(1), Le(10)] = 2,
    neighbours: Annotated[int, Ge(3), Le(200)] = 12,
    time: Annotated[float, Gt(0), Le(100)] = 1.0,
    volume: Annotated[float, Ge(0), Le(1)] = 1.0,
    triplet: Annotated[float, Ge(0), Le(1)] = 0.0,
    ctx: Context = Context(),
) -> HeatEmbedding:
    """Embed a point cloud so that straight distances are those along its manifold, by the flow of heat.

    points  (n, d) places, 16 to 6,000 of them, mm; their vectors do not count

    Returns `embedding`: a row for each point, in their order, with coordinates y1_mm, y2_mm, ... around their mean,
    axes by falling extent; and `metrics`: the stress of the layout (0 where the distances are kept exactly), and the
    correlation of the heat distances with shortest paths along edges.

    Settings
    dimensions: coordinates of the embedding
    neighbours: edges that a point begins
    time: of the heat flow, in units of the diameter of the cloud times its spacing; more averages over noise and rounds
        off what is small
    volume: weight of the correction for the amount of heat that stays at the points, 0 to 1
    triplet: share of the distances between rows of distances, 0 to 1, for noisy points

    A closed surface has no plane layout: its stress says so; ask for 3 dimensions. Raises InputError for too few or too
    many points, coinciding points, a graph that falls into parts, and a time so short that no heat arrives.

    Source: Huguet et al., A heat diffusion perspective on geodesic preserving dimensionality reduction, NeurIPS 2023.
    """
    import numpy as np

    from voxfield.fields.embedding._heat import heat_distances, shortest_ways
    from voxfield.fields.embedding._heat import neighbours as graph_of
    from voxfield.fields.embedding._scaling import scale

    del ctx  # nothing here is random
    places = points.points
    if not FEWEST <= len(places) <= MOST:
        raise InputError(f"has {len(places)} points; expected {FEWEST} to {MOST:,}, thin it out", file=points.file)
    if neighbours >= len(places):
        raise InputError(f"has {len(places)} points, too few for {neighbours} neighbours", file=points.file)
    graph = graph_of(places, neighbours, points.file)
    distances = heat_distances(graph, time, volume, triplet, points.file)
    layout, stress = scale(distances, dimensions)
    chosen, ways = shortest_ways(graph)
    agreement = float(np.corrcoef(distances[chosen].ravel(), ways.ravel())[0, 1])
    facts = {"points": len(places), "stress": stress, "correlation_with_paths": agreement, "spacing_mm": graph.spacing}
    columns = {f"y{axis}_mm": layout[:, axis - 1].tolist() for axis in range(1, dimensions + 1)}
    return HeatEmbedding(Table(columns), Metrics(facts))
