"""The size of a model's weights on disk, without writing them."""

from __future__ import annotations

import json
from collections.abc import Mapping

import torch
from torch import Tensor, nn

# Names in a safetensors header, in the order in which the format lays tensors down: wide first.
DTYPES = {
    torch.uint64: "U64",
    torch.int64: "I64",
    torch.float64: "F64",
    torch.complex64: "C64",
    torch.float32: "F32",
    torch.uint32: "U32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.uint16: "U16",
    torch.int16: "I16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_ORDER = {dtype: place for place, dtype in enumerate(DTYPES)}
_ALIGNMENT = 8


def file_bytes(model: nn.Module) -> int:
    """Return the size of a model's weights as a safetensors file.

    Shared tensors are stored once under their first name, as in the export.
    """
    first: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        first.setdefault(id(tensor), (name, tensor))
    return safetensors_bytes(dict(first.values()))


def safetensors_bytes(tensors: Mapping[str, Tensor]) -> int:
    """Return the size of a safetensors file of these tensors without metadata.

    The format: eight bytes that tell the length of the header, the header as compact JSON, padded
    with blanks, then the tensors one after another. Types that the format does not know are counted
    as if it did.
    """
    header, end = {}, 0
    for name, tensor in sorted(
        tensors.items(), key=lambda item: (_ORDER.get(item[1].dtype, -1), item[0].encode())
    ):
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": DTYPES.get(tensor.dtype, "F32"),
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    padded = -(-len(text) // _ALIGNMENT) * _ALIGNMENT
    return 8 + padded + end
