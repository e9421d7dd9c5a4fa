"""What a device is called in tables."""

from __future__ import annotations

import torch


def card_name(device: str) -> str:
    """Return the name of the card that a device is; other devices have their own names."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device
