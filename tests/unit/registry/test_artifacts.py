"""Artifacts are named by their content."""

from __future__ import annotations

import hashlib
import json
import pickle
import resource
from pathlib import Path

import pytest

from lineshaft.boosters.ubjson import MAX_BYTES
from lineshaft.errors import CorruptError, EnvironmentFault, InputError, NotFoundError
from lineshaft.registry.artifacts import ArtifactStore

CONTENT = b'{"model": {}}'


def test_what_is_stored_comes_back(tmp_path: Path) -> None:
    """An artifact is read back by its sha256, and stored once however often it is put."""
    store = ArtifactStore(tmp_path)

    digest = store.put(CONTENT, artifact_format="json")

    assert digest == store.put(CONTENT, artifact_format="json") == hashlib.sha256(CONTENT).hexdigest()
    assert store.get(digest, artifact_format="json") == CONTENT
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_an_altered_artifact_is_not_loaded(tmp_path: Path) -> None:
    """One changed byte on disk is refused at load."""
    store = ArtifactStore(tmp_path)
    digest = store.put(CONTENT, artifact_format="json")
    (path,) = tmp_path.rglob("*.json")
    path.write_bytes(CONTENT.replace(b"model", b"modem"))

    with pytest.raises(CorruptError, match="altered after it was registered"):
        store.get(digest, artifact_format="json")


@pytest.mark.parametrize("artifact_format", ["pkl", "joblib", "ubj", "json"])
def test_pickles_are_refused_under_any_name(tmp_path: Path, artifact_format: str) -> None:
    """A file that can run code when read is not taken, whatever it is called."""
    with pytest.raises(InputError):
        ArtifactStore(tmp_path).put(pickle.dumps({"model": 1}), artifact_format=artifact_format)


@pytest.mark.parametrize("digest", ["../../etc/passwd", "A" * 64, "f" * 63])
def test_names_that_are_no_digests_reach_no_file(tmp_path: Path, digest: str) -> None:
    """A digest is 64 hex digits, so no path can be smuggled in."""
    with pytest.raises(InputError, match="names no artifact"):
        ArtifactStore(tmp_path).get(digest, artifact_format="json")


def test_a_missing_artifact_is_not_found(tmp_path: Path) -> None:
    """Asking for an unknown digest says so."""
    with pytest.raises(NotFoundError):
        ArtifactStore(tmp_path).get("0" * 64, artifact_format="ubj")


@pytest.mark.parametrize("content", [b"{not json", b'{"a": 1', b'[{"a": 1}]', b"", b'{"a": 1} tail'])
def test_what_only_looks_like_json_is_refused(tmp_path: Path, content: bytes) -> None:
    """A brace does not make an object, and nothing is stored of what is refused."""
    with pytest.raises(InputError, match="are not json") as refused:
        ArtifactStore(tmp_path).put(content, artifact_format="json")

    assert "save_raw" in refused.value.fix
    assert list(tmp_path.iterdir()) == []


def test_bytes_of_ubjson_are_not_read_as_json(tmp_path: Path) -> None:
    """The binary format begins with the same brace and is taken as it is."""
    store = ArtifactStore(tmp_path)
    content = b"{L\x00\x00\x00\x00\x00\x00\x00\x05model{}}"

    assert store.get(store.put(content, artifact_format="ubj"), artifact_format="ubj") == content


def test_an_unknown_format_is_refused_whatever_it_holds(tmp_path: Path) -> None:
    """Sound JSON under another name is not taken: nobody could load it."""
    with pytest.raises(InputError, match="artifacts of format 'onnx' are not taken"):
        ArtifactStore(tmp_path).put(CONTENT, artifact_format="onnx")
    with pytest.raises(InputError, match="names no artifact"):
        ArtifactStore(tmp_path).get("0" * 64, artifact_format="onnx")


def test_an_artifact_lies_under_its_first_two_digits(tmp_path: Path) -> None:
    """Backups and other releases find it there; nothing half-written lies beside it."""
    digest = ArtifactStore(tmp_path).put(CONTENT, artifact_format="json")

    (path,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert path == tmp_path / digest[:2] / f"{digest}.json"


def test_two_artifacts_of_one_folder_are_both_kept(tmp_path: Path) -> None:
    """The folder of a digest's first digits may be there already."""
    store = ArtifactStore(tmp_path)
    contents = [json.dumps({"tree": number}).encode() for number in range(300)]

    digests = [store.put(content, artifact_format="json") for content in contents]

    assert [store.get(digest, artifact_format="json") for digest in digests] == contents
    assert len({digest[:2] for digest in digests}) < 300


def test_a_disk_that_takes_no_more_keeps_nothing_of_a_file(tmp_path: Path) -> None:
    """Half a file would be found by nobody and take its room for ever; with room it is kept."""
    store = ArtifactStore(tmp_path, formats={"file": lambda *_: None})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, before[1]))
    try:
        with pytest.raises(EnvironmentFault, match="cannot be kept"):
            store.put(bytes(100_000), artifact_format="file")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert store.get(store.put(bytes(100_000), artifact_format="file"), artifact_format="file") == bytes(100_000)


def test_what_could_not_be_read_again_is_not_kept(tmp_path: Path) -> None:
    """A file is refused by its size before a byte of it is written."""
    with pytest.raises(InputError, match="too large"):
        ArtifactStore(tmp_path, formats={"file": lambda *_: None}).put(bytes(MAX_BYTES + 1), artifact_format="file")

    assert not list(tmp_path.iterdir())
