"""The grid of ratios as people write it: ``0.1:0.9:0.1`` or ``0.25,0.5``."""

from __future__ import annotations

import math

from pruners.errors import InputError

MAX_RATIOS = 200
DIGITS = 6


def parse_ratios(text: str) -> tuple[float, ...]:
    """Parse ratios: first:last:step, or a list, or both joined by commas.

    Returns:
        Rising ratios in (0, 1), without repeats, rounded to six decimals.

    Raises:
        InputError: Something else, a ratio out of range, or too many of them.

    >>> parse_ratios("0.1:0.5:0.2,0.9")
    (0.1, 0.3, 0.5, 0.9)
    """
    found: set[float] = set()
    for part in filter(None, (item.strip() for item in text.split(","))):
        found.update(_span(part, text) if ":" in part else [_number(part, text)])
    if not found:
        raise InputError(f"ratios {text!r}: none given; write 0.1:0.9:0.1 or 0.25,0.5")
    if len(found) > MAX_RATIOS:
        raise InputError(f"ratios {text!r}: {len(found)} ratios, at most {MAX_RATIOS} are possible")
    for ratio in found:
        if not 0 <= ratio < 1:
            raise InputError(
                f"ratios {text!r}: {ratio:g} is not between 0 and 1 (the fraction that is removed)"
            )
    return tuple(sorted(found))


def _number(part: str, text: str) -> float:
    try:
        value = float(part)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"ratios {text!r}: {part!r} is not a number")
    return round(value, DIGITS)


def _span(part: str, text: str) -> list[float]:
    slices = part.split(":")
    if len(slices) != 3:
        raise InputError(f"ratios {text!r}: {part!r} needs three numbers, first:last:step")
    first, last, step = (_number(part, text) for part in slices)
    if step <= 0 or last < first:
        raise InputError(
            f"ratios {text!r}: {part!r} needs a step of at least {10**-DIGITS:g} and first <= last"
        )
    count = math.floor((last - first) / step + 1e-6) + 1
    if count > MAX_RATIOS:
        raise InputError(f"ratios {text!r}: {count} ratios, at most {MAX_RATIOS} are possible")
    return [round(first + number * step, DIGITS) for number in range(count)]
