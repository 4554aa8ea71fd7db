"""What users need to test their own features: the oracle, comparisons and a clock moved by hand."""

from lineshaft.clock import ManualClock
from lineshaft.tiles.comparison import Comparison, compare_rows, differing_values, sort_rows
from lineshaft.tiles.oracle import oracle_rows

__all__ = ["Comparison", "ManualClock", "compare_rows", "differing_values", "oracle_rows", "sort_rows"]
