"""Charts of sensitivity: curves with bands, one layer in focus, small multiples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
from analysis.figures.drawing import (
    DROPS,
    LONGEST_LABEL,
    ComparedCurves,
    Drawn,
    Palette,
    add_context,
    add_curve,
    add_envelope,
    band_of,
    behind,
    blank,
    canvas,
    clipped_text,
    in_focus,
    label_ends,
    layer_styles,
    line,
    palette,
    percent,
    percent_axis,
    reach_of,
    say_clipped,
    shortened,
    style_layout,
    styles,
    with_alt,
)
from analysis.records import DEFAULT_TASK
from analysis.sentences import listed
from analysis.tasks import Metric, scoring_of
from pruners.criteria import label_of

MAX_HIGHLIGHTED = 8
MAX_PANELS = 24
NO_POINTS = "No measured points yet"


def sensitivity_curves(
    points: pd.DataFrame,
    *,
    criterion: str,
    highlight: Sequence[str] = (),
    focus: str = "",
    metric_name: str = DROP,
    task: str = DEFAULT_TASK,
    tolerance: float | None = None,
    x: str = "ratio_achieved",
    show_envelope: bool = False,
    bands: bool = True,
    compared: ComparedCurves | None = None,
    order: Sequence[str] = (),
    zoom: bool = True,
    theme: str = "light",
    height: int = 460,
) -> go.Figure:
    """Draw one curve a layer: grey context for all, colour, band and label for the chosen ones.

    Args:
        points: The points table.
        criterion: Whose curves.
        highlight: Layers in colour, at most `MAX_HIGHLIGHTED`; the rest is context.
        focus: The one of them that is drawn broad, if any.
        metric_name: A key of `analysis.curves.metrics`.
        task: Says which metrics there are, and how drops are written.
        tolerance: Accuracy drop of the tolerance line, as a fraction; only drawn for drops.
        x: ``ratio_achieved`` or ``ratio_requested``.
        show_envelope: Also draw the monotone envelope of highlighted layers (drop only).
        bands: Fill the intervals of highlighted layers.
        compared: Another variant; its curves of highlighted layers are drawn, thin and hollow.
        order: All layers of the subject, so that each keeps its colour; empty takes those of
            ``points``.
        zoom: Cut drops off after a few tolerances and say so; False shows all of them.
        theme: ``light`` or ``dark``.
        height: In pixels.

    Returns:
        A figure; ``customdata`` of each point begins with ``[layer, criterion, ratio_requested,
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
    look = layer_styles(list(order) or layer_order(points), colors=colors)
    look |= {name: in_focus(look[name]) for name in chosen if name == focus}
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
    heights = [known[kind.column], *(_heights(item.curve, kind, band=bands) for item in drawn)]
    reach = reach_of(pd.concat(heights) * kind.scale, kind, tolerance=tolerance, zoom=zoom)
    figure.update_yaxes(range=[reach.low, reach.high])
    ends = [
        (item.name, float(item.curve[kind.column].iloc[-1]) * kind.scale, item.look.color)
        for item in drawn
    ]
    if tolerance is not None and kind.column == DROPS:
        height_of_tolerance = tolerance * kind.scale
        ends.append((f"tolerance {_limit(tolerance, task)}", height_of_tolerance, colors.tolerance))
    label_ends(figure, ends, reach=reach, height=height)
    _finish(figure, kind, tolerance=tolerance, colors=colors, label=False)
    rows = [*context, *(item.curve for item in drawn)]
    clipped = clipped_text(rows, tolerance=tolerance, task=task) if reach.is_clipped else ""
    if clipped:
        say_clipped(figure, clipped, colors)
    said = _curves_alt(known, criterion, tolerance, compared, chosen, task)
    return with_alt(figure, f"{said} {clipped}." if clipped else said)


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
    zoom: bool = True,
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
    drawn = []
    if compared is not None:
        others = compared.known([layer])
        for (criterion, _, _), curve in curves(from_zero(others[others["criterion"].isin(look)])):
            name = f"{label_of(criterion)}, {compared.name}"
            drawn.append(Drawn(curve, behind(look[criterion]), name, compared.name))
    for (criterion, _, _), curve in curves(from_zero(known)):
        name = f"{label_of(criterion)}, {compared.present}" if compared else label_of(criterion)
        drawn.append(Drawn(curve, look[criterion], name))
    for item in drawn:
        add_curve(figure, item, kind, x=x)
    heights = pd.concat([_heights(item.curve, kind, band=True) for item in drawn])
    reach = reach_of(heights * kind.scale, kind, tolerance=tolerance, zoom=zoom)
    figure.update_yaxes(range=[reach.low, reach.high])
    _finish(figure, kind, tolerance=tolerance, colors=colors)
    rows = [item.curve for item in drawn]
    clipped = clipped_text(rows, tolerance=tolerance, task=task) if reach.is_clipped else ""
    if clipped:
        say_clipped(figure, clipped, colors, inside=True)
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
    zoom: bool = True,
    theme: str = "light",
) -> go.Figure:
    """Draw a panel a layer with a shared y axis, a line and a band a criterion.

    See `sensitivity_curves`; `MAX_PANELS` layers at most.
    """
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
        subplot_titles=[shortened(name, LONGEST_LABEL) for name in chosen],
        vertical_spacing=min(0.12, 0.35 / rows),
        horizontal_spacing=0.02,
    )
    style_layout(figure, colors=colors, height=max(260, 190 * rows), legend=True)
    # Above the panels' titles, whatever the number of rows.
    figure.update_layout(margin_t=64, legend={"yref": "container", "y": 1, "yanchor": "top"})
    figure.update_annotations(font={"size": 12, "color": colors.text})
    look = styles(list(criteria) or criteria_of(points), colors=colors)
    shown: dict[str, str] = {}
    for (criterion, _, layer), curve in curves(from_zero(known[known["layer"].isin(chosen)])):
        place = chosen.index(layer)
        item = Drawn(curve, look[criterion], label_of(criterion))
        for trace in (
            *band_of(item, kind, x="ratio_achieved"),
            line(item, kind, x="ratio_achieved"),
        ):
            first = trace.showlegend is not False and criterion not in shown
            trace.update(legendgroup=criterion, showlegend=first)
            figure.add_trace(trace, row=place // columns + 1, col=place % columns + 1)
        shown.setdefault(criterion, label_of(criterion))
    if tolerance is not None and kind.column == DROPS:
        figure.add_hline(y=tolerance * kind.scale, line={"color": colors.tolerance, "dash": "dash"})
    # No tick at the ends: those of neighbours would run into each other.
    ticks = [0.25, 0.5, 0.75]
    figure.update_xaxes(range=[0, 1.02], tickvals=ticks, ticktext=[percent(item) for item in ticks])
    for place in range(max(0, len(chosen) - columns), len(chosen)):
        # Below the lowest panel of each column, which may stand above an empty place.
        row, column = place // columns + 1, place % columns + 1
        figure.update_xaxes(title_text="removed", showticklabels=True, row=row, col=column)
    reach = reach_of(
        _heights(known[known["layer"].isin(chosen)], kind, band=True) * kind.scale,
        kind,
        tolerance=tolerance,
        zoom=zoom,
    )
    figure.update_yaxes(range=[reach.low, reach.high])
    figure.update_yaxes(title_text=_y_title(kind), col=1)
    return with_alt(
        figure,
        f"{len(chosen)} panels, one a layer, {_y_title(kind)} over the removed fraction for "
        f"{listed(sorted(shown.values()), most=6)}.",
    )


def _heights(curve: pd.DataFrame, kind: Metric, *, band: bool) -> pd.Series:
    """Return all heights that drawing a curve takes, unscaled."""
    names = [kind.column, *((kind.low, kind.high) if band and kind.low else ())]
    heights: pd.Series = pd.concat([curve[name] for name in names])
    return heights


def _finish(
    figure: go.Figure,
    kind: Metric,
    *,
    tolerance: float | None,
    colors: Palette,
    label: bool = True,
) -> None:
    figure.update_xaxes(range=[0, 1.02])
    percent_axis(figure)
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
    text = f"Sensitivity curves of {known['layer'].nunique()} layers by {label_of(criterion)}."
    if len(table):
        rows = table.to_dict("records")
        least, most = rows[0], rows[-1]
        if most["low"] <= least["high"]:
            text += f" Within {_limit(limit, task)} the intervals of all layers overlap."
        else:
            text += (
                f" Within {_limit(limit, task)}, {most['layer']} tolerates most "
                f"({percent(most['tolerated'])} removed) and {least['layer']} least "
                f"({percent(least['tolerated'])})."
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


def _between(row: dict[Any, Any]) -> str:
    """Return the interval of what is tolerated; imported curves have none."""
    if row["low"] != row["low"]:
        return ""
    return f" (between {percent(row['low'])} and {percent(row['high'])})"


def _removable(known: pd.DataFrame, limit: float, *, named: bool = False) -> str:
    """Return what one layer tolerates by each criterion."""
    table = tolerated(known, tolerance=limit)
    parts = [
        f"{label_of(row['criterion']) + ' ' if named else ''}{percent(row['tolerated'])}"
        f"{_between(row)}"
        for row in table[table["tolerated"].notna()].to_dict("records")
    ]
    return "; ".join(parts) or "nothing could be removed"
