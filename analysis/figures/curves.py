"""Charts of sensitivity: curves with bands, one layer in focus, small multiples."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.curves import (
    DROP,
    criteria_of,
    curves,
    envelope,
    from_zero,
    is_known,
    layer_order,
    metric,
    tolerated,
)
from analysis.figures.layout import blank, canvas, style_layout, with_alt
from analysis.figures.palettes import Palette, behind, palette, styles
from analysis.figures.traces import (
    ComparedCurves,
    Drawn,
    add_context,
    add_curve,
    add_envelope,
    line,
)
from analysis.records import DEFAULT_TASK
from analysis.sentences import listed
from analysis.tasks import Metric, scoring_of

MAX_HIGHLIGHTED = 8
MAX_PANELS = 24
# Pixels: of title, axis and margins beside the plot; from one label to the next.
PLOT_MARGINS = 90
LABEL_PITCH = 15
# How much longer an axis is than what is drawn along it.
AUTORANGE = 1.1
# Characters.
LONGEST_LABEL = 24
NO_POINTS = "No measured points yet"
DROPS = "accuracy_drop"


def sensitivity_curves(
    points: pd.DataFrame,
    *,
    criterion: str,
    highlight: Sequence[str] = (),
    metric_name: str = DROP,
    task: str = DEFAULT_TASK,
    tolerance: float | None = None,
    x: str = "ratio_achieved",
    show_envelope: bool = False,
    bands: bool = True,
    compared: ComparedCurves | None = None,
    theme: str = "light",
    height: int = 460,
) -> go.Figure:
    """Draw one curve a layer: grey context for all, colour, band and label for the chosen ones.

    Args:
        points: The points table.
        criterion: Whose curves.
        highlight: Layers in colour, at most `MAX_HIGHLIGHTED`; the rest is context.
        metric_name: A key of `analysis.curves.metrics`.
        task: Says which metrics there are, and how drops are written.
        tolerance: Accuracy drop of the tolerance line, as a fraction; only drawn for drops.
        x: ``ratio_achieved`` or ``ratio_requested``.
        show_envelope: Also draw the monotone envelope of highlighted layers (drop only).
        bands: Fill the intervals of highlighted layers.
        compared: Another variant; its curves of highlighted layers are drawn, thin and hollow.
        theme: ``light`` or ``dark``.
        height: In pixels.

    Returns:
        A figure; ``customdata`` of each point is ``[layer, criterion, ratio_requested,
        ratio_achieved, kept, total, samples]``, also on context points.
    """
    colors, kind = palette(theme), metric(metric_name, task)
    known = points[(points["criterion"] == criterion) & is_known(points)]
    if known.empty:
        return blank(colors=colors, message=NO_POINTS, height=height)
    if show_envelope:
        known = envelope(known)
    chosen = [name for name in dict.fromkeys(highlight) if name in set(known["layer"])]
    chosen = chosen[:MAX_HIGHLIGHTED]
    by_layer = {key[2]: curve for key, curve in curves(from_zero(known))}
    figure = canvas(
        colors=colors, x_title=_x_title(x), y_title=_y_title(kind), height=height, legend=False
    )
    context = [curve for layer, curve in by_layer.items() if layer not in chosen]
    add_context(figure, context, kind, x=x, colors=colors)
    look = styles(chosen, colors=colors)
    drawn = []
    if compared is not None:
        drawn = [
            Drawn(from_zero(curve), behind(look[layer]), f"{layer}, {compared.name}", compared.name)
            for layer, curve in compared.curves_of(criterion, chosen).items()
        ]
    drawn += [Drawn(by_layer[layer], look[layer], layer) for layer in chosen]
    for item in drawn:
        add_curve(figure, item, kind, x=x, band=bands)
        if show_envelope and metric_name == DROP and not item.variant:
            add_envelope(figure, item, x=x)
    ends = [
        (item.name, float(item.curve[kind.column].iloc[-1]) * kind.scale, item.look.color)
        for item in drawn
    ]
    if tolerance is not None and kind.column == DROPS:
        height_of_tolerance = tolerance * kind.scale
        ends.append((f"tolerance {_limit(tolerance, task)}", height_of_tolerance, colors.tolerance))
    heights = [known[kind.column], *(_heights(item.curve, kind, band=bands) for item in drawn)]
    extent = pd.concat(heights) * kind.scale
    longest = max((len(_shortened(name)) for name, _, _ in ends), default=0)
    figure.update_layout(margin_r=max(8, 12 + round(6.8 * longest)))
    _label_ends(figure, ends, low=float(extent.min()), high=float(extent.max()), height=height)
    _finish(figure, kind, tolerance=tolerance, colors=colors, label=False)
    return with_alt(figure, _curves_alt(known, criterion, tolerance, compared, chosen, task))


def focus_curves(
    points: pd.DataFrame,
    *,
    layer: str,
    metric_name: str = DROP,
    task: str = DEFAULT_TASK,
    tolerance: float | None = None,
    x: str = "ratio_achieved",
    criteria: Sequence[str] = (),
    compared: ComparedCurves | None = None,
    theme: str = "light",
    height: int = 340,
) -> go.Figure:
    """Draw one layer by every criterion, with bands; see `sensitivity_curves`.

    ``criteria`` are all criteria of the run in their order, for the same look in every chart; empty
    takes those of the table. Of ``compared`` those of these criteria that it has are drawn as well.
    """
    colors, kind = palette(theme), metric(metric_name, task)
    known = points[(points["layer"] == layer) & is_known(points)]
    if known.empty:
        return blank(colors=colors, message=f"{layer}: no measured points yet", height=height)
    figure = canvas(colors=colors, x_title=_x_title(x), y_title=_y_title(kind), height=height)
    look = styles(list(criteria) or criteria_of(points), colors=colors)
    if compared is not None:
        others = compared.known([layer])
        for (criterion, _, _), curve in curves(others[others["criterion"].isin(look)]):
            name = f"{criterion}, {compared.name}"
            add_curve(figure, Drawn(curve, behind(look[criterion]), name, compared.name), kind, x=x)
    for (criterion, _, _), curve in curves(known):
        name = f"{criterion}, {compared.present}" if compared else criterion
        add_curve(figure, Drawn(curve, look[criterion], name), kind, x=x)
    _finish(figure, kind, tolerance=tolerance, colors=colors)
    return with_alt(figure, _focus_alt(known, layer, tolerance, compared, task))


def small_multiples(
    points: pd.DataFrame,
    *,
    layers: Sequence[str] = (),
    metric_name: str = DROP,
    task: str = DEFAULT_TASK,
    tolerance: float | None = None,
    columns: int = 4,
    criteria: Sequence[str] = (),
    theme: str = "light",
) -> go.Figure:
    """Draw a panel a layer with a shared y axis, a line a criterion; `MAX_PANELS` at most."""
    colors, kind = palette(theme), metric(metric_name, task)
    known = points[is_known(points)]
    chosen = [name for name in (list(layers) or layer_order(known)) if name in set(known["layer"])]
    chosen = chosen[:MAX_PANELS]
    if not chosen:
        return blank(colors=colors, message=NO_POINTS)
    columns = min(columns, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        shared_xaxes=True,
        shared_yaxes="all",
        subplot_titles=chosen,
        vertical_spacing=min(0.12, 0.35 / rows),
        horizontal_spacing=0.02,
    )
    style_layout(figure, colors=colors, height=max(260, 190 * rows), legend=True)
    # Above the panels' titles, whatever the number of rows.
    figure.update_layout(margin_t=64, legend={"yref": "container", "y": 1, "yanchor": "top"})
    figure.update_annotations(font={"size": 12, "color": colors.text})
    look = styles(list(criteria) or criteria_of(points), colors=colors)
    shown: set[str] = set()
    for (criterion, _, layer), curve in curves(from_zero(known[known["layer"].isin(chosen)])):
        place = chosen.index(layer)
        trace = line(Drawn(curve, look[criterion], criterion), kind, x="ratio_achieved")
        trace.update(legendgroup=criterion, showlegend=criterion not in shown)
        shown.add(criterion)
        figure.add_trace(trace, row=place // columns + 1, col=place % columns + 1)
    if tolerance is not None and kind.column == DROPS:
        figure.add_hline(y=tolerance * kind.scale, line={"color": colors.tolerance, "dash": "dash"})
    # No tick at the ends: those of neighbours would run into each other.
    figure.update_xaxes(range=[0, 1.02], tickformat=".0%", tickvals=[0.25, 0.5, 0.75])
    shown_points = known[known["layer"].isin(chosen)]
    figure.update_yaxes(range=_common_range(shown_points[kind.column] * kind.scale, kind))
    figure.update_yaxes(title_text=_y_title(kind), col=1)
    return with_alt(
        figure,
        f"{len(chosen)} panels, one a layer, {_y_title(kind)} over the removed fraction for "
        f"{listed(sorted(shown), most=6)}.",
    )


def _common_range(drawn: pd.Series, kind: Metric) -> list[float]:
    """Return a y range for all panels.

    Matched axes do not find one by themselves once a line is drawn over all of them.
    """
    margin = 0.06 * max(float(drawn.max() - drawn.min()), 1e-6)
    low = float(drawn.min()) if kind.unit == "%" else min(0.0, float(drawn.min()))
    return [low - margin, float(drawn.max()) + margin]


def _heights(curve: pd.DataFrame, kind: Metric, *, band: bool) -> pd.Series:
    """Return all heights that drawing a curve takes, unscaled."""
    names = [kind.column, *((kind.low, kind.high) if band and kind.low else ())]
    heights: pd.Series = pd.concat([curve[name] for name in names])
    return heights


def _label_ends(
    figure: go.Figure,
    ends: Sequence[tuple[str, float, str]],
    *,
    low: float,
    high: float,
    height: int,
) -> None:
    """Write names, each at a height with a colour, right of the plot and clear of each other."""
    pixels = (height - PLOT_MARGINS) / max(AUTORANGE * (high - low), 1e-9)
    floor, shifts = -math.inf, {}
    for name, y, _ in sorted(ends, key=lambda end: end[1]):
        place = max((y - low) * pixels, floor)
        floor = place + LABEL_PITCH
        shifts[name] = place - (y - low) * pixels
    for name, y, color in ends:
        figure.add_annotation(
            x=1,
            xref="x domain",
            y=y,
            text=_shortened(name),
            showarrow=False,
            xanchor="left",
            xshift=4,
            yshift=shifts[name],
            font={"color": color, "size": 12},
        )


def _shortened(name: str) -> str:
    """Return a name that fits beside the plot; the end of a module's name says most."""
    return (
        name
        if len(name) <= LONGEST_LABEL
        else f"\N{HORIZONTAL ELLIPSIS}{name[1 - LONGEST_LABEL :]}"
    )


