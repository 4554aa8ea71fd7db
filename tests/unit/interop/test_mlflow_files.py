"""Model folders as MLflow has them: only plain data is taken out of one, and nothing leads elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lineshaft.errors import InputError, NotFoundError
from lineshaft.interop.mlflow_files import Incoming, brought, folder_of
from lineshaft.registry.records import ModelVersion, State

PLAIN: dict[str, Any] = {"xgboost": {"data": "model.ubj", "model_format": "ubj", "xgb_version": "3.2.0"}}


def folder(manifest: object, **files: bytes) -> Any:
    """Return what reads the files of a folder with a manifest."""
    raw = manifest if isinstance(manifest, bytes) else yaml.safe_dump(manifest).encode()
    return {"MLmodel": raw, "model.ubj": b"{}", **files}.__getitem__


def test_the_one_file_of_plain_data_is_taken() -> None:
    """With its format, its library, and the columns of the signature in their order."""
    inputs = '[{"type": "float", "name": "b"}, {"type": "float", "name": "a"}]'
    manifest = {"flavors": {**PLAIN, "python_function": {}}, "signature": {"inputs": inputs}}

    found = brought(folder(manifest))

    assert (found.artifact, found.artifact_format) == (b"{}", "ubj")
    assert (found.library, found.features) == ("xgboost 3.2.0", ("b", "a"))


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        ({"flavors": {"sklearn": {"pickled_model": "model.pkl"}}}, "can run code"),
        ({"flavors": {**PLAIN, "langchain": {}}}, "can run code"),
        ({"flavors": {"python_function": {"python_model": "python_model.pkl"}}}, "is a pickle"),
        ({"flavors": {"xgboost": {"data": "../../etc/passwd"}}}, "names no file beside"),
        ({"flavors": {"xgboost": {"data": "/etc/passwd"}}}, "names no file beside"),
        ({"flavors": {"xgboost": {"data": ".."}}}, "names no file beside"),
        ({"flavors": {"xgboost": {}}}, "names no file beside"),
        ({"flavors": {"xgboost": "model.ubj"}}, "names no file beside"),
        ({"flavors": []}, "names no flavors"),
        ([], "no mapping"),
        (b"\xff\xff", "no YAML"),
        (b"!!python/object/apply:os.system ['true']", "no YAML"),
        (b"a: [", "no YAML"),
        (b"x" * (2 << 20), "longer than"),
        ({"flavors": PLAIN, "signature": {"inputs": "{"}}, "cannot be read"),
        ({"flavors": PLAIN, "signature": {"inputs": "[1]"}}, "cannot be read"),
    ],
)
def test_what_is_no_plain_data_is_refused(manifest: object, why: str) -> None:
    """With the reason, and before any file beside the manifest is read."""
    with pytest.raises(InputError, match=why):
        brought({"MLmodel": folder(manifest)("MLmodel"), "model.ubj": b"{}"}.__getitem__)


@pytest.mark.parametrize(
    "path", ["../x", "a/../../x", "/etc/passwd", "a//b", "", ".", "a/.", "a\\b", "a\0b", "x" * 201, "/".join("a" * 13)]
)
def test_no_path_leads_out_of_the_folder(tmp_path: Path, path: str) -> None:
    """Neither to write nor to read; nothing is made on the way."""
    incoming = Incoming(tmp_path / "incoming")
    with pytest.raises(InputError):
        incoming.put(path, b"x")
    with pytest.raises(InputError):
        incoming.read(path)
    assert list(tmp_path.iterdir()) == []


def test_what_was_sent_is_read_and_listed(tmp_path: Path) -> None:
    """Files with their sizes, folders without; a link is nobody's file."""
    incoming = Incoming(tmp_path)
    incoming.put("run 1/artifacts/MLmodel", b"abc")
    (tmp_path / "link").symlink_to("/etc/hostname")

    assert incoming.read("run 1/artifacts/MLmodel") == b"abc"
    assert incoming.listed("run 1/artifacts") == {"MLmodel": 3}
    assert incoming.listed("run 1") == {"artifacts": None}
    for path in ("link", "nobody"):
        with pytest.raises(NotFoundError):
            incoming.read(path)


def test_a_calibrated_version_is_not_handed_to_a_loader_that_would_leave_the_law_out() -> None:
    """MLflow's flavour is XGBoost's, which gives the probability from before the calibration."""
    version = ModelVersion(
        model="wear",
        number=3,
        state=State.VALIDATED,
        task="binary",
        service="pumps",
        service_json="{}",
        features=("v__a",),
        pins=(),
        training_set="",
        rows=1,
        artifact_sha256="00" * 32,
        artifact_format="ubj",
        artifact_bytes=2,
        params={},
        metrics={},
        seed=7,
        library="xgboost 3.2.0",
        lock_sha256="",
        actor="ana",
        created_us=0,
    )

    assert folder_of(version, b"{}")["model.ubj"] == b"{}"
    with pytest.raises(InputError, match="wear@3 is calibrated"):
        folder_of(replace(version, params={"calibrate": "platt"}), b"{}")
