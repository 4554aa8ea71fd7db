"""The frozen vocabulary: blocks, views, services, statuses. Pure: no I/O, no clock."""

from lineshaft.specs.blocks import BLOCK_SCHEMA, block_end_us, tile_end_us
from lineshaft.specs.evidence import Evidence, Figure
from lineshaft.specs.live import LiveModel
from lineshaft.specs.recipes import Recipe
from lineshaft.specs.rows import Status, entity_columns, row_identity, row_schema
from lineshaft.specs.views import (
    Feature,
    OnDemandFeature,
    OnDemandView,
    Service,
    ServiceView,
    Source,
    View,
    format_duration,
)

__all__ = [
    "BLOCK_SCHEMA",
    "Evidence",
    "Feature",
    "Figure",
    "LiveModel",
    "OnDemandFeature",
    "OnDemandView",
    "Recipe",
    "Service",
    "ServiceView",
    "Source",
    "Status",
    "View",
    "block_end_us",
    "entity_columns",
    "format_duration",
    "row_identity",
    "row_schema",
    "tile_end_us",
]
