"""Hostile artifacts, sixty kinds: nothing of them is executed, nothing lands outside, each is refused with a reason."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import stat
import struct
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from lineshaft.boosters import ubjson
from lineshaft.boosters.forest import read_forest
from lineshaft.errors import CorruptError, InputError, NotFoundError
from lineshaft.models.scoring import Scorer
from lineshaft.registry.artifacts import ArtifactStore
from lineshaft.testing import small_candidate

Document = dict[str, Any]
MARKER = Path(tempfile.gettempdir()) / f"lineshaft-executed-{os.getpid()}"
CANDIDATE = small_candidate()
FLIPS = int(os.environ.get("FLIPS", "400"))  # noqa: TID251  the length of a run is no setting of the product
NAMES = ("view__rms", "view__kurtosis", "view__noise")


class Bomb:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        """Say what to run."""
        return os.system, (f"touch {MARKER}",)


@cache
def booster(spelling: str = "ubj") -> bytes:
    """Return a real booster's bytes."""
    generator = np.random.default_rng(1)
    values = generator.normal(size=(300, 3)).astype(np.float32)
    rows = xgboost.DMatrix(values, label=(values[:, 0] > 0).astype(float), feature_names=list(NAMES), nthread=1)
    trained = xgboost.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, rows, 6)
    return bytes(trained.save_raw(spelling))


def spelled(value: Any) -> bytes:
    """Write a document as XGBoost does: keys in order, the smallest integer that holds a number."""
    if isinstance(value, dict):
        return b"{" + b"".join(spelled(key)[1:] + spelled(value[key]) for key in sorted(value)) + b"}"
    if isinstance(value, str):
        return b"SL" + struct.pack(">q", len(value.encode())) + value.encode()
    if isinstance(value, list):
        return b"[#L" + struct.pack(">q", len(value)) + b"".join(map(spelled, value))
    if isinstance(value, np.ndarray):
        mark = {"f4": b"d", "f8": b"D", "u1": b"U", "i4": b"l", "i8": b"L"}[value.dtype.str[1:]]
        return (
            b"[$" + mark + b"#L" + struct.pack(">q", len(value)) + value.astype(value.dtype.newbyteorder(">")).tobytes()
        )
    mark, kind = (b"i", "b") if -128 < value < 127 else (b"I", "h") if -(2**15) < value < 2**15 - 1 else (b"l", "i")
    return mark + struct.pack(f">{kind}", value)


def changed(change: Callable[[Document, Document], object]) -> bytes:
    """Return a real booster with a change to its model (the learner is given too)."""
    document = ubjson.decode(booster())
    learner = document["learner"]
    change(learner["gradient_booster"]["model"], learner)
    return spelled(document)


def tree(column: str, node: int, value: float) -> bytes:
    """Return a real booster, one number of its second tree replaced."""

    def change(model: Document, _learner: Document) -> None:
        model["trees"][1][column][node] = value

    return changed(change)


def param(name: str, value: str) -> bytes:
    """Return a real booster that says something else of itself."""

    def change(model: Document, learner: Document) -> None:
        holders = (learner["learner_model_param"], model["gbtree_model_param"], model["trees"][1]["tree_param"])
        next(holder for holder in holders if name in holder)[name] = value

    return changed(change)


def chain(depth: int) -> bytes:
    """Return a booster whose first tree is a chain: every left child has a left child."""

    def change(model: Document, _learner: Document) -> None:
        first, count = model["trees"][0], 2 * depth + 1
        inner, nodes = np.arange(depth), np.arange(count)
        left, right = (np.full(count, -1, np.int32) for _ in range(2))
        left[2 * inner], right[2 * inner] = 2 * inner + 2, 2 * inner + 1
        parents = np.where(nodes % 2 == 0, nodes - 2, nodes - 1).astype(np.int32)
        parents[0] = 2**31 - 1
        for name, column in first.items():
            if isinstance(column, np.ndarray) and len(column):
                first[name] = np.zeros(count, column.dtype)
        first.update(left_children=left, right_children=right, parents=parents)
        first["tree_param"]["num_nodes"] = str(count)

    return changed(change)


def announced(mark: bytes, count: int) -> bytes:
    """Return an object whose one value announces a length it has not."""
    return b"{L" + struct.pack(">q", 1) + b"a" + mark + struct.pack(">q", count)


