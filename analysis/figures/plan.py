"""Charts of one plan and of its evaluation: ratios, sizes, classes, latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from analysis.figures.drawing import (
    Palette,
    blank,
    canvas,
    layer_axis,
    palette,
    percent,
    percent_axis,
    styles,
    with_alt,
)
from analysis.sentences import capital, listed


def size_bars(
    sizes: pd.DataFrame,
    *,
    value: str = "params",
    notes: Mapping[str, str] | None = None,
    theme: str = "light",
    horizontal: bool = True,
) -> go.Figure:
    """Draw parameters or MACs by layer, dense beside pruned.

    Args:
        sizes: One row a layer in execution order: ``layer``, ``params``, ``macs``, and for a plan
            ``params_pruned``, ``macs_pruned``.
        value: ``params`` or ``macs``.
        notes: What is written behind the name of a row.
        theme: ``light`` or ``dark``.
        horizontal: Layers on the y axis.

    Returns:
        A figure; ``customdata`` is ``[layer, exact value]``.
    """
    colors = palette(theme)
    if sizes.empty:
        return blank(colors=colors, message="No layers")
    label = "Parameters" if value == "params" else "MACs"
    figure = canvas(
        colors=colors,
        height=140 + 24 * len(sizes) if horizontal else 360,
        legend=f"{value}_pruned" in sizes,
    )
    series = [("dense", value, "")]
    if f"{value}_pruned" in sizes:
        series.append(("pruned", f"{value}_pruned", "/"))
    for place, (name, column, pattern) in enumerate(series):
        numbers, layers = sizes[column], sizes["layer"]
        figure.add_trace(
            go.Bar(
                x=numbers if horizontal else layers,
                y=layers if horizontal else numbers,
                orientation="h" if horizontal else "v",
                name=name,
                marker={"color": colors.series[place], "pattern": {"shape": pattern}},
                customdata=list(zip(layers, numbers, strict=True)),
                hovertemplate="<b>%{customdata[0]}</b>: %{customdata[1]:,} "
                + label
                + f"<extra>{name}</extra>",
            )
        )
    if horizontal:
        layer_axis(figure, list(sizes["layer"]), notes=notes)
        figure.update_xaxes(title_text=label, tickformat="~s")
    else:
        figure.update_xaxes(type="category", tickfont_size=11)
        figure.update_yaxes(title_text=label, tickformat="~s")
    total = float(sizes[value].sum()) or 1.0
    top = sizes.nlargest(1, value).iloc[0]
    return with_alt(
        figure,
        f"{label} of {len(sizes)} layers: {top['layer']} has the most, "
        f"{percent(float(top[value]) / total)} of them.",
    )


def class_change(
    classes: pd.DataFrame,
    *,
    only_clear: bool = False,
    theme: str = "light",
    names: tuple[str, str] = ("dense", "pruned"),
    score: str = "accuracy",
    counted: str = "samples",
) -> go.Figure:
    """Draw each class's score, dense and pruned, as a dumbbell.

    Classes whose change is clear (its interval excludes 0) are drawn solid, the others hollow.

    Args:
        classes: ``class_name, samples, dense, pruned`` (scores, fractions), ``change,
            change_low, change_high`` (pruned - dense, fractions), ``clear``.
        only_clear: Leave out classes whose change is not clear.
        theme: ``light`` or ``dark``.
        names: What the two models are called.
        score: What the score of a class is called.
        counted: What ``samples`` counts.
    """
    colors = palette(theme)
    rows = classes[classes["clear"].astype(bool)] if only_clear else classes
    if rows.empty:
        return blank(colors=colors, message="No class changes clearly")
    rows = rows.sort_values("change", kind="stable")
    figure = canvas(colors=colors, x_title=score, height=140 + 26 * len(rows))
    figure.add_traces(_connections(rows, colors))
    for place, (name, column) in enumerate(zip(names, ("dense", "pruned"), strict=True)):
        marker = ("circle", "diamond")[place]
        figure.add_trace(
            go.Scatter(
                x=rows[column],
                y=rows["class_name"],
                mode="markers",
                name=name,
                marker={
                    "size": 11,
                    "color": colors.series[place],
                    "symbol": [marker if clear else f"{marker}-open" for clear in rows["clear"]],
                },
                customdata=_class_custom(rows),
                hovertext=[percent(value, digits=2) for value in rows[column]],
                hovertemplate="<b>%{customdata[0]}</b> " + name + " %{hovertext}<br>drop "
                "%{customdata[1]:.2f} pp (%{customdata[2]:.2f} to %{customdata[3]:.2f}), "
                f"%{{customdata[4]:,}} {counted}<extra></extra>",
            )
        )
    percent_axis(figure, least=float(rows[["dense", "pruned"]].min().min()))
    figure.update_yaxes(
        type="category", categoryorder="array", categoryarray=rows["class_name"].tolist()[::-1]
    )
    clear = rows[rows["clear"].astype(bool)]
    said = f"clear changes: {listed(clear['class_name'])}" if len(clear) else "no change is clear"
    worst = rows.iloc[0]
    return with_alt(
        figure,
        f"{capital(score)} of {len(rows)} classes, {names[0]} and {names[1]}; {said}; the largest "
        f"loss is {worst['class_name']} with {float(-worst['change']) * 100:.2f} pp.",
    )


def _connections(rows: pd.DataFrame, colors: Palette) -> list[go.Scatter]:
    return [
        go.Scatter(
            x=[row["dense"], row["pruned"]],
            y=[row["class_name"]] * 2,
            mode="lines",
            line={
                "color": colors.text if row["clear"] else colors.muted,
                "width": 3 if row["clear"] else 1,
            },
            showlegend=False,
            hoverinfo="skip",
        )
        for row in rows.to_dict("records")
    ]


def _class_custom(rows: pd.DataFrame) -> list[list[object]]:
    return [
        [
            row["class_name"],
            -row["change"] * 100,
            -row["change_high"] * 100,
            -row["change_low"] * 100,
            row["samples"],
        ]
        for row in rows.to_dict("records")
    ]


def latency_chart(
    measured: Mapping[str, Sequence[float]], *, note: str = "", theme: str = "light"
) -> go.Figure:
    """Draw latency of each model: all repeats, the box of their quartiles, the median.

    Args:
        measured: Seconds per batch of each repeat, by model name.
        note: How it was measured (batch, device, threads), for the axis.
        theme: ``light`` or ``dark``.
    """
    colors = palette(theme)
    known = {name: list(values) for name, values in measured.items() if len(values)}
    if not known:
        return blank(colors=colors, message="Latency was not measured")
    look = styles(list(known), colors=colors)
    title = "ms per batch" + (f" ({note})" if note else "")
    figure = canvas(colors=colors, x_title=title, height=120 + 70 * len(known), legend=False)
    medians = {}
    for name, values in known.items():
        medians[name] = float(pd.Series(values).median() * 1000)
        figure.add_trace(
            go.Box(
                x=[value * 1000 for value in values],
                name=name,
                orientation="h",
                boxpoints="all",
                jitter=0.4,
                pointpos=0,
                line={"color": look[name].color},
                marker={"color": look[name].color, "symbol": look[name].marker, "size": 5},
                fillcolor="rgba(0,0,0,0)",
            )
        )
    figure.update_xaxes(rangemode="tozero")
    figure.update_yaxes(autorange="reversed")
    said = ", ".join(f"{name} {value:.2f} ms" for name, value in medians.items())
    return with_alt(figure, f"Median latency per batch: {said}.")


def plan_bars(table: pd.DataFrame, *, theme: str = "light") -> go.Figure:
    """Draw the plan's achieved ratios by layer, with what each layer tolerates as ticks.

    Args:
        table: What `analysis.plans.prediction.plan_table` returned.
        theme: ``light`` or ``dark``.

    Returns:
        A figure; ``customdata`` is ``[key]``.
    """
    colors = palette(theme)
    if table.empty:
        return blank(colors=colors, message="The plan has no entries")
    figure = canvas(colors=colors, y_title="fraction removed", height=340)
    figure.add_trace(
        go.Bar(
            x=table["layer"],
            y=table["achieved"],
            name="plan",
            marker={
                "color": colors.series[0],
                "pattern": {"shape": ["x" if locked else "" for locked in table["locked"]]},
            },
            customdata=table[["key"]].to_numpy(dtype=object),
            hovertext=[percent(value, digits=1) for value in table["achieved"]],
            hovertemplate="<b>%{x}</b>: %{hovertext} removed<extra></extra>",
        )
    )
    figure.add_trace(_tolerated_marks(table, colors))
    figure.update_xaxes(type="category", tickfont_size=11)
    figure.update_yaxes(range=[0, 1.02])
    percent_axis(figure, axis="y")
    beyond = table[table["achieved"] > table["tolerated"] + 1e-9]["layer"]
    pruned = int((table["achieved"] > 0).sum())
    said = f"beyond what they tolerate: {listed(beyond)}" if len(beyond) else "none beyond it"
    return with_alt(
        figure,
        f"Plan: {pruned} of {len(table)} layers pruned, most by "
        f"{percent(float(table['achieved'].max()))}; {said}.",
    )


def _tolerated_marks(table: pd.DataFrame, colors: Palette) -> go.Scatter:
    return go.Scatter(
        x=table["layer"],
        y=table["tolerated"],
        mode="markers",
        name="tolerated",
        marker={
            "symbol": "diamond-wide",
            "size": 12,
            "color": colors.series[1],
            "line": {"color": colors.background, "width": 1.5},
        },
        customdata=table[["key"]].to_numpy(dtype=object),
        hovertext=[
            "" if value != value else percent(value, digits=1) for value in table["tolerated"]
        ],
        hovertemplate="<b>%{x}</b> tolerates %{hovertext}<extra></extra>",
    )


def unit_scores(
    table: pd.DataFrame, *, units: str = "channels", height: int = 200, theme: str = "light"
) -> go.Figure:
    """Draw the scores of a group's units, rising, those that go in another colour.

    Args:
        table: What `analysis.plans.unit_table` returned.
        units: What they are called.
        height: Of the chart.
        theme: ``light`` or ``dark``.

    Returns:
        A figure; ``customdata`` is ``[unit]``.
    """
    colors = palette(theme)
    if table.empty:
        return blank(colors=colors, message=f"No {units}", height=height)
    figure = canvas(colors=colors, x_title=f"{units} by score", y_title="score", height=height)
    goes, stays = table[~table["kept"]], table[table["kept"]]
    for name, rows, color in (("goes", goes, colors.series[1]), ("stays", stays, colors.series[0])):
        figure.add_trace(
            go.Bar(
                x=rows.index + 1,
                y=rows["score"],
                name=f"{name} ({len(rows):,})",
                marker={"color": color, "line": {"width": 0}},
                customdata=rows[["unit"]].to_numpy(dtype=object),
                hovertemplate=f"{units[:-1]} %{{customdata[0]}} {name}<br>score %{{y:.4g}}"
                "<extra></extra>",
            )
        )
    figure.update_layout(bargap=0.12 if len(table) <= 64 else 0.0)
    said = "none goes"
    if len(goes):
        said = f"{len(goes):,} go, with scores up to {goes['score'].max():.3g}"
    if len(goes) and len(stays):
        said += f"; the lowest that stays has {stays['score'].min():.3g}"
    return with_alt(figure, f"Scores of {len(table):,} {units}: {said}.")
