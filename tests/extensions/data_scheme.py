"""A data scheme: so many samples of noise, ``noise:64``."""

from __future__ import annotations

import torch

from analysis.subjects import DATA_SCHEMES, Address, Scheme
from analysis.subjects.data import LoadedData, MapSource

SHAPE, CLASSES = (1, 8, 8), 4


def open_noise(address: Address, roots: object) -> LoadedData:
    """Open the samples."""
    generator = torch.Generator().manual_seed(0)
    count = int(address.name)
    inputs = torch.randn(count, *SHAPE, generator=generator)
    labels = torch.randint(CLASSES, (count,), generator=generator)
    return LoadedData(MapSource(address.text, torch.utils.data.TensorDataset(inputs, labels)))


DATA_SCHEMES.register(
    Scheme(
        name="noise",
        label="Noise",
        help="So many samples of noise.",
        form="noise:COUNT",
        example="noise:64",
        open=open_noise,
    )
)