def _finish(
    figure: go.Figure,
    kind: Metric,
    *,
    tolerance: float | None,
    colors: Palette,
    label: bool = True,
) -> None:
    figure.update_xaxes(tickformat=".0%", range=[0, 1.02])
    if kind.unit == "%":
        figure.update_yaxes(range=[None, 100.5])
    if tolerance is not None and kind.column == DROPS:
        note: dict[str, object] = {}
        if label:
            note = {
                "annotation_text": f"tolerance {tolerance * kind.scale:g} {kind.unit}".rstrip(),
                "annotation_position": "top right",
                "annotation_font_color": colors.tolerance,
            }
        line = {"color": colors.tolerance, "dash": "dash", "width": 1.5}
        figure.add_hline(y=tolerance * kind.scale, line=line, **note)


def _x_title(x: str) -> str:
    return "fraction removed (achieved)" if x == "ratio_achieved" else "fraction removed (asked)"


def _y_title(kind: Metric) -> str:
    return f"{kind.label} ({kind.unit})" if kind.unit else kind.label


def _limit(tolerance: float, task: str) -> str:
    return scoring_of(task).words.limit(tolerance)


def _curves_alt(
    known: pd.DataFrame,
    criterion: str,
    tolerance: float | None,
    compared: ComparedCurves | None,
    chosen: Sequence[str],
    task: str,
) -> str:
    limit = scoring_of(task).words.tolerance if tolerance is None else tolerance
    table = tolerated(known, tolerance=limit)
    table = table[table["tolerated"].notna()].sort_values("tolerated", kind="stable")
    text = f"Sensitivity curves of {known['layer'].nunique()} layers by {criterion}."
    if len(table):
        rows = table.to_dict("records")
        least, most = rows[0], rows[-1]
        if most["low"] <= least["high"]:
            text += f" Within {_limit(limit, task)} the intervals of all layers overlap."
        else:
            text += (
                f" Within {_limit(limit, task)}, {most['layer']} tolerates most "
                f"({most['tolerated']:.0%} removed) and {least['layer']} least "
                f"({least['tolerated']:.0%})."
            )
    if compared is None:
        return text
    others = compared.curves_of(criterion, chosen)
    said = "; ".join(
        f"{layer} {_removable(known[known['layer'] == layer], limit)} {compared.present}, "
        f"{_removable(curve, limit)} {compared.name}"
        for layer, curve in others.items()
    )
    return f"{text} Removable: {said}." if said else text


def _focus_alt(
    known: pd.DataFrame,
    layer: str,
    tolerance: float | None,
    compared: ComparedCurves | None,
    task: str,
) -> str:
    limit = scoring_of(task).words.tolerance if tolerance is None else tolerance
    said = _removable(known, limit, named=True)
    if compared is not None:
        other = _removable(compared.known([layer]), limit, named=True)
        said = f"{compared.present} {said}. {compared.name.capitalize()} {other}"
    return f"{layer}: removable within {_limit(limit, task)}: {said}."


def _removable(known: pd.DataFrame, limit: float, *, named: bool = False) -> str:
    """Return what one layer tolerates by each criterion."""
    table = tolerated(known, tolerance=limit)
    parts = [
        f"{row['criterion'] + ' ' if named else ''}{row['tolerated']:.0%} "
        f"(between {row['low']:.0%} and {row['high']:.0%})"
        for row in table[table["tolerated"].notna()].to_dict("records")
    ]
    return "; ".join(parts) or "nothing could be removed"
