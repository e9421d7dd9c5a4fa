"""The plan's table: ratio, criterion and lock editable per layer.

The table is a component of its own. Streamlit's grid closes the editor of a cell without its value
where Enter arrives before the browser has come round to the last digit's timer, as on a busy
machine. Here a row is a plain field, and an edit is sent with all later ones until the server has
said that it has it (`table.js`).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from analysis.curves import GroupSize, blocks_of, plan_sizes, sparkline_reach, sparklines
from analysis.records import Inventory, Plan
from analysis.sentences import capital
from analysis.tasks import Words
from pages.components.state import Session, plan_state, tolerance, url_state
from pages.components.widgets import formatting
from pruners.criteria import CRITERIA, label_of
from pruners.granularity import parse

HERE = Path(__file__).parent
KEY = "plan_table"
ROWS = 14

_component = st.components.v2.component(
    "prunescope_plan_table",
    html='<div class="plan"></div>',
    css=(HERE / "table.css").read_text(encoding="utf-8"),
    js=(HERE / "table.js").read_text(encoding="utf-8"),
)


def draw(
    plan: Plan, table: pd.DataFrame, points: pd.DataFrame, current: Session, inventory: Inventory
) -> None:
    """Draw the table; what arrives of edits at once becomes one undoable step."""
    if table.empty:
        st.info("This model has nothing to prune at this granularity.", icon=":material/info:")
        return
    words = tolerance.words_of(plan.subject.task)
    accepted = tolerance.accepted(plan.subject.task)
    _component(
        key=KEY,
        data={
            "rows": rows_of(table, points, words, plan_sizes(plan, inventory), accepted),
            "reach": sparkline_reach(accepted, words.drop_scale),
            "criteria": _offered(table, current),
            "alone": _alone(words),
            "applied": plan_state.last_edit(),
            "focus": url_state.value("layer"),
        },
        on_edits_change=_edited,
        on_focus_change=_focused,
    )


def take() -> bool:
    """Apply what the table sent and the plan has not; say whether it changed the plan.

    A page calls it before it draws the plan: the table's callback may have been ended by the next
    rerun, to which the same edits are no change.
    """
    sent = (st.session_state.get(KEY) or {}).get("edits")
    layers = plan_state.edit(sent) if sent else ()
    if len(layers) == 1:
        # What is below the table follows the hand.
        url_state.put("layer", layers[0])
    return bool(layers)


def preview(table: pd.DataFrame, points: pd.DataFrame, current: Session) -> None:
    """Draw the table to look at."""
    words = tolerance.words_of(current.chosen.task)
    accepted = tolerance.accepted(current.chosen.task)
    low, high = sparkline_reach(accepted, words.drop_scale)
    rows = pd.DataFrame(rows_of(table, points, words, {}, accepted))
    shown = rows[["layer", "curve", "ratio", "criterion", "achieved", "tolerated", "drop", "note"]]
    shown = shown.assign(criterion=shown["criterion"].map(label_of))
    achieved, tolerated = (
        st.column_config.NumberColumn(name, format="%.2f %%") for name in ("Achieved", "Tolerated")
    )
    st.dataframe(
        shown,
        hide_index=True,
        height="content" if len(shown) <= ROWS else 560,
        column_config={
            "layer": st.column_config.TextColumn("Layer", pinned=True),
            "curve": st.column_config.LineChartColumn(
                "Curve", width="small", y_min=low, y_max=high
            ),
            "ratio": st.column_config.NumberColumn("Ratio (%)", format="%.2f"),
            "criterion": "Criterion",
            "achieved": achieved,
            "tolerated": tolerated,
            "drop": _alone(words),
            "note": "Note",
        },
        alt="Ratio and criterion of each layer of the plan",
        key="plan_preview",
    )


def _alone(words: Words) -> str:
    """Return the title of what a layer costs by itself."""
    return f"{capital(words.drop_noun)} alone"


def rows_of(
    table: pd.DataFrame,
    points: pd.DataFrame,
    words: Words,
    sizes: dict[str, GroupSize],
    accepted: float,
) -> list[dict[str, Any]]:
    """Return the rows as they are shown: shares in percent, texts formatted, None if unknown.

    Args:
        table: What `plan_table` returned.
        points: The points of the open run.
        words: How the task writes a drop.
        sizes: What each row's group takes of the model, by the key of the row.
        accepted: The tolerance, as a fraction.
    """
    lines = {
        name: sparklines(points, criterion=name, tolerance=accepted, scale=words.drop_scale)
        for name in table["criterion"].unique()
    }
    blocks = blocks_of(table["layer"].tolist())
    found = []
    for row in table.to_dict("records"):
        drop, interval = _drop(row["drop"], row["drop_low"], row["drop_high"], words)
        size = sizes.get(row["key"])
        found.append(
            {
                "key": row["key"],
                "layer": row["layer"],
                "others": [] if size is None else list(size.layers[1:]),
                "block": blocks[row["layer"]],
                "locked": bool(row["locked"]),
                "curve": lines[row["criterion"]].get(row["layer"], []),
                "ratio": round(row["ratio"] * 100, 2),
                "criterion": row["criterion"],
                "achieved": round(row["achieved"] * 100, 2),
                "tolerated": _known(row["tolerated"] * 100),
                "kept": int(row["kept"]),
                "total": int(row["total"]),
                "stay": f"{formatting.thousands(row['kept'])} of "
                f"{formatting.thousands(row['total'])} stay",
                "takes": None if size is None else round(size.params * 100, 4),
                "loss": _known(row["drop"]),
                "drop": drop,
                "interval": interval,
                "note": row["note"],
            }
        )
    return found


def _known(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 6)


def _drop(drop: float, low: float, high: float, words: Words) -> tuple[str, str]:
    if math.isnan(drop):
        return "not measured", ""
    if low == high == 0:
        return formatting.DASH, ""
    return formatting.drop(drop, words), formatting.drop_range(low, high, words)


def _offered(table: pd.DataFrame, current: Session) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the criteria by heading, those with curves first, each with its label."""
    kinds = {parse(name).kind for name in table["granularity"]}
    names = [entry.name for entry in CRITERIA if kinds <= entry.granularities]
    names += [name for name in table["criterion"].unique() if name not in names]
    measured = set(current.run.spec.criteria) if current.run is not None else set()
    parts = {
        "Measured": [name for name in names if name in measured],
        "Not measured": [name for name in names if name not in measured],
    }
    return [
        (title, [(name, label_of(name)) for name in items])
        for title, items in parts.items()
        if items
    ]


def _edited() -> None:
    take()


def _focused() -> None:
    layer = st.session_state[KEY].get("focus")
    if layer:
        url_state.put("layer", str(layer))
