"""Points tables made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

GRID = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def curve(
    drops: Sequence[float],
    *,
    criterion: str = "l1",
    layer: str = "conv1",
    ratios: Sequence[float] = GRID,
    half_width: float = 0.0,
    total: int = 10,
    granularity: str = "channel",
    samples: int = 1000,
    status: str = "measured",
    dense: float = 0.9,
) -> pd.DataFrame:
    """One curve of the points table."""
    rows = []
    for ratio, drop in zip(ratios, drops, strict=False):
        most = total - 1 if granularity == "channel" else total
        removed = min(int(ratio * total + 0.5), most)
        rows.append(
            {
                "run_id": "run",
                "criterion": criterion,
                "granularity": granularity,
                "layer": layer,
                "group": layer if granularity == "channel" else None,
                "ratio_requested": ratio,
                "ratio_achieved": removed / total,
                "kept": total - removed,
                "total": total,
                "samples": samples,
                "correct": round((dense - drop) * samples) if drop == drop else 0,
                "accuracy": dense - drop,
                "accuracy_drop": drop,
                "drop_low": drop - half_width,
                "drop_high": drop + half_width,
                "loss": 0.3,
                "loss_delta": drop * 2,
                "kl": abs(drop),
                "agreement": 1 - abs(drop),
                "params": 1000 - removed,
                "macs": 10_000 - 10 * removed,
                "status": "failed" if drop != drop else status,
                "seconds": 0.1,
            }
        )
    return pd.DataFrame(rows)


def table(
    curves: Mapping[tuple[str, str], Sequence[float]],
    *,
    half_width: float = 0.0,
    total: int = 10,
    granularity: str = "channel",
) -> pd.DataFrame:
    """Curves by (criterion, layer)."""
    return pd.concat(
        [
            curve(
                drops,
                criterion=criterion,
                layer=layer,
                half_width=half_width,
                total=total,
                granularity=granularity,
            )
            for (criterion, layer), drops in curves.items()
        ],
        ignore_index=True,
    )
