from .file_size import file_bytes, safetensors_bytes
from .group_times import LatencyTable, RuntimeTimes, estimated, latency_table, measured_seconds
from .latency import MIN_PASSES, compare_latency, time_share
from .loop import Cancel, Measured, measure
from .probe import MOST_SAMPLES, change_in, probe_samples
from .runner import Answer, EditRunner, OpenSlice, Runnable
from .runtime import TORCH, Runtime
from .slices import Slice, Slices, Slicing

__all__ = [
    "Answer",
    "Cancel",
    "EditRunner",
    "LatencyTable",
    "MIN_PASSES",
    "MOST_SAMPLES",
    "Measured",
    "OpenSlice",
    "Runnable",
    "Runtime",
    "RuntimeTimes",
    "Slice",
    "Slices",
    "Slicing",
    "TORCH",
    "change_in",
    "compare_latency",
    "estimated",
    "file_bytes",
    "latency_table",
    "measure",
    "measured_seconds",
    "probe_samples",
    "safetensors_bytes",
    "time_share",
]
