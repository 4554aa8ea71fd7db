"""A Feast RetrievalJob around one computation; on-demand features are in it already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata

from lineshaft.errors import ConflictError, InputError
from lineshaft.feast_plugin.parts import PluginParts
from lineshaft.feast_plugin.values import frame
from lineshaft.stores.whole_files import write_whole


class LineshaftRetrievalJob(RetrievalJob):
    """Rows computed when first asked for, with dtypes that do not depend on the data."""

    def __init__(
        self,
        compute: Callable[[], pa.Table],
        *,
        parts: PluginParts,
        full_names: bool = False,
        features: Sequence[str] = (),
        keys: Sequence[str] = (),
    ) -> None:
        self._compute = compute
        self._parts = parts
        self._full_names = full_names
        self._metadata = RetrievalMetadata(features=list(features), keys=list(keys))

    @cached_property
    def _table(self) -> pa.Table:
        return self._compute()

    def to_df(self, validation_reference: Any = None, timeout: int | None = None) -> pd.DataFrame:
        """Return a frame in which integers stay integers next to a null.

        Raises
        ------
        InputError
            If a validation reference is given: Feast's needs a Great Expectations that no longer exists.
        """
        if validation_reference is not None:
            raise InputError(
                "Feast's validation references are not supported",
                fix="leave it out: checkpoints gate every batch before it is stored (docs/how-to/check-batches.md)",
            )
        return frame(self._table)

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return frame(self._table)

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return self._table

    @property
    def full_feature_names(self) -> bool:
        """Return whether columns are named `view__feature`."""
        return self._full_names

    @property
    def on_demand_feature_views(self) -> list[Any]:
        """Return none: they are computed by the same code that serves them, not by Feast."""
        return []

    @property
    def metadata(self) -> RetrievalMetadata:
        """Return what was asked for."""
        return self._metadata

    def persist(self, storage: Any, allow_overwrite: bool = False, timeout: int | None = None) -> None:  # noqa: FBT001, FBT002
        """Write the rows as one Parquet file, whole or not at all.

        Raises
        ------
        ConflictError
            If the file exists and may not be replaced.
        """
        path = Path(self._parts.settings.repo) / storage.file_options.uri
        if path.exists() and not allow_overwrite:
            raise ConflictError(f"{path} exists", fix="pass allow_overwrite=True or name another path")
        write_whole(self._table, path)
