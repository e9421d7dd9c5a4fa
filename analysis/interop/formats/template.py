"""The text of the standalone script; `script` fills in the names after a dollar.

``$title``, ``$shapes``, ``$parameters``, ``$trainable``, ``$forward``, ``$names``, ``$inputs``
and ``$lengths`` are replaced.
"""

TEMPLATE = '''\
#!/usr/bin/env python3
"""$title with $parameters parameters, written by PruneScope. It needs torch and nothing else.

    python rebuild.py                     check this file against its weights

    from rebuild import load
    model = load()                        an nn.Module; takes $shapes
"""

import json
import math
import operator
import struct
import sys
from pathlib import Path

import torch
from torch import nn

aten = torch.ops.aten
WEIGHTS = Path(__file__).with_name("model.safetensors")
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool, "C64": torch.complex64,
}  # fmt: skip
# Of each input: shape of one sample, type; middle and reach of numbers that check() asks with.
INPUTS = {
$inputs
}
# Inputs of text that take so many tokens alone.
LENGTHS = $lengths
PARAMETERS = {
$trainable
}


def read_safetensors(path):
    """Return the tensors and the metadata of a safetensors file."""
    data = bytearray(Path(path).read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        dtype = DTYPES[entry["dtype"]]
        flat = torch.empty(0, dtype=dtype)
        if end > begin:
            flat = torch.frombuffer(data[begin:end], dtype=dtype)
        tensors[name] = flat.reshape(entry["shape"])
    return tensors, metadata


class PrunedModel(nn.Module):
    """The model; parameters and buffers have the names of the original."""

    def __init__(self, tensors):
        super().__init__()
        for name, tensor in tensors.items():
            *path, last = name.split(".")
            holder = self
            for part in path:
                if part not in holder._modules:
                    holder.add_module(part, nn.Module())
                holder = holder._modules[part]
            if name in PARAMETERS:
                real = tensor.is_floating_point() or tensor.is_complex()
                holder.register_parameter(last, nn.Parameter(tensor, requires_grad=real))
            else:
                holder.register_buffer(last, tensor)

    def forward(self, $names):
        w = {**dict(self.named_parameters()), **dict(self.named_buffers())}
$forward


def load(path=WEIGHTS):
    """Return the model in eval mode."""
    return PrunedModel(read_safetensors(path)[0]).eval()


def inputs():
    """Return two samples of each input."""
    found = []
    for shape, dtype, middle, reach in INPUTS.values():
        waves = torch.sin(torch.arange(2 * math.prod(shape), dtype=torch.float64))
        values = middle + reach * waves
        values = values if dtype.is_floating_point else values.round()
        found.append(values.to(dtype).reshape(2, *shape))
    return found


def check(path=WEIGHTS):
    """Return the largest difference to the stored outputs, relative to the largest of them."""
    stored = read_safetensors(path)[1]
    expected = torch.tensor(json.loads(stored["reference_output"]))
    with torch.no_grad():
        outputs = load(path)(*inputs()).flatten()[:: int(stored["reference_step"])]
    return ((outputs - expected).abs().max() / expected.abs().max()).item()


if __name__ == "__main__":
    model = load()
    print(f"parameters: {sum(item.numel() for item in model.parameters()):,}")
    difference = check()
    print(f"largest relative difference to the stored outputs: {difference:.1e}")
    sys.exit(0 if difference < 1e-3 else 1)
'''
