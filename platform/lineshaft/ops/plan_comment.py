"""A plan as one comment on a pull request: found by its mark and written over, so that a pull request has one.

The forge is asked by its own contract: comments of an issue (`…/issues/7/comments`) as GitHub, Gitea and Forgejo have
them, or notes of a merge request (`…/merge_requests/7/notes`) as GitLab has them.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from lineshaft.errors import InputError, UnavailableError

_LONGEST = 60_000
"""Characters of a comment: forges refuse more than 65,536."""
_A_PAGE = 100
_MOST_PAGES = 50
_BUDGET_S = 10.0
_NOT_OURS = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """Where the comments of a pull request are, and what lets us write there."""

    url: str
    token: str

    def __post_init__(self) -> None:
        """Refuse what is no such address."""
        if urlsplit(self.url).scheme not in ("http", "https") or not self.url.endswith(("/comments", "/notes")):
            fix = "write the API's …/repos/OWNER/REPO/issues/NUMBER/comments, or GitLab's …/merge_requests/NUMBER/notes"
            raise InputError(f"{self.url!r} is not where comments are", where="--post", fix=fix)

    def put(self, text: str, *, mark: str) -> str:
        """Write a comment that begins with a mark, over the last one that does; return what was done.

        A comment with our mark that is not ours to change is left alone, and a new one written.
        """
        try:
            return self._put(shortened(text), mark)
        except OSError as error:
            raise UnavailableError(
                f"the plan could not be written on the pull request: {error}",
                where=self.url,
                fix="look whether LINESHAFT_FORGE_TOKEN may write comments there (on GitHub, `pull-requests: write`)",
            ) from error

    def _put(self, body: str, mark: str) -> str:
        for number in reversed([one["id"] for one in self._all() if str(one.get("body", "")).startswith(mark)]):
            try:
                self._ask(*self._place_of(number), body=body)
            except HTTPError as error:
                if error.code not in _NOT_OURS:
                    raise
            else:
                return "written over"
        self._ask("POST", self.url, body=body)
        return "written"

    def _all(self) -> Iterator[dict[str, Any]]:
        for page in range(1, _MOST_PAGES + 1):
            found = self._ask("GET", f"{self.url}?per_page={_A_PAGE}&page={page}")
            yield from found
            if len(found) < _A_PAGE:
                return

    def _place_of(self, number: int) -> tuple[str, str]:
        """Return how a comment is changed."""
        if self.url.endswith("/notes"):
            return "PUT", f"{self.url}/{number}"
        of_issue = self.url.removesuffix("/comments").rpartition("/")[0]
        return "PATCH", f"{of_issue}/comments/{number}"

    def _ask(self, method: str, url: str, *, body: str = "") -> Any:
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        data = json.dumps({"body": body}).encode() if body else None
        request = urllib.request.Request(url, data=data, headers=headers, method=method)  # noqa: S310 - looked at before
        with urllib.request.urlopen(request, timeout=_BUDGET_S) as answer:  # noqa: S310
            return json.loads(answer.read())


def shortened(text: str) -> str:
    r"""Return as many whole lines as a comment bears, and say where some are left out.

    >>> shortened("one\ntwo\n")
    'one\ntwo\n'
    """
    if len(text) <= _LONGEST:
        return text
    return text[:_LONGEST].rpartition("\n")[0] + "\n\n… cut here: `lineshaft plan` shows the rest.\n"
