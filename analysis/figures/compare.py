"""Charts that compare criteria."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from analysis.figures.drawing import (
    Palette,
    blank,
    canvas,
    layer_axis,
    palette,
    readable_on,
    scale,
    short_percent,
    styles,
    with_alt,
)
from analysis.sentences import listed
from pruners.criteria import label_of

OUTCOMES: Mapping[str, tuple[str, str, int]] = {
    # Outcome -> (symbol, what the legend says, width of the frame); the shape tells them apart
    # without colour.
    "best": ("square", "best", 2),
    "tied": ("square-open", "tied", 2),
    "only": ("circle-open", "only one", 2),
    "worse": ("square-open", "worse", 1),
    "n/a": ("line-ew-open", "n/a", 1),
}
# In the summary's bars, from most to least: one hue that fades, so that numbers stay readable and
# nothing looks like an alarm.
SUMMARY = ("best", "tied", "worse", "missing")
CELL = 36
# From here on names are turned and cells shrink.
MANY = 6


def win_matrix_chart(wins: pd.DataFrame, *, theme: str = "light") -> go.Figure:
    """Draw layer x criterion: best, tied, worse, each with its own marker.

    Args:
        wins: What `analysis.comparison.criteria.win_matrix` returned.
        theme: ``light`` or ``dark``.

    Returns:
        A figure; ``customdata`` is ``[layer, criterion, outcome]``.
    """
    colors = palette(theme)
    if wins.empty:
        return blank(colors=colors, message="No criteria to compare yet")
    layers = list(dict.fromkeys(wins["layer"]))
    shades = _shades(colors)
    criteria = [label_of(name) for name in dict.fromkeys(wins["criterion"])]
    room = 130 if len(criteria) <= MANY else 190
    figure = canvas(colors=colors, height=room + CELL * len(layers))
    for outcome in OUTCOMES:
        rows = wins[wins["outcome"] == outcome]
        if not rows.empty:
            trace = _outcome_trace(rows, outcome, shades[outcome], colors)
            if len(criteria) > MANY:
                trace.update(marker_size=CELL - 8, textfont_size=9)
            figure.add_trace(trace)
    figure.update_xaxes(
        type="category",
        categoryorder="array",
        categoryarray=criteria,
        range=[-0.6, len(criteria) - 0.4],
        showgrid=False,
    )
    layer_axis(figure, layers)
    figure.update_yaxes(showgrid=False)
    said = "; ".join(
        f"{label_of(str(criterion))} best in {int((rows['outcome'] == 'best').sum())}, tied in "
        f"{int((rows['outcome'] == 'tied').sum())}"
        for criterion, rows in wins.groupby("criterion", sort=False)
    )
    return with_alt(figure, f"Which criterion lets {len(layers)} layers lose most: {said}.")


def _shades(colors: Palette) -> dict[str, str]:
    """Return the colour of each outcome: the more, the stronger; grey for what is no contest."""
    ramp = colors.sequential
    strong = {"best": ramp[-1], "tied": ramp[3]}
    return {outcome: strong.get(outcome, colors.muted) for outcome in OUTCOMES}


def _outcome_trace(rows: pd.DataFrame, outcome: str, color: str, colors: Palette) -> go.Scatter:
    symbol, label, width = OUTCOMES[outcome]
    ink = readable_on(color) if outcome == "best" else colors.text
    return go.Scatter(
        x=rows["criterion"].map(label_of),
        y=rows["layer"],
        mode="markers+text",
        name=label,
        text=["" if value != value else short_percent(value) for value in rows["tolerated"]],
        textposition="middle center",
        textfont={"size": 10, "color": ink},
        marker={
            "symbol": symbol,
            "size": CELL - 4,
            "color": color,
            "line": {"width": width, "color": color},
        },
        customdata=rows[["layer", "criterion", "outcome"]].to_numpy(dtype=object),
        hovertemplate="<b>%{customdata[0]}</b> by %{customdata[1]}: %{customdata[2]}"
        "<extra></extra>",
    )


def agreement_chart(
    matrix: pd.DataFrame, *, label: str = "Jaccard index of removed channels", theme: str = "light"
) -> go.Figure:
    """Draw a criterion x criterion table as square markers; ``customdata`` is the pair.

    Args:
        matrix: What `analysis.comparison.agreement_matrix` returned.
        label: What the numbers are.
        theme: ``light`` or ``dark``.
    """
    colors = palette(theme)
    names = [label_of(name) for name in matrix.columns]
    if len(names) < 2:
        return blank(colors=colors, message="Agreement needs two criteria")
    values = matrix.to_numpy(dtype=float).reshape(-1).tolist()
    places = itertools.product(names, names)
    cells = [(row, column, value) for (row, column), value in zip(places, values, strict=True)]
    ramp = colors.sequential
    cell = max(32, min(58, 600 // len(names)))
    figure = canvas(colors=colors, height=120 + cell * len(names), legend=False)
    figure.add_trace(
        go.Scatter(
            x=[column for _, column, _ in cells],
            y=[row for row, _, _ in cells],
            mode="markers+text",
            text=["n/a" if value != value else f"{value:.2f}" for value in values],
            textfont={
                "size": 13 if cell > 40 else 10,
                "color": [_ink(value, ramp) for value in values],
            },
            marker={
                "symbol": "square",
                "size": cell - 8,
                "color": values,
                "colorscale": scale(ramp),
                "cmin": 0,
                "cmax": 1,
                "line": {"width": 0.5, "color": colors.text},
            },
            customdata=[[row, column] for row, column, _ in cells],
            hovertemplate=f"%{{y}} and %{{x}}: {label} %{{text}}<extra></extra>",
        )
    )
    figure.update_xaxes(type="category")
    figure.update_xaxes(constrain="domain")
    figure.update_yaxes(
        type="category",
        categoryorder="array",
        categoryarray=names[::-1],
        scaleanchor="x",
        constrain="domain",
    )
    return with_alt(figure, _agreement_alt(cells, names, label))


def _agreement_alt(
    cells: Sequence[tuple[str, str, float]], names: Sequence[str], label: str
) -> str:
    text = f"{label} of {len(names)} criteria."
    pairs = [
        cell for cell in cells if names.index(cell[0]) < names.index(cell[1]) and cell[2] == cell[2]
    ]
    if len(pairs) == 1:
        return f"{text} {pairs[0][0]} and {pairs[0][1]}: {pairs[0][2]:.2f}."
    if not pairs:
        return text
    low, high = min(pairs, key=lambda cell: cell[2]), max(pairs, key=lambda cell: cell[2])
    return (
        f"{text} Most alike: {high[0]} and {high[1]} ({high[2]:.2f}); least: {low[0]} and {low[1]} "
        f"({low[2]:.2f})."
    )


def _ink(value: float, ramp: tuple[str, ...]) -> str:
    share = 0.0 if value != value else min(max(value, 0.0), 1.0)
    return readable_on(ramp[round(share * (len(ramp) - 1))])


def layer_agreement_chart(
    pairs: pd.DataFrame, *, value: str = "jaccard", theme: str = "light"
) -> go.Figure:
    """Draw the agreement of each pair of criteria by layer, beside what chance would give.

    Args:
        pairs: What `analysis.comparison.agreement` returned.
        value: ``jaccard`` or ``spearman``.
        theme: ``light`` or ``dark``.
    """
    colors = palette(theme)
    if pairs.empty:
        return blank(colors=colors, message="Agreement needs two criteria")
    layers = list(dict.fromkeys(pairs["layer"]))
    names = [_pair(one, other) for one, other in zip(pairs["first"], pairs["second"], strict=True)]
    look = styles(names, colors=colors)
    figure = canvas(
        colors=colors,
        x_title="Jaccard index of the removed" if value == "jaccard" else "rank correlation",
        height=140 + 24 * len(layers),
    )
    for (first, second), rows in pairs.groupby(["first", "second"], sort=False):
        style = look[_pair(first, second)]
        figure.add_trace(
            go.Scatter(
                x=rows[value],
                y=rows["layer"],
                mode="markers",
                name=_pair(first, second),
                marker={"symbol": style.marker, "size": 10, "color": style.color},
                customdata=rows[["layer", "first", "second"]].to_numpy(dtype=object),
                hovertemplate="<b>%{y}</b>: %{x:.2f}<extra>%{fullData.name}</extra>",
            )
        )
    if value == "jaccard":
        figure.add_trace(_by_chance(pairs, colors))
    layer_axis(figure, layers)
    return with_alt(
        figure,
        f"Agreement of {listed(dict.fromkeys(names))} over {len(layers)} layers, on average "
        f"{pairs[value].mean():.2f}.",
    )


def _pair(first: object, second: object) -> str:
    return f"{label_of(str(first))} and {label_of(str(second))}"


def _by_chance(pairs: pd.DataFrame, colors: Palette) -> go.Scatter:
    chance = pairs.drop_duplicates("layer")
    return go.Scatter(
        x=chance["by_chance"],
        y=chance["layer"],
        mode="markers",
        name="two random choices",
        marker={"symbol": "line-ns-open", "size": 14, "color": colors.tolerance},
        hovertemplate="by chance %{x:.2f}<extra></extra>",
    )


def criteria_chart(table: pd.DataFrame, *, theme: str = "light") -> go.Figure:
    """Draw each criterion's numbers of layers where it is best, tied, worse or not measured.

    Args:
        table: What `analysis.comparison.criteria.summary` returned.
        theme: ``light`` or ``dark``.
    """
    colors = palette(theme)
    if table.empty:
        return blank(colors=colors, message="No criteria to compare yet")
    figure = canvas(
        colors=colors, x_title="layers", height=140 + (40 if len(table) <= 8 else 26) * len(table)
    )
    ramp = colors.sequential
    fills = dict(zip(SUMMARY, (ramp[-1], ramp[3], ramp[1], colors.background), strict=True))
    for outcome, fill in fills.items():
        if not table[outcome].any():
            continue
        figure.add_trace(
            go.Bar(
                x=table[outcome],
                y=table["criterion"].map(label_of),
                orientation="h",
                name=outcome,
                marker={"color": fill, "line": {"color": colors.muted, "width": 1}},
                text=[str(count) if count else "" for count in table[outcome]],
                textposition="inside",
                insidetextanchor="middle",
                textangle=0,
                textfont={"color": readable_on(fill)},
                customdata=table[["criterion"]].to_numpy(dtype=object),
            )
        )
    figure.update_layout(barmode="stack", legend_traceorder="normal")
    most = int(table[list(SUMMARY)].sum(axis=1).max())
    figure.update_xaxes(rangemode="tozero", tick0=0, dtick=max(1, -(-most // 8)))
    figure.update_yaxes(autorange="reversed", type="category")
    best = ", ".join(
        f"{label_of(row['criterion'])} {row['best']} best, {row['tied']} tied, {row['worse']} worse"
        for row in table.to_dict("records")
    )
    return with_alt(figure, f"Layers won by each criterion: {best}.")
