"""What computes: names of devices as people write them."""

from __future__ import annotations

from pruners.errors import InputError

ALL = "all"


def device_names(text: str) -> tuple[str, ...]:
    """Return the devices of a list such as ``cuda:0,cuda:1``; ``cuda`` is ``cuda:0``.

    Raises:
        InputError: The list is empty, or names an accelerator twice.

    >>> device_names("cuda,cuda:1")
    ('cuda:0', 'cuda:1')
    """
    found = tuple(_numbered(item.strip()) for item in text.split(",") if item.strip())
    if not found:
        raise InputError("a device is needed, such as cpu, cuda, cuda:1 or mps")
    twice = {name for name in found if found.count(name) > 1} - {"cpu"}
    if twice:
        raise InputError(f"device {sorted(twice)[0]} is named twice in {text!r}")
    return found


def _numbered(name: str) -> str:
    return name if name == "cpu" or ":" in name else f"{name}:0"


def parse_devices(text: str) -> str:
    """Return devices as a sweep keeps them: ``all`` is replaced by those that are here.

    Raises:
        InputError: The list is empty, or names an accelerator twice.
    """
    if text.strip().lower() == ALL:
        return ",".join(accelerators()) or "cpu"
    names = device_names(text)
    return text.strip() if len(names) == 1 else ",".join(names)


def accelerators() -> tuple[str, ...]:
    """Return the accelerators of this machine."""
    import torch  # here, for most command lines need none of it

    if not torch.accelerator.is_available():
        return ()
    kind = torch.accelerator.current_accelerator()
    assert kind is not None
    return tuple(f"{kind.type}:{number}" for number in range(torch.accelerator.device_count()))
