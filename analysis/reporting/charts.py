"""Charts of a report: small inline SVG, drawn in the colours of the page that holds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape

import pandas as pd

from analysis.curves import curves, from_zero, is_known
from analysis.plans import achieved, pruned_entries
from analysis.records import ClassChange, Plan
from analysis.sentences import capital, percent
from analysis.tasks import Words
from pruners.criteria import label_of

# Each chart is drawn for a page and for a telephone, on which a smaller picture could not be read:
# class that the page shows where it fits -> width.
WIDTHS = {"wide": 720, "narrow": 340}
HEIGHT = 320
LEFT, RIGHT, TOP, BOTTOM = 56, 24, 12, 40
# As many curves have a colour and a name; the others are context.
MAX_NAMED = 10
# Drops beyond so many tolerances are cut off: what decides lies near the tolerance.
REACH = 5.0
ROW, NAMES = 24, 130
Draw = Callable[[int], Sequence[str]]


def drop_curves(
    points: pd.DataFrame, plan: Plan, words: Words, *, tolerance: float
) -> tuple[str, str]:
    """Draw the drop of each layer alone over the fraction removed, and what the plan takes.

    Args:
        points: The points of a run.
        plan: Its layers have colours, most removed first, and a mark at their ratio.
        words: How a drop is written.
        tolerance: The accepted drop, a line.

    Returns:
        The chart, and what it shows, in words; both empty without a curve.
    """
    entries = sorted(pruned_entries(plan), key=achieved, reverse=True)
    known = points[is_known(points)]
    if known.empty:
        return "", ""
    known = from_zero(known)
    rows: dict[str, tuple[str, pd.DataFrame]] = {}
    wanted = {item.layer: item.criterion for item in entries}
    for (criterion, _, layer), curve in curves(known):
        if layer not in rows or wanted.get(layer) == criterion:
            rows[layer] = (criterion, curve)
    top = REACH * tolerance if tolerance > 0 else float(known["accuracy_drop"].max()) or 1.0
    bottom = min(0.0, float(known["accuracy_drop"].min()))
    named = [item for item in entries if item.layer in rows][:MAX_NAMED]
    places = {item.layer: place for place, item in enumerate(named)}

    def drawn(width: int) -> list[str]:
        scale = _Scale(bottom, top, width)
        return [
            *_axes(scale, words),
            _tolerance_line(scale, tolerance),
            # Context first, so that what has a colour lies above it.
            *(
                _curve(rows[layer][1], scale, layer, places.get(layer))
                for layer in sorted(rows, key=lambda name: name in places)
            ),
            *(
                _mark(rows[item.layer][1], scale, achieved(item), places[item.layer])
                for item in named
            ),
        ]

    is_cut = bool((known["accuracy_drop"] > top).any())
    text = (
        f"{capital(words.drop_label)} of {len(rows)} layers, each pruned alone; the dashed line is "
        f"the tolerance of {words.limit(tolerance)}. Marks: what the plan takes of a layer."
        + (f" {capital(words.drop_noun)}s above {words.limit(top)} are cut off." if is_cut else "")
        + (f" The {len(named)} layers of which it takes most have colours." if named else "")
    )
    legend = " ".join(
        f'<span class="key s{place}">{escape(layer)} ({escape(label_of(rows[layer][0]))})</span>'
        for layer, place in places.items()
    )
    return _svgs(drawn, HEIGHT, text) + f'<p class="legend">{legend}</p>', text


class _Scale:
    """From fractions and drops to pixels."""

    def __init__(self, bottom: float, top: float, width: int) -> None:
        self.bottom, self.top, self.right = bottom, top, width - RIGHT

    def x(self, ratio: float) -> float:
        return LEFT + ratio * (self.right - LEFT)

    def y(self, drop: float) -> float:
        share = (drop - self.bottom) / (self.top - self.bottom)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _axes(scale: _Scale, words: Words) -> Iterator[str]:
    for step in range(6):
        ratio = step / 5
        x = scale.x(ratio)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        yield f'<text x="{x:.1f}" y="{HEIGHT - 22}" text-anchor="middle">{percent(ratio)}</text>'
        # In whole tolerances; below zero there is no mark.
        drop = scale.top * ratio
        y = scale.y(drop)
        yield f'<line class="grid" x1="{LEFT}" x2="{scale.right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        shown = f"{drop * words.drop_scale:.3g}"
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{shown}</text>'
    yield (
        f'<text x="{(LEFT + scale.right) / 2}" y="{HEIGHT - 4}" text-anchor="middle">'
        "fraction removed</text>"
    )
    unit = f" ({words.drop_unit})" if words.drop_unit else ""
    middle = (TOP + HEIGHT - BOTTOM) / 2
    yield (
        f'<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">'
        f"{escape(words.drop_label)}{escape(unit)}</text>"
    )


def _tolerance_line(scale: _Scale, tolerance: float) -> str:
    y = scale.y(tolerance)
    return f'<line class="limit" x1="{LEFT}" x2="{scale.right}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _curve(curve: pd.DataFrame, scale: _Scale, layer: str, place: int | None) -> str:
    look = "context" if place is None else f"s{place}"
    points = list(zip(curve["ratio_achieved"], curve["accuracy_drop"], strict=True))
    return "".join(
        f'<polyline class="{look}" points="'
        + " ".join(f"{scale.x(ratio):.1f},{scale.y(drop):.1f}" for ratio, drop in piece)
        + f'"><title>{escape(layer)}</title></polyline>'
        for piece in _pieces(points, scale.top)
    )


def _pieces(
    points: Sequence[tuple[float, float]], top: float
) -> Iterator[list[tuple[float, float]]]:
    """Yield what a line through points has below an upper edge, with where it meets the edge."""
    piece: list[tuple[float, float]] = []
    for place, (ratio, drop) in enumerate(points):
        before, last = points[place - 1] if place else (ratio, drop)
        if (last > top) != (drop > top):
            share = (top - last) / (drop - last)
            piece.append((before + share * (ratio - before), top))
            if drop > top:
                yield piece
                piece = []
        if drop <= top:
            piece.append((ratio, drop))
    if piece:
        yield piece


def _mark(curve: pd.DataFrame, scale: _Scale, ratio: float, place: int) -> str:
    """Return a mark on the curve at the plan's ratio, between points on the line of both."""
    before = curve[curve["ratio_achieved"] <= ratio].iloc[-1]
    after = curve[curve["ratio_achieved"] >= ratio]
    drop = float(before["accuracy_drop"])
    if len(after):
        last = after.iloc[0]
        span = float(last["ratio_achieved"] - before["ratio_achieved"])
        share = (ratio - float(before["ratio_achieved"])) / span if span > 0 else 0.0
        drop += share * (float(last["accuracy_drop"]) - drop)
    y = scale.y(min(drop, scale.top))
    return f'<circle class="s{place}" cx="{scale.x(ratio):.1f}" cy="{y:.1f}" r="5"/>'


