"""What is written of a traced forest: polyline, branch table, loop table and graph, all in world mm."""

from collections import Counter
from typing import NamedTuple

import numpy as np

from voxfield.artifacts import Graph, Polyline, Table
from voxfield.segmentation.tree._angles import junction_angles
from voxfield.segmentation.tree._branches import Branch
from voxfield.segmentation.tree._nodes import Nodes, distance_along
from voxfield.segmentation.tree._skeleton import Floats, Ints
from voxfield.segmentation.tree._trace import Trace

BRANCH_COLUMNS = (
    "branch", "parent", "generation", "length_mm", "radius_mean_mm", "radius_min_mm", "radius_distal_mm",
    "stenosis", "bridge", "start_x_mm", "start_y_mm", "start_z_mm", "end_x_mm", "end_y_mm", "end_z_mm",
    "tree", "opening", "angle_branching_deg", "angle_sibling_deg",
)  # fmt: skip
LOOP_COLUMNS = ("loop", "first_branch", "second_branch", "x_mm", "y_mm", "z_mm", "radius_mm", "length_mm")


class Forest(NamedTuple):
    """A traced forest in the world.

    world     (n, 3) nodes, mm, RAS+
    opening   node -> label of the opening there
    loops     (l, 3) places where a loop was broken, mm, RAS+
    """

    trace: Trace
    branches: list[Branch]
    world: Floats
    opening: dict[int, int]
    loops: Floats

    @property
    def tree(self) -> Ints:
        """Number of the tree, from 1, of each path."""
        return np.asarray(np.cumsum(self.trace.nodes.above < 0))


def polyline(forest: Forest) -> Polyline:
    """One line a branch, with radius, branch, generation, tree, arc length and bridge at its points."""
    world, nodes = forest.world, forest.trace.nodes
    number = np.zeros(len(world), np.int64)
    generation = np.zeros(len(world), np.int64)
    arc = np.zeros(len(world))
    for place, branch in enumerate(forest.branches):
        own = branch.row if branch.parent < 0 else branch.row[1:]
        number[own], generation[own] = place, branch.generation
        arc[branch.row] = arc[branch.row[0]] + distance_along(world[branch.row])
    values = {
        "radius_mm": forest.trace.radius,
        "branch": number,
        "generation": generation,
        "tree": forest.tree[nodes.path],
        "arc_length_mm": arc,
        "bridge": forest.trace.on_bridge.astype(np.int64),
    }
    return Polyline(world, [branch.row for branch in forest.branches], values)


def branch_table(forest: Forest) -> Table:
    """One row a branch, parents first."""
    nodes, tree = forest.trace.nodes, forest.tree
    branching, sibling = junction_angles(nodes)
    rows = []
    for number, branch in enumerate(forest.branches):
        first, last = int(branch.row[0]), int(branch.row[-1])
        path = int(nodes.path[last])
        at_junction = first == int(nodes.rows[path][0])
        rows.append({
            "branch": number, "parent": branch.parent, "generation": branch.generation, "length_mm": branch.length,
            "radius_mean_mm": branch.mean, "radius_min_mm": branch.least, "radius_distal_mm": branch.distal,
            "stenosis": branch.stenosis, "bridge": int(branch.bridge),
            **_place("start_", forest.world[first]), **_place("end_", forest.world[last]), "tree": int(tree[path]),
            "opening": forest.opening.get(last, forest.opening.get(first) if branch.parent < 0 else None),
            "angle_branching_deg": branching[path] if at_junction else None,
            "angle_sibling_deg": sibling[path] if at_junction else None,
        })  # fmt: skip
    return Table.from_rows(rows, BRANCH_COLUMNS)


