"""Great Expectations, in a process of its own: `python -m lineshaft_governance.checks.expectations`.

Asked {"suite", "expectations": [{"kind", "columns", "low", "high", "mostly"}]} with a table `batch`, it answers
{"results": [{"success", "rows", "unexpected", "error"}], "fingerprint", "library"}, in the order asked; asked with
"page" it adds its own HTML page of what it found.
"""

from __future__ import annotations

import re
from typing import Any

import great_expectations as gx
import pandas as pd
import pyarrow as pa
from great_expectations import expectations
from great_expectations.render import view as gxv
from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer

from lineshaft_governance.answering import answer_requests

gxe: Any = expectations  # its names are there, but not declared to be exported

STYLE = (
    "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #8886;padding:.3rem .6rem;text-align:left}"
    "nav,.navbar,[data-toggle=tooltip]>img{display:none}:root{color-scheme:light dark}</style>"
)
"""What is left of the looks of Great Expectations' page when it asks nobody for them."""

TOLERANCE = 1e-9
"""Of pair_ge, relative: on a constant signal peak and rms are equal but for their last bits."""


def build(position: int, asked: dict[str, Any], batch: pd.DataFrame) -> Any:
    """Return Great Expectations' own object; `position` comes back with its result."""
    columns, meta, mostly = asked["columns"], {"position": position}, asked["mostly"]
    if asked["kind"] == "not_null":
        return gxe.ExpectColumnValuesToNotBeNull(column=columns[0], mostly=mostly, meta=meta)
    if asked["kind"] == "unique_key" and len(columns) == 1:
        return gxe.ExpectColumnValuesToBeUnique(column=columns[0], mostly=mostly, meta=meta)
    if asked["kind"] == "unique_key":
        return gxe.ExpectCompoundColumnsToBeUnique(column_list=columns, mostly=mostly, meta=meta)
    if asked["kind"] == "pair_ge":
        lower = f"{columns[1]} less tolerance"
        if columns[1] in batch.columns:
            batch[lower] = batch[columns[1]] - TOLERANCE * batch[columns[1]].abs()
        return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A=columns[0],
            column_B=lower,
            or_equal=True,
            ignore_row_if="either_value_is_missing",
            mostly=mostly,
            meta=meta,
        )
    if asked["kind"] == "in_set":
        return gxe.ExpectColumnValuesToBeInSet(column=columns[0], value_set=asked["values"], mostly=mostly, meta=meta)
    if asked["kind"] == "matches":
        return gxe.ExpectColumnValuesToMatchRegex(column=columns[0], regex=asked["pattern"], mostly=mostly, meta=meta)
    low, high = (0, 0) if asked["kind"] == "finite" else (asked["low"], asked["high"])
    return gxe.ExpectColumnValuesToBeBetween(column=columns[0], min_value=low, max_value=high, mostly=mostly, meta=meta)


class Checkpoint:
    """One ephemeral context for the life of the process: setting it up costs more than a batch."""

    def __init__(self) -> None:
        context: Any = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        asset = context.data_sources.add_pandas("batches").add_dataframe_asset("rows")
        self._definition = asset.add_batch_definition_whole_dataframe("whole")

    def run(self, request: dict[str, Any], tables: dict[str, pa.Table]) -> dict[str, Any]:
        """Validate one batch."""
        batch = tables["batch"].to_pandas()
        expected = [build(i, asked, batch) for i, asked in enumerate(request["expectations"])]
        batch = batch.copy()  # in one piece: the copies made of it for each metric are then cheap
        suite = gx.ExpectationSuite(name=request["suite"], expectations=expected)
        validated = self._definition.get_batch({"dataframe": batch}).validate(suite, result_format="COMPLETE")
        results: list[dict[str, Any]] = [_unanswered() for _ in expected]
        answered: list[Any] = validated.results
        for result in answered:
            results[result.expectation_config.meta["position"]] = _result(result)
        markers = validated.meta.get("batch_markers", {})
        fingerprint = str(markers.get("pandas_data_fingerprint", ""))
        answer = {"results": results, "fingerprint": fingerprint, "library": f"great_expectations {gx.__version__}"}
        return {**answer, "page": _page(validated)} if request.get("page") else answer


def _page(validated: Any) -> str:
    """Return Great Expectations' own page about a validation: what others call Data Docs."""
    views: Any = gxv  # as above
    page: str = views.DefaultJinjaPageView().render(
        ValidationResultsPageRenderer(run_info_at_end=True).render(validated)
    )
    return standalone(page)


def standalone(page: str) -> str:
    """Return a page that asks nobody for anything: a plant has no way out, and a page of others' scripts would look.

    >>> standalone('<head><script src="//x/y.js"></script><link rel="stylesheet" href="//z"/></head><p>kept</p>')
    '<head></head><p>kept</p>'
    """
    page = re.sub(r"<script\b.*?</script\s*>", "", page, flags=re.DOTALL | re.IGNORECASE)
    page = re.sub(r"<link\b[^>]*>|<img\b[^>]*https?:[^>]*>", "", page, flags=re.IGNORECASE)
    return page.replace("</head>", f"{STYLE}</head>", 1) if "<title" in page else page


def _result(result: Any) -> dict[str, Any]:
    """Tell data that failed from a check that could not be run: both have success=False."""
    measured = result.result or {}
    error = ""
    if not result.success and "element_count" not in measured:
        error = _message(result.exception_info or {}) or "no result"
    rows = [int(row) for row in measured.get("unexpected_index_list") or []]
    return {
        "success": bool(result.success),
        "rows": rows,
        "unexpected": int(measured.get("unexpected_count") or 0),
        "error": error,
    }


def _message(info: dict[str, Any]) -> str:
    """Find the message in exception_info, which is flat or keyed by metric."""
    if info.get("exception_message"):
        return str(info["exception_message"])
    nested = [_message(part) for part in info.values() if isinstance(part, dict)]
    return next((message for message in nested if message), "")


def _unanswered() -> dict[str, Any]:
    """Stand for an expectation that Great Expectations left out of its results."""
    return {"success": False, "rows": [], "unexpected": 0, "error": "Great Expectations returned no result"}


if __name__ == "__main__":
    answer_requests(Checkpoint().run)
