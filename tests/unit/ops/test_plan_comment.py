"""The plan on a pull request, against a forge's comments over real HTTP: written once, then written over."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from lineshaft.errors import InputError, UnavailableError
from lineshaft.ops.plan_comment import PullRequest, shortened

MARK = "<!-- lineshaft plan -->"
ISSUE = "/repos/plant/features/issues/7/comments"
NOTES = "/projects/4/merge_requests/7/notes"


@dataclass
class Forge:
    """Comments, who may write them, and which of them may not be changed."""

    url: str = ""
    comments: list[dict[str, Any]] = field(default_factory=list)
    foreign: set[int] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def said(self) -> list[str]:
        """Return what stands on the pull request."""
        return [str(one["body"]) for one in self.comments]


@pytest.fixture
def forge() -> Iterator[Forge]:
    """Run a forge on this machine."""
    with running() as (opened, _):
        yield opened


class running:  # noqa: N801 - a context manager
    """A forge that answers until the end of a block."""

    def __enter__(self) -> tuple[Forge, ThreadingHTTPServer]:
        forge = Forge()

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def answer(self, code: int, value: object) -> None:
                body = json.dumps(value).encode()
                self.send_response(code)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def serve(self) -> None:
                url = urlsplit(self.path)
                forge.asked.append(f"{self.command} {url.path}")
                sent = self.rfile.read(int(self.headers.get("content-length", 0)))
                if self.headers["authorization"] != "Bearer s3cret":
                    self.answer(401, {})
                elif self.command == "GET":
                    asked = {name: int(values[0]) for name, values in parse_qs(url.query).items()}
                    start = (asked["page"] - 1) * asked["per_page"]
                    self.answer(200, forge.comments[start : start + asked["per_page"]])
                elif self.command == "POST":
                    forge.comments.append({"id": 100 + len(forge.comments), "body": json.loads(sent)["body"]})
                    self.answer(201, forge.comments[-1])
                else:
                    number = int(url.path.rpartition("/")[2])
                    (one,) = (one for one in forge.comments if one["id"] == number)
                    if number in forge.foreign:
                        self.answer(403, {})
                    else:
                        one["body"] = json.loads(sent)["body"]
                        self.answer(200, one)

            do_GET = do_POST = do_PATCH = do_PUT = serve  # noqa: N815 - the names that Python's server calls

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        forge.url = f"http://127.0.0.1:{self.server.server_port}"
        return forge, self.server

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize(
    ("place", "changed"), [(ISSUE, "PATCH /repos/plant/features/issues/comments/100"), (NOTES, f"PUT {NOTES}/100")]
)
def test_a_plan_is_written_once_and_then_written_over(forge: Forge, place: str, changed: str) -> None:
    """By its mark, between the comments of others, as GitHub's contract has it and as GitLab's."""
    pull = PullRequest(url=forge.url + place, token="s3cret")
    assert pull.put(f"{MARK}\nfirst", mark=MARK) == "written"
    forge.comments.append({"id": 1, "body": f"what does {MARK} mean?"})

    assert pull.put(f"{MARK}\nsecond", mark=MARK) == "written over"

    assert forge.said() == [f"{MARK}\nsecond", f"what does {MARK} mean?"]
    assert forge.asked[-1] == changed


def test_a_plan_is_found_behind_hundreds_of_comments(forge: Forge) -> None:
    """The last with our mark counts, on whichever page."""
    forge.comments = [{"id": number, "body": "so it is"} for number in range(1, 250)]
    forge.comments[230]["body"] = MARK

    assert PullRequest(url=forge.url + ISSUE, token="s3cret").put(f"{MARK}\nnew", mark=MARK) == "written over"
    assert forge.comments[230]["body"] == f"{MARK}\nnew"
    assert len(forge.asked) == 4


def test_what_bears_our_mark_and_is_not_ours_is_left_alone(forge: Forge) -> None:
    """Somebody quoted a plan: theirs stays, ours is written beside it."""
    forge.comments, forge.foreign = [{"id": 5, "body": f"{MARK}\nquoted"}], {5}

    assert PullRequest(url=forge.url + ISSUE, token="s3cret").put(f"{MARK}\nnew", mark=MARK) == "written"
    assert forge.said() == [f"{MARK}\nquoted", f"{MARK}\nnew"]


def test_who_may_not_write_is_told_what_to_look_at(forge: Forge) -> None:
    """A wrong token, a forge that is away, an address that is none."""
    for url in (forge.url + ISSUE, "http://127.0.0.1:1/issues/7/comments"):
        with pytest.raises(UnavailableError, match="could not be written on the pull request") as told:
            PullRequest(url=url, token="wrong").put(MARK, mark=MARK)
        assert (told.value.where, "LINESHAFT_FORGE_TOKEN" in told.value.fix) == (url, True)
    for url in ("file:///etc/passwd/comments", "https://forge.example/repos/plant/features/issues/7", ""):
        with pytest.raises(InputError, match="is not where comments are"):
            PullRequest(url=url, token="s3cret")


def test_a_plan_longer_than_a_comment_ends_with_a_whole_line() -> None:
    """And says that there is more, within what forges take."""
    long = shortened("\n".join([MARK, *["| a fault |"] * 9_000]))

    assert len(long) < 65_536
    assert long.splitlines()[-3:] == ["| a fault |", "", "… cut here: `lineshaft plan` shows the rest."]
