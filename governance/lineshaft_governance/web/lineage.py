"""The page of lineage: what a thing comes from and what rests on it, drawn from sensor to prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from urllib.parse import quote

from markupsafe import Markup, escape

from lineshaft.errors import NotFoundError
from lineshaft.ops.lineage import Graph, Node, Related, drawn
from lineshaft.ops.predictions import find_prediction
from lineshaft_governance.web.parts import Asked, Page, WebParts
from lineshaft_governance.web.pieces import piece

COLUMNS = ("channel", "feature", "made", "service", "model", "slot")
HEADS = ("sensor channels", "features", "on demand", "services", "model versions", "slots, predictions")
MOST = 24
"""Boxes in a column; the rest are counted."""
BOX, TALL, GAP, EDGE, HEAD = 178, 26, 8, 24, 28


def lineage(parts: WebParts, asked: Asked) -> Page:
    """Show the lineage of a name; without one, what there is to ask for."""
    look = parts.looks.at("lineage", lambda: drawn(parts.catalog, parts.registry, parts.predictions), fresh_s=15)
    graph, name = look.value, asked.word("of")
    as_of = {"lineage drawn": look.at_us}
    if graph is None:
        return {
            "title": "Lineage",
            "start": None,
            "names": [],
            "search": None,
            "table": [],
            "waiting": True,
            "as_of": as_of,
        }
    if not name:
        order = sorted(graph.nodes, key=lambda node: (_column(node), node.name))
        nodes = [node for node in order if node.kind not in {"predictions", "slot"}]
        shown, about = piece(nodes, asked, text=lambda node: f"{node.kind} {node.name} {node.detail}")
        names = [asdict(node) for node in shown]
        return {"title": "Lineage", "start": None, "names": names, "search": about, "table": names, "as_of": as_of}
    start, related, edges = _about(parts, graph, name)
    rows = [{"direction": one.direction, "steps": one.steps, **asdict(one.node)} for one in related]
    return {
        "title": f"Lineage of {name}",
        "start": asdict(start),
        "names": rows,
        "search": None,
        "table": rows,
        "shown": {"picture": picture(start, [one.node for one in related], edges)},
        "as_of": as_of,
    }


def _about(parts: WebParts, graph: Graph, name: str) -> tuple[Node, list[Related], list[tuple[Node, Node]]]:
    """Return the thing of a name, all that it comes from and that rests on it, and what comes from what of these."""
    start = next((node for node in graph.nodes if node.name == name and node.kind != "predictions"), None)
    if start is not None:
        related = graph.related(start)
        return graph.nodes[start], related, _edges(graph, [start, *(one.node for one in related)])
    try:
        row = find_prediction(parts.predictions, name)
    except NotFoundError as error:
        raise NotFoundError(f"nothing is called {name!r}", fix="search the list of names") from error
    version = Node(kind="model", name=row["version"][0].as_py())
    made = Node(kind="prediction", name=name, detail=f"score {row['score'][0].as_py()}")
    above = [one for one in graph.related(version) if one.direction == "up"]
    related = [Related(direction="up", steps=1, node=graph.nodes.get(version, version))]
    related += [replace(one, steps=one.steps + 1) for one in above]
    edges = _edges(graph, [version, *(one.node for one in above)])
    return made, related, [*edges, (version, made)]


def _edges(graph: Graph, nodes: Sequence[Node]) -> list[tuple[Node, Node]]:
    there = set(nodes)
    return [(node, below) for node in nodes for below in graph.down.get(node, ()) if below in there]


def _column(node: Node) -> int:
    if node.kind == "feature":
        return 2 if node.detail == "on demand" else 1
    return COLUMNS.index(node.kind) if node.kind in COLUMNS else len(COLUMNS) - 1


def picture(start: Node, nodes: Sequence[Node], edges: Sequence[tuple[Node, Node]]) -> Markup:
    """Draw things in columns, from sensors on the left to predictions on the right; each box leads to its own page.

    >>> a, b = Node(kind="channel", name="<v>.a"), Node(kind="feature", name="v__rms")
    >>> drawn = str(picture(a, [b], [(a, b)]))
    >>> drawn.count("<rect"), "<v>" in drawn, "/lineage?of=v__rms" in drawn
    (2, False, True)
    """
    columns: list[list[Node]] = [[] for _ in COLUMNS]
    for node in [start, *nodes]:
        if node not in columns[_column(node)]:
            columns[_column(node)].append(node)
    used = [place for place, column in enumerate(columns) if column]
    _untangled(columns, edges)
    boxes: dict[Node, tuple[float, float]] = {}
    parts = []
    for number, place in enumerate(used):
        x = number * (BOX + EDGE * 2)
        parts.append(f'<text class="head" x="{x}" y="14">{escape(HEADS[place])}</text>')
        column = (
            sorted(columns[place], key=lambda node: node != start)[:MOST] if start in columns[place] else columns[place]
        )
        for row, node in enumerate(column[:MOST]):
            boxes[node] = (x, HEAD + row * (TALL + GAP))
        if len(columns[place]) > MOST:
            y = HEAD + MOST * (TALL + GAP) + 14
            parts.append(f'<text x="{x}" y="{y}">and {len(columns[place]) - MOST} more, below</text>')
    lines = [_line(boxes[a], boxes[b]) for a, b in edges if a in boxes and b in boxes]
    drawn_boxes = [_box(node, *place, here=node == start) for node, place in boxes.items()]
    height = HEAD + min(MOST + 1, max(len(column) for column in columns)) * (TALL + GAP)
    width = len(used) * (BOX + EDGE * 2) - EDGE * 2
    head = (
        f'<svg class="picture graph" viewBox="0 0 {width} {height}" width="{width}" aria-label="What comes from what">'
    )
    return Markup(head + "".join([*lines, *parts, *drawn_boxes]) + "</svg>")  # noqa: S704 - texts were escaped above


def _untangled(columns: list[list[Node]], edges: Sequence[tuple[Node, Node]]) -> None:
    """Order each column by where its neighbours to the left stand."""
    before: dict[Node, list[Node]] = {}
    for above, below in edges:
        before.setdefault(below, []).append(above)
    for place, column in enumerate(columns):
        rows = {node: row for left in columns[:place] for row, node in enumerate(left)}

        def middle(node: Node, rows: dict[Node, int] = rows) -> tuple[float, str]:
            known = [rows[one] for one in before.get(node, ()) if one in rows]
            return (sum(known) / len(known) if known else 1e9, node.name)

        column.sort(key=middle)


def _line(a: tuple[float, float], b: tuple[float, float]) -> str:
    x1, y1, x2, y2 = a[0] + BOX, a[1] + TALL / 2, b[0], b[1] + TALL / 2
    bend = max(20.0, (x2 - x1) / 2)
    return f'<path class="edge" d="M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"/>'


def _box(node: Node, x: float, y: float, *, here: bool) -> str:
    name = node.name if len(node.name) <= 24 else f"{node.name[:9]}…{node.name[-14:]}"
    link = f"/lineage?of={quote(node.name, safe='')}"
    kind = f"box {node.kind}{' here' if here else ''}"
    return (
        f'<a href="{escape(link)}" aria-label="{escape(f"{node.kind} {node.name}")}">'
        f'<rect class="{escape(kind)}" x="{x}" y="{y}" width="{BOX}" height="{TALL}" rx="5"/>'
        f'<text x="{x + 8}" y="{y + 17}">{escape(name)}</text><title>{escape(f"{node.name} {node.detail}")}</title></a>'
    )
