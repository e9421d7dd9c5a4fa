"""Tables that charts are drawn of, and what a figure says."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import torch

from analysis import comparison, curves, figures
from tests.analysis.points_tables import table

RISING = [0.0, 0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 0.6]


STEEP = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.7, 0.7, 0.7]


POINTS = table(
    {
        ("l1", "conv1"): STEEP,
        ("l1", "conv2"): RISING,
        ("l1", "fc1"): [0.0] * 9,
        ("fpgm", "conv1"): STEEP,
        ("fpgm", "conv2"): STEEP,
    },
    half_width=0.002,
)


TABLE = curves.tolerated(POINTS, tolerance=0.011)


WINS = comparison.win_matrix(POINTS, tolerance=0.011)


PAIRS = comparison.agreement(
    {
        "l1": {"conv1": torch.arange(8.0), "conv2": torch.arange(6.0)},
        "fpgm": {"conv1": torch.arange(8.0).flip(0), "conv2": torch.arange(6.0)},
    },
    ratio=0.5,
)


SIZES = pd.DataFrame(
    {
        "layer": ["conv1", "fc1"],
        "params": [100, 300],
        "macs": [5000, 300],
        "params_pruned": [50, 300],
        "macs_pruned": [2500, 300],
    }
)


CLASSES = pd.DataFrame(
    {
        "class_name": ["shirt", "boot"],
        "samples": [200, 200],
        "dense": [0.8, 0.95],
        "pruned": [0.6, 0.95],
        "change": [-0.2, 0.0],
        "change_low": [-0.25, -0.02],
        "change_high": [-0.15, 0.02],
        "clear": [True, False],
    }
)


MEASURED = pd.DataFrame(
    {
        "plan": ["#1", "#2", "#3", "#4"],
        "name": ["#1 search", "#2 search", "#3 manual", "#4 search"],
        "recovery": [*["repaired by lsq"] * 3, "not repaired"],
        "way": [*["repaired by lsq"] * 3, "not repaired"],
        "searched": [True, True, False, True],
        "macs": [0.3, 0.5, 0.7, 0.5],
        "score": [0.85, 0.9, 0.88, 0.7],
        "low": [0.83, 0.88, 0.86, 0.68],
        "high": [0.87, 0.92, 0.9, 0.72],
    }
)


EVALUATED = pd.DataFrame(
    {
        "plan": ["mild", "strong", "bad"],
        "predicted": [0.01, 0.05, 0.05],
        "predicted_low": [0.0, 0.04, 0.04],
        "predicted_high": [0.02, 0.06, 0.06],
        "measured": [0.01, 0.08, 0.2],
        "measured_low": [0.0, 0.07, 0.19],
        "measured_high": [0.02, 0.09, 0.21],
        "drop": [0.01, 0.08, 0.2],
        "drop_low": [0.0, 0.07, 0.19],
        "drop_high": [0.02, 0.09, 0.21],
        "macs": [0.8, 0.4, 0.6],
        "params": [0.8, 0.4, 0.6],
    }
)


PLAN = pd.DataFrame(
    {
        "key": ["conv1", "conv2"],
        "layer": ["conv1", "conv2"],
        "achieved": [0.5, 0.0],
        "tolerated": [0.1, 0.4],
        "locked": [False, True],
    }
)


UNITS = pd.DataFrame(
    {
        "unit": [2, 0, 3, 1],
        "score": [0.25, 0.5, 1.25, 2.0],
        "kept": [False, False, True, True],
    }
)


def taken(**params: float) -> dict[str, curves.GroupSize]:
    return {
        name: curves.GroupSize(layers=(name, f"{name}.twin"), params=share, macs=share / 2)
        for name, share in params.items()
    }


TAKEN = taken(conv1=0.1, fc1=0.6, conv2=0.3)


FOLDED = curves.fold_tolerated(TABLE, {"conv1": "conv", "conv2": "conv", "fc1": "fc"})


def said(figure: go.Figure) -> str:
    """Return the text alternative with plain spaces."""
    return figures.alt(figure).replace("\N{NO-BREAK SPACE}", " ")


def traces(figure: go.Figure) -> list[str]:
    return [trace.name for trace in figure.data]
