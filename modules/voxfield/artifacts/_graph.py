"""Graph: nodes and directed edges with values, as GraphML."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from voxfield.artifacts._base import DEFAULT_LIMITS, Artifact, Inspection, Limits
from voxfield.artifacts._files import open_origin
from voxfield.artifacts._table import _plain
from voxfield.artifacts._xml import read_xml
from voxfield.errors import InputError

if TYPE_CHECKING:
    from typing import Self

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from voxfield.findings import Findings

Columns = dict[str, list[Any]]
XMLNS = "http://graphml.graphdrawing.org/xmlns"
TYPES: dict[str, type] = {"string": str, "long": int, "int": int, "double": float, "float": float}


class Graph(Artifact):
    """A directed graph, as for graph libraries and drawing programs.

    ends   (m, 2) int64, source and target of each edge, as places among the nodes
    nodes  name -> one value a node: text, int, float or None
    edges  name -> one value an edge
    count  number of nodes
    """

    suffix = ".graphml"

    def __init__(
        self,
        count: int,
        ends: ArrayLike,
        nodes: Mapping[str, Sequence[Any]] | None = None,
        edges: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        import numpy as np

        super().__init__()
        self.count = count
        self.ends: NDArray[np.int64] = np.asarray(ends, dtype=np.int64).reshape(-1, 2)
        self.nodes: Columns = {name: [_plain(v) for v in values] for name, values in (nodes or {}).items()}
        self.edges: Columns = {name: [_plain(v) for v in values] for name, values in (edges or {}).items()}
        wrong = [f"nodes {k} {len(v)}" for k, v in self.nodes.items() if len(v) != count]
        wrong += [f"edges {k} {len(v)}" for k, v in self.edges.items() if len(v) != len(self.ends)]
        if wrong:
            text = f"a graph of {count} nodes and {len(self.ends)} edges has one value each; found {', '.join(wrong)}"
            raise InputError(text)
        if len(self.ends) and not 0 <= self.ends.min() <= self.ends.max() < count:
            text = f"edges name the nodes {self.ends.min()} to {self.ends.max()}; there are {count}"
            raise InputError(text)

    @classmethod
    def load(cls, path: str | Path, *, limits: Limits = DEFAULT_LIMITS, findings: Findings | None = None) -> Self:
        """Read one graph without nested graphs, hyperedges or ports."""
        origin = open_origin(path)
        graph = read_xml(origin, limits, "GraphML", lambda root: cls(*_parse(root)))
        graph._opened(origin, findings)
        return graph

    def save(self, path: str | Path) -> None:
        """Write `.graphml`; a float keeps every digit, None is left out."""
        Path(path).write_text("\n".join(self._xml()) + "\n", encoding="utf-8")

    def _xml(self) -> Iterator[str]:
        from xml.sax.saxutils import quoteattr

        yield '<?xml version="1.0" encoding="UTF-8"?>'
        yield f'<graphml xmlns="{XMLNS}">'
        for domain, columns in (("node", self.nodes), ("edge", self.edges)):
            for place, (name, values) in enumerate(columns.items()):
                head = f'id="{domain[0]}{place}" for="{domain}"'
                yield f'<key {head} attr.name={quoteattr(name)} attr.type="{_type(values)}"/>'
        yield '<graph edgedefault="directed">'
        for number in range(self.count):
            yield f'<node id="n{number}">{_data("n", self.nodes, number)}</node>'
        for number, (source, target) in enumerate(self.ends.tolist()):
            yield f'<edge source="n{source}" target="n{target}">{_data("e", self.edges, number)}</edge>'
        yield "</graph></graphml>"

    def _check(self, inspection: Inspection) -> None:
        for name, values in (*self.nodes.items(), *self.edges.items()):
            if any(isinstance(value, float) and not math.isfinite(value) for value in values):
                inspection.refuse(f"values {name!r} hold Infinity; expected finite numbers or nothing")
            if any(isinstance(value, str) and not value.isprintable() for value in values):
                inspection.refuse(f"values {name!r} hold control characters, which XML can not; expected plain text")
        if not self.count:
            inspection.note("empty-graph", "warning", "the graph has no node")


def _type(values: Sequence[Any]) -> str:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int} and kinds:
        return "long"
    return "double" if kinds <= {int, float} else "string"


def _data(domain: str, columns: Columns, number: int) -> str:
    from xml.sax.saxutils import escape

    parts = []
    for place, values in enumerate(columns.values()):
        value = values[number]
        if value is not None:
            text = escape(value) if isinstance(value, str) else repr(value)
            parts.append(f'<data key="{domain}{place}">{text}</data>')
    return "".join(parts)


def _parse(root: ET.Element) -> tuple[int, list[list[int]], Columns, Columns]:
    space = {"g": XMLNS}
    graph = root.find("g:graph", space)
    if graph is None:
        raise ValueError("no graph")
    keys = root.findall("g:key", space)
    nodes, edges = graph.findall("g:node", space), graph.findall("g:edge", space)
    place = {str(node.get("id")): number for number, node in enumerate(nodes)}
    if len(place) != len(nodes):
        raise ValueError("two nodes have one id")
    ends = [[place[str(edge.get("source"))], place[str(edge.get("target"))]] for edge in edges]
    return len(nodes), ends, _columns("node", nodes, keys), _columns("edge", edges, keys)


def _columns(domain: str, elements: list[ET.Element], keys: list[ET.Element]) -> Columns:
    """Values by name, None where an element has none."""
    known = {
        str(key.get("id")): (str(key.get("attr.name")), TYPES[str(key.get("attr.type"))])
        for key in keys
        if key.get("for") in (domain, "all")
    }
    columns: Columns = {name: [None] * len(elements) for name, _ in known.values()}
    for number, element in enumerate(elements):
        for data in element.findall(f"{{{XMLNS}}}data"):
            name, kind = known[str(data.get("key"))]
            columns[name][number] = kind(data.text or "")
    return columns
