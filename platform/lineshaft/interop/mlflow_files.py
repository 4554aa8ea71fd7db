"""Model folders as MLflow writes and reads them: taken apart into one file of plain data, and put together from it.

Nothing of a folder is ever loaded here. Of what is brought, the one file of a flavour that is plain data is kept;
pickles, code and environments are not even stored.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lineshaft.errors import InputError, NotFoundError
from lineshaft.registry.records import ModelVersion

MANIFEST = "MLmodel"
_MOST_MANIFEST_BYTES = 1 << 20
_PLAIN = {"xgboost": "ubj", "onnx": "onnx"}
"""Flavours whose files can be plain data, and the format where the flavour does not name one."""
_PART = re.compile(r"[\w.\- +=@()]{1,200}")
_FIX = "log it with mlflow.xgboost in model_format='ubj', or with mlflow.onnx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What a model folder holds that may be registered."""

    artifact: bytes
    artifact_format: str
    features: tuple[str, ...]  # by the signature; empty where it has none
    library: str


def brought(read: Callable[[str], bytes]) -> Brought:
    """Take a model folder apart, given what reads a file of it by name.

    Raises `InputError` for a flavour that runs code when it is loaded, and for a manifest that cannot be used.
    """
    manifest = _manifest(read(MANIFEST))
    flavors = manifest.get("flavors")
    if not isinstance(flavors, dict):
        raise InputError("MLmodel names no flavors", fix=_FIX)
    for name in flavors:
        if name not in _PLAIN and name != "python_function":
            raise InputError(f"flavor {name!r} can run code when it is loaded: it is not taken", fix=_FIX)
    plain = next((name for name in _PLAIN if name in flavors), None)
    if plain is None:
        raise InputError("a python_function is a pickle, which can run code: it is not taken", fix=_FIX)
    flavor = flavors[plain]
    data = flavor.get("data") if isinstance(flavor, dict) else None
    if not isinstance(data, str) or not _PART.fullmatch(data) or data in {".", ".."}:
        raise InputError(f"flavor {plain!r} names no file beside MLmodel", fix=_FIX)
    kind = str(flavor.get("model_format") or data.rpartition(".")[2])
    if plain == "onnx":
        kind = "onnx"
    version = flavor.get("xgb_version") or flavor.get("onnx_version") or ""
    return Brought(
        artifact=read(data), artifact_format=kind, features=_inputs(manifest), library=f"{plain} {version}".strip()
    )


def folder_of(version: ModelVersion, artifact: bytes) -> dict[str, bytes]:
    """Return a version as a folder that MLflow loads: its file, and a manifest made from what the registry knows.

    Raises `InputError` for a calibrated version: XGBoost's own loader would leave the calibration out.
    """
    if "calibrate" in version.params:
        what = f"{version.ref} is calibrated, which MLflow's loader of XGBoost would leave out"
        raise InputError(what, fix="ask the server for its scores, or export it as ONNX")
    data = f"model.{version.artifact_format}"
    library, _, number = version.library.partition(" ")
    flavor: dict[str, Any] = {"code": None, "data": data}
    if version.artifact_format == "onnx":
        flavor |= {"onnx_version": number, "providers": ["CPUExecutionProvider"], "save_as_external_data": False}
        library = "onnx"
    else:
        flavor |= {
            "model_class": "xgboost.core.Booster",
            "model_format": version.artifact_format,
            "xgb_version": number,
        }
        library = "xgboost"
    manifest = {
        "flavors": {
            "python_function": {"loader_module": f"mlflow.{library}", "data": data, "env": None},
            library: flavor,
        },
        "metadata": {"lineshaft_version": version.ref, "sha256": version.artifact_sha256},
        "model_uuid": version.artifact_sha256[:32],
    }
    if version.features:
        columns = [{"type": "float", "name": name, "required": False} for name in version.features]
        manifest["signature"] = {"inputs": json.dumps(columns), "outputs": None, "params": None}
    return {MANIFEST: yaml.safe_dump(manifest, sort_keys=True).encode(), data: artifact}


@dataclass(frozen=True, slots=True)
class Incoming:
    """Files that were sent and are not registered yet, below `root`. They are kept as they came, and never loaded."""

    root: Path

    def put(self, path: str, content: bytes) -> None:
        """Keep a file, whole or not at all."""
        place = self._place(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=place.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(place)

    def read(self, path: str) -> bytes:
        """Return a file; raises `NotFoundError`."""
        place = self._place(path)
        if not place.is_file() or place.is_symlink():
            raise NotFoundError(f"no file {path!r} was sent", fix="log the model's artifacts here first")
        return place.read_bytes()

    def listed(self, path: str) -> Mapping[str, int | None]:
        """Return what lies in a folder: sizes by name, None for folders."""
        place = self._place(path) if path else self.root
        found = sorted(place.iterdir()) if place.is_dir() else []
        return {one.name: None if one.is_dir() else one.stat().st_size for one in found}

    def _place(self, path: str) -> Path:
        """Return where a path lies; refuse one that leads elsewhere."""
        parts = path.split("/")
        if not all(_PART.fullmatch(part) and part not in {".", ".."} for part in parts) or len(parts) > 12:
            raise InputError(f"{path!r} is no path for an artifact", fix="use letters, digits, . - _ and / in names")
        return self.root.joinpath(*parts)


def _manifest(raw: bytes) -> dict[str, Any]:
    if len(raw) > _MOST_MANIFEST_BYTES:
        raise InputError(f"MLmodel is longer than {_MOST_MANIFEST_BYTES} bytes", fix=_FIX)
    try:
        manifest = yaml.safe_load(raw)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError("MLmodel is no YAML", fix=_FIX) from error
    if not isinstance(manifest, dict):
        raise InputError("MLmodel is no mapping", fix=_FIX)
    return manifest


def _inputs(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the columns that a signature says the model takes, in their order."""
    signature = manifest.get("signature")
    told = signature.get("inputs") if isinstance(signature, dict) else None
    try:
        columns = json.loads(told) if isinstance(told, str) else []
        return tuple(str(column["name"]) for column in columns if "name" in column)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError("the signature's inputs cannot be read", fix="log the model with a signature") from error