def loop_table(forest: Forest) -> Table:
    """One row a broken loop: the branches on both sides, the place, the radius there, and the way around."""
    rows, owner = [], _owners(forest)
    for number, (loop, place) in enumerate(zip(forest.trace.loops, forest.loops, strict=True)):
        sides = [_nearest(forest, place, path) for path in loop.sides]
        around = _way_between(forest.trace.nodes, *sides) + _distance(*forest.world[sides])
        radius = forest.trace.radius[sides]
        rows.append({
            "loop": number, "first_branch": int(owner[sides[0]]), "second_branch": int(owner[sides[1]]),
            **_place("", place), "radius_mm": float(radius.min()), "length_mm": around,
        })  # fmt: skip
    return Table.from_rows(rows, LOOP_COLUMNS)


def graph(forest: Forest, branches: Table, loops: Table) -> Graph:
    """Roots, junctions and ends as nodes, branches as edges, and one more edge for each broken loop."""
    stops = sorted({int(branch.row[side]) for branch in forest.branches for side in (0, -1)})
    number = {node: place for place, node in enumerate(stops)}
    ends = [[number[int(branch.row[0])], number[int(branch.row[-1])]] for branch in forest.branches]
    rows = [{**row, "loop": None} for row in branches.rows()]
    for row in loops.rows():
        place = np.array([row[f"{axis}_mm"] for axis in "xyz"])
        sides = [forest.branches[row[side]].row[[0, -1]] for side in ("first_branch", "second_branch")]
        ends.append([number[int(pair[np.linalg.norm(forest.world[pair] - place, axis=1).argmin()])] for pair in sides])
        rows.append({"loop": row["loop"], "length_mm": _distance(*forest.world[[stops[n] for n in ends[-1]]])})
    nodes = {f"{axis}_mm": forest.world[stops, place].tolist() for place, axis in enumerate("xyz")}
    nodes["radius_mm"] = forest.trace.radius[stops].tolist()
    begins, ends_at = (Counter(int(branch.row[side]) for branch in forest.branches) for side in (0, -1))
    kinds = [_kind(begins[node], ends_at[node]) for node in stops]
    names = [name for name in BRANCH_COLUMNS if not name.startswith(("start_", "end_"))] + ["loop"]
    edges = {name: [row.get(name) for row in rows] for name in names}
    openings = [forest.opening.get(node) for node in stops]
    return Graph(len(stops), ends, {**nodes, "kind": kinds, "opening": openings}, edges)


def _kind(begins: int, ends: int) -> str:
    """What a node is where so many branches begin and end."""
    if not ends:
        return "root"
    return "end" if not begins else "junction" if begins > 1 else "bridge"


def _place(side: str, point: Floats) -> dict[str, float]:
    return {f"{side}{axis}_mm": value for axis, value in zip("xyz", point.tolist(), strict=True)}


def _distance(one: Floats, other: Floats) -> float:
    return float(np.linalg.norm(one - other))


def _nearest(forest: Forest, place: Floats, path: int) -> int:
    """The node of a path that is nearest to a place."""
    row = forest.trace.nodes.rows[path]
    return int(row[np.linalg.norm(forest.world[row] - place, axis=1).argmin()])


def _owners(forest: Forest) -> Ints:
    """The branch that each node lies on; at a junction the one that ends there, at a root the first that begins."""
    owner = np.full(len(forest.trace.radius), -1)
    for number, branch in reversed(list(enumerate(forest.branches))):
        owner[branch.row if branch.parent < 0 else branch.row[1:]] = number
    return owner


def _way_between(nodes: Nodes, one: int, other: int) -> float:
    """Length of the way between two nodes of a tree, mm."""
    ways = []
    for node in (one, other):
        way = [node]
        while nodes.parent[way[-1]] >= 0:
            way.append(int(nodes.parent[way[-1]]))
        ways.append(way[::-1])
    shared = sum(a == b for a, b in zip(*ways, strict=False))
    lines = [nodes.points[way[max(shared - 1, 0) :]] for way in ways]
    return float(sum(distance_along(line)[-1] for line in lines))
