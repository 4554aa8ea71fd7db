"""The reference of a model version: its baselines, as one JSON document that is kept with the version."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from lineshaft.drift.baseline import Baseline, Moments, Own
from lineshaft.drift.policy import Regimes
from lineshaft.drift.worth import Floats
from lineshaft.errors import CorruptError

FORMAT = "lineshaft-drift-1"
SCORE = "score"
"""The column that stands for what a model says."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sketch:
    """What a version was trained on: columns by regime, on a grid of time, of series named by their keys.

    `scores` and `errors` are of assets that the model was judged on without having seen them: what it said of their
    rows, and of each asset the mean squared error of that.
    """

    columns: tuple[str, ...]
    keys: tuple[str, ...]
    step_us: int
    until_us: int  # the last moment of the training set
    regimes: Regimes
    baselines: tuple[Baseline | None, ...]
    scores: Baseline | None = None
    errors: tuple[float, ...] = ()

    def to_bytes(self) -> bytes:
        """Return the document; the same sketch makes the same bytes."""
        content = {
            "format": FORMAT,
            "columns": list(self.columns),
            "keys": list(self.keys),
            "step_us": self.step_us,
            "until_us": self.until_us,
            "regime": {"column": self.regimes.column, "edges": list(self.regimes.edges)},
            "baselines": [one and _packed(one) for one in self.baselines],
            "scores": self.scores and _packed(self.scores),
            "errors": list(self.errors),
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

    @staticmethod
    def read(content: bytes) -> Sketch:
        """Read a document.

        Raises
        ------
        CorruptError
            If it is no sketch, or one of another format.
        """
        try:
            found = {FORMAT: json.loads(content)}[json.loads(content)["format"]]
            columns = tuple(found["columns"])
            return Sketch(
                columns=columns,
                keys=tuple(found["keys"]),
                step_us=found["step_us"],
                until_us=found["until_us"],
                regimes=Regimes(column=found["regime"]["column"], edges=tuple(found["regime"]["edges"])),
                baselines=tuple(one and _unpacked(columns, one) for one in found["baselines"]),
                scores=found["scores"] and _unpacked((SCORE,), found["scores"]),
                errors=tuple(found["errors"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptError("this is no sketch of a training set", fix="train the version again") from error


_PLAIN = ("effective", "sd", "known", "phi", "wear", "step", "window_worth")
_OWN = ("time", "between", "spread_time", "spread_between", "freedom")


def _packed(one: Baseline) -> dict[str, Any]:
    """Return a baseline as JSON holds it; values of the grid are float32, as models are given them."""
    own = one.own
    return {
        "assets": list(one.assets),
        "rows": one.rows,
        "grid": [_text(values, "<f4") for values in one.grid],
        **{name: _text(getattr(one, name)) for name in _PLAIN},
        "own": {
            "level": _moments(own.level),
            "spread": _moments(own.spread),
            **{name: _text(getattr(own, name)) for name in _OWN},
        },
    }


def _unpacked(columns: Sequence[str], content: Mapping[str, Any]) -> Baseline:
    width, assets = len(columns), tuple(content["assets"])
    shape = (len(assets), width)
    own = content["own"]
    plain = {name: _numbers(content[name]) for name in _PLAIN}
    plain["step"] = plain["step"].reshape(3, width)
    return Baseline(
        columns=tuple(columns),
        assets=assets,
        rows=content["rows"],
        grid=tuple(_numbers(one, "<f4") for one in content["grid"]),
        own=Own(
            level=_read_moments(own["level"], shape),
            spread=_read_moments(own["spread"], shape),
            **{name: _numbers(own[name]).reshape(shape) for name in _OWN},
        ),
        **plain,
    )


def _moments(moments: Moments) -> dict[str, str]:
    return {field.name: _text(getattr(moments, field.name)) for field in fields(Moments)}


def _read_moments(content: Mapping[str, str], shape: tuple[int, int]) -> Moments:
    return Moments(**{name: _numbers(text).reshape(shape) for name, text in content.items()})


def _text(values: Floats, kind: str = "<f8") -> str:
    return base64.b64encode(np.ascontiguousarray(values).astype(kind).tobytes()).decode()


def _numbers(text: str, kind: str = "<f8") -> Floats:
    return np.frombuffer(base64.b64decode(text), dtype=kind).astype(np.float64)
