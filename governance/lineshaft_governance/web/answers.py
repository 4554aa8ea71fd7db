"""One page as people and as machines read it: HTML, JSON with every value, CSV of its main table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment
from starlette.responses import HTMLResponse, JSONResponse, Response

from lineshaft_governance.results import json_ready
from lineshaft_governance.web.parts import Page

SHOWN = "shown"
"""The key of what only people look at: pictures."""


def answer(page: Page, template: Environment, name: str, *, wanted: str, around: Mapping[str, Any]) -> Response:
    """Return a page in the form wanted: "json", "csv", or HTML with what stands around every page."""
    if wanted in {"json", "csv"}:
        plain = {key: value for key, value in page.items() if key not in {SHOWN, "table", "waiting"}}
        if wanted == "json":
            return JSONResponse(json_ready(plain))
        rows = page.get("table", [])
        named = {"content-disposition": f'attachment; filename="{_file(page["title"])}.csv"'}
        return Response(table_text(rows), media_type="text/csv; charset=utf-8", headers=named)
    return HTMLResponse(template.get_template(name).render(**page, **around))


def table_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write rows as CSV under the names of all their columns; lists and mappings as JSON.

    >>> print(table_text([{"name": "=1+1", "tags": ["a"]}, {"name": "b", "at": 5}]).strip())
    name,tags,at
    '=1+1,"[""a""]",
    b,,5
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return written.getvalue()


def _cell(value: Any) -> Any:
    """Return a value as a cell: a text that a spreadsheet would run is quoted."""
    if isinstance(value, dict | list | tuple):
        value = json.dumps(json_ready(value), sort_keys=True, default=str)
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return "" if value is None else value


def _file(title: str) -> str:
    """Return a title as the name of a file.

    >>> _file('Drift of "a/b"')
    'Drift-of-a-b'
    """
    return "-".join("".join(c if (c.isascii() and c.isalnum()) or c in "_@." else " " for c in title).split())[:80]