def zipped() -> bytes:
    """Return an archive whose members would lie outside of where it is unpacked."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../outside", "x")
        archive.writestr("bomb", b"\0" * (1 << 22))
    return held.getvalue()


def array_of_objects() -> bytes:
    """Return a NumPy file that is a pickle inside."""
    held = io.BytesIO()
    np.save(held, np.array([Bomb()], dtype=object), allow_pickle=True)
    return held.getvalue()


def other(column: str) -> bytes:
    """Return a booster with a column in another type of numbers."""

    def change(model: Document, _learner: Document) -> None:
        model["trees"][1][column] = model["trees"][1][column].astype(np.float64)

    return changed(change)


def in_json(before: str, after: str) -> bytes:
    """Return a real booster as JSON with some text replaced."""
    text = booster("json").decode()
    assert before in text
    return text.replace(before, after, 1).encode()


def said(place: str, value: object) -> bytes:
    """Return a booster with another value at a place of its learner."""
    return changed(lambda _model, learner: learner.__setitem__(place, value))


HOSTILE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a pickle": ("ubj", lambda: pickle.dumps(Bomb())),
    "a pickle of the first protocol, as text": ("json", lambda: pickle.dumps(Bomb(), protocol=0)),
    "a pickle behind a brace": ("ubj", lambda: b"{" + pickle.dumps(Bomb())),
    "a pickle behind a sound booster": ("ubj", lambda: booster() + pickle.dumps(Bomb())),
    "a compressed pickle, as joblib writes": ("ubj", lambda: gzip.compress(pickle.dumps(Bomb()))),
    "an array that is a pickle": ("ubj", array_of_objects),
    "an archive with paths to the outside": ("ubj", zipped),
    "a bomb of compressed nothing": ("json", lambda: gzip.compress(b"\0" * (1 << 24))),
    "an ONNX graph under another name": ("ubj", lambda: b"\x08\x08\x12\x04evil:\x00" * 9),
    "cut in the middle": ("ubj", lambda: booster()[: len(booster()) // 2]),
    "cut by one byte": ("ubj", lambda: booster()[:-1]),
    "lists in lists": ("ubj", lambda: announced(b"[#L", 1) + (b"[#L" + struct.pack(">q", 1)) * 100_000),
    "objects in objects": ("ubj", lambda: (b"{L" + struct.pack(">q", 1) + b"a") * 100_000),
    "lists in lists, as JSON": ("json", lambda: b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "ten million empty lists": ("json", lambda: b'{"a":[' + b"[]," * 10_000_000 + b"[]]}"),
    "a text of four exabytes": ("ubj", lambda: announced(b"SL", 2**62)),
    "a text of less than nothing": ("ubj", lambda: announced(b"SL", -1)),
    "an array of two exabytes": ("ubj", lambda: announced(b"[$d#L", 2**61)),
    "an array whose size overflows": ("ubj", lambda: announced(b"[$L#L", 2**62 + 1)),
    "an array of values without width": ("ubj", lambda: announced(b"[$Z#L", 2**60) + b"}"),
    "a list of a trillion": ("ubj", lambda: announced(b"[#L", 2**40)),
    "a number in words, which XGBoost calls fatal": ("ubj", lambda: announced(b"H", 1) + b"9}"),
    "a key twice": ("ubj", lambda: b"{" + (b"L" + struct.pack(">q", 1) + b"aZ") * 2 + b"}"),
    "a key twice, as JSON": ("json", lambda: in_json('"learner":', '"learner":{},"learner":')),
    "NaN": ("json", lambda: in_json('"id":0', '"id":NaN')),
    "a number too large for a number": ("json", lambda: in_json('"id":0', '"id":1e999')),
    "a text that is no text": ("ubj", lambda: booster().replace(b"view__rms", b"view__\xff\xfe\xfd", 1)),
    "half a letter in a name": ("json", lambda: in_json("view__rms", "view__\\ud800")),
    "a child outside of its tree": ("ubj", lambda: tree("left_children", 0, 2**30)),
    "a child before the first": ("ubj", lambda: tree("right_children", 0, -7)),
    "a node that is its own ancestor": ("ubj", lambda: tree("left_children", 1, 0)),
    "a node of two parents": ("ubj", lambda: tree("left_children", 0, 2)),
    "half a pair of children": ("ubj", lambda: tree("right_children", 0, -1)),
    "a child that names another parent": ("ubj", lambda: tree("parents", 1, 2)),
    "a root below another node": ("ubj", lambda: tree("parents", 0, 1)),
    "a split on a feature that is none": ("ubj", lambda: tree("split_indices", 0, 3_000_000)),
    "a leaf that says NaN": ("ubj", lambda: tree("split_conditions", -1, float("nan"))),
    "a split by category": ("ubj", lambda: tree("split_type", 0, 1)),
    "a chain that a recursion falls down": ("ubj", lambda: chain(200_000)),
    "a billion trees announced": ("ubj", lambda: param("num_trees", "1000000000")),
    "two billion features announced": ("ubj", lambda: param("num_feature", "2147483647")),
    "two billion classes announced": ("ubj", lambda: param("num_class", "2147483647")),
    "a billion nodes announced": ("ubj", lambda: param("num_nodes", "1000000000")),
    "no trees in parallel": ("ubj", lambda: param("num_parallel_tree", "0")),
    "an intercept that is no number": ("ubj", lambda: param("base_score", "nan")),
    "numbers of another width": ("ubj", lambda: other("split_conditions")),
    "rounds beyond the trees": ("ubj", lambda: changed(lambda model, _: model["iteration_indptr"].append(999))),
    "a tree of another group": ("ubj", lambda: changed(lambda model, _: model["tree_info"].__setitem__(0, 5))),
    "a tree at another place": ("ubj", lambda: changed(lambda model, _: model["trees"].reverse())),
    "trees that are none": ("ubj", lambda: changed(lambda model, _: model["trees"].__setitem__(2, {}))),
    "a key nobody knows": ("ubj", lambda: said("plugin", "evil.so")),
    "a feature named twice": ("ubj", lambda: said("feature_names", ["view__rms"] * 3)),
    "fewer features than the trees know": ("ubj", lambda: said("feature_names", ["view__rms"])),
    "attributes as long as a book": ("ubj", lambda: said("attributes", {"note": "x" * 2_000_000})),
    "an objective without a name": ("ubj", lambda: said("objective", {"name": 7})),
    "another booster than trees": ("ubj", lambda: said("gradient_booster", {"model": {}, "name": "gblinear"})),
}


def planted(root: Path, content: bytes, artifact_format: str) -> str:
    """Put bytes into a store behind its back, under their true name."""
    digest = hashlib.sha256(content).hexdigest()
    path = root / digest[:2] / f"{digest}.{artifact_format}"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return digest


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_artifact_is_refused_at_the_door_and_behind_it(tmp_path: Path, kind: str) -> None:
    """The store takes none; one that lies there all the same reaches the scorer and no further."""
    artifact_format, make = HOSTILE[kind]
    content = make()
    MARKER.unlink(missing_ok=True)
    store = ArtifactStore(tmp_path / "store")

    with pytest.raises(InputError) as refused:
        store.put(content, artifact_format=artifact_format)
    assert refused.value.what
    assert list(tmp_path.iterdir()) == []

    digest = planted(tmp_path / "store", content, artifact_format)
    with pytest.raises(CorruptError, match="no XGBoost model") as told:
        Scorer.load(store.get(digest, artifact_format=artifact_format), features=("view__other",))
    assert told.value.fix
    assert not MARKER.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize(("spelling", "called"), [("ubj", "json"), ("json", "ubj")])
def test_a_booster_in_the_other_spelling_is_refused(tmp_path: Path, spelling: str, called: str) -> None:
    """A file is what it is called."""
    with pytest.raises(InputError, match=f"these bytes are not {called}"):
        ArtifactStore(tmp_path).put(booster(spelling), artifact_format=called)


def test_there_are_thirty_kinds() -> None:
    """What is promised is counted."""
    assert len(HOSTILE) >= 30


@pytest.mark.parametrize("spelling", ["ubj", "json"])
def test_a_sound_booster_passes_unchanged(tmp_path: Path, spelling: str) -> None:
    """What XGBoost wrote is read, from either spelling the same, and spelt again it is the same bytes."""
    content = booster(spelling)
    store = ArtifactStore(tmp_path)

    assert store.get(store.put(content, artifact_format=spelling), artifact_format=spelling) == content
    assert repr(read_forest(content)) == repr(read_forest(booster("ubj")))
    assert changed(lambda _model, _learner: None) == booster("ubj")
    assert Scorer.load(content, features=NAMES).features == NAMES


def test_no_flipped_bit_reaches_the_library_unread() -> None:
    """Of bits flipped one at a time many are refused; the others are sound boosters, whose scores are numbers."""
    whole, generator = booster(), np.random.default_rng(9)
    values = generator.normal(size=(20, 3)).astype(np.float32)
    refused = 0
    for bit in generator.choice(8 * len(whole), FLIPS, replace=False).tolist():
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        try:
            scores = Scorer.load(bytes(content), features=NAMES).score(values).scores
        except CorruptError:
            refused += 1
            continue
        assert ((scores >= 0) & (scores <= 1)).all()
    print(f"{refused} of {FLIPS} flips refused")  # noqa: T201  the figure of docs/measurements.md
    assert refused > FLIPS // 4


@pytest.mark.parametrize("text", ["[" * 100_000, '{"rows": "AA", "scores": "AAAA"}', '{"rows": 1}', "7"])
def test_golden_rows_that_are_none_are_refused_when_they_are_read(text: str) -> None:
    """They lie in a text of the booster: it is sound without them, and answers nobody with these."""
    content = said("attributes", {"lineshaft.golden": text})

    with pytest.raises(CorruptError, match="golden"):
        Scorer.load(content, features=NAMES)


def linked_file(path: Path, outside: Path) -> None:
    """Lead out of the store by a link."""
    path.symlink_to(outside)


def linked_folder(path: Path, outside: Path) -> None:
    """Lead out of the store by the folder."""
    path.parent.rmdir()
    path.parent.symlink_to(outside.parent)


def hard_link(path: Path, outside: Path) -> None:
    """Be another file by another name."""
    os.link(outside, path)


def pipe(path: Path, _outside: Path) -> None:
    """Wait for a writer who never comes."""
    os.mkfifo(path)


def folder(path: Path, _outside: Path) -> None:
    """Be a folder."""
    (path / "x").mkdir(parents=True)


def terabyte(path: Path, _outside: Path) -> None:
    """Be larger than memory."""
    path.touch()
    os.truncate(path, 1 << 40)


def other_content(path: Path, outside: Path) -> None:
    """Be the content of another digest."""
    path.write_bytes(outside.read_bytes())


TRAPS = (linked_file, linked_folder, hard_link, pipe, folder, terabyte, other_content)


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.__name__)
def test_what_is_no_file_of_the_store_is_not_read(tmp_path: Path, trap: Callable[[Path, Path], None]) -> None:
    """Links, pipes, folders and files of another content are refused in words, at once, and stay as they are."""
    outside = tmp_path / "outside" / "secret"
    outside.parent.mkdir()
    outside.write_bytes(b"not yours")
    store, digest = ArtifactStore(tmp_path / "store"), hashlib.sha256(booster()).hexdigest()
    path = tmp_path / "store" / digest[:2] / f"{digest}.ubj"
    path.parent.mkdir(parents=True)
    trap(path, outside)

    with pytest.raises((CorruptError, NotFoundError)):
        store.get(digest, artifact_format="ubj")
    with suppress(CorruptError):
        store.put(booster(), artifact_format="ubj")
        assert store.get(digest, artifact_format="ubj") == booster()
        assert stat.S_ISREG(path.lstat().st_mode)
    assert outside.read_bytes() == b"not yours"
    assert [one.name for one in outside.parent.iterdir()] == ["secret"]


@pytest.mark.parametrize("name", ["../" * 5 + "etc/passwd", "a/../../" + "b" * 56, "A" * 64, "f" * 63, "\0" * 64])
@pytest.mark.parametrize("artifact_format", ["ubj", "../ubj", "pkl"])
def test_no_name_leads_out_of_the_store(tmp_path: Path, name: str, artifact_format: str) -> None:
    """A digest is 64 hex digits and a format one of two, so no path can be smuggled in."""
    with pytest.raises(InputError, match="names no artifact"):
        ArtifactStore(tmp_path).get(name, artifact_format=artifact_format)


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "..", ".hidden", "a/b", "a\\b", "a\0b", "a\nb", "", "x" * 201])
def test_no_model_has_a_name_that_leads_elsewhere(name: str) -> None:
    """Files bear the names of models: what could not be one is no candidate."""
    with pytest.raises(InputError, match="names no model"):
        replace(CANDIDATE, model=name)