def class_chart(classes: Sequence[ClassChange], *, score: str = "accuracy") -> tuple[str, str]:
    """Draw each class's score, dense (circle) and pruned (diamond), the largest loss first.

    Returns:
        The chart, and what it shows, in words; both empty without classes.
    """
    rows = sorted(classes, key=lambda item: item.change)
    if not rows:
        return "", ""
    height = ROW * len(rows) + 34
    worst = rows[0]
    loss = (
        f"The largest loss: {worst.class_name}, {-100 * worst.change:.2f} pp "
        f"({-100 * worst.change_high:.2f} to {-100 * worst.change_low:.2f})."
        if worst.change < 0
        else "No class loses."
    )
    text = (
        f"{capital(score)} of each class: circle dense, diamond pruned; filled where the interval "
        f"of the change excludes 0. {loss}"
    )
    return _svgs(lambda width: _class_marks(rows, width, height), height, text), text


def _class_marks(rows: Sequence[ClassChange], width: int, height: int) -> list[str]:
    low = min(min(item.dense, item.pruned) for item in rows)
    parts = []

    def x(value: float) -> float:
        return NAMES + (value - low) / max(1 - low, 1e-9) * (width - NAMES - 36)

    for place, item in enumerate(rows):
        y, look = ROW * place + 16, "" if item.clear else " maybe"
        parts += [
            f'<text x="{NAMES - 12}" y="{y + 4}" text-anchor="end">'
            f"{escape(item.class_name)}</text>",
            f'<line class="span{look}" x1="{x(item.dense):.1f}" x2="{x(item.pruned):.1f}" '
            f'y1="{y}" y2="{y}"/>',
            f'<circle class="s0{look}" cx="{x(item.dense):.1f}" cy="{y}" r="5">'
            f"<title>dense {percent(item.dense, digits=2)}</title></circle>",
            f'<path class="s1{look}" d="M{x(item.pruned):.1f} {y - 6}l6 6l-6 6l-6 -6z">'
            f"<title>pruned {percent(item.pruned, digits=2)}</title></path>",
        ]
    for value in (low, (low + 1) / 2, 1.0):
        share = percent(value, digits=1)
        parts.append(
            f'<text x="{x(value):.1f}" y="{height - 6}" text-anchor="middle">{share}</text>'
        )
    return parts


def _svgs(draw: Draw, height: int, text: str) -> str:
    """Return a chart in each width; the page shows one of them, to screen readers as well."""
    return "".join(
        f'<svg class="{name}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(text)}">{"".join(draw(width))}</svg>'
        for name, width in WIDTHS.items()
    )
