"""A captured graph run on labels: which positions belong together."""

from pruners.tracing.counting import count_unsized
from pruners.tracing.labels import Labels, compact, narrowed, support
from pruners.tracing.run import OUTPUT_REASON, run_trace
from pruners.tracing.trace import HANDLERS, Axis, Product, Trace, module_of, operator_name
from pruners.tracing.units import Units, find_units, units_of
from pruners.tracing.values import Value

__all__ = [
    "Axis",
    "HANDLERS",
    "Labels",
    "OUTPUT_REASON",
    "Product",
    "Trace",
    "Units",
    "Value",
    "compact",
    "count_unsized",
    "find_units",
    "module_of",
    "narrowed",
    "operator_name",
    "run_trace",
    "support",
    "units_of",
]
