"""Numbers as people read them: units everywhere, intervals beside estimates.

A drop is what a score loses: above zero it is a loss, below zero a gain, on cards, in tables, in
charts and on the command line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import pandas as pd

from analysis import measuring
from analysis.allocation import STRATEGIES
from analysis.imports import QUESTIONS
from analysis.records import NO_MODEL, Latency, Progress, SubjectSpec, SweepSpec
from analysis.sentences import listed as listed
from analysis.sentences import plural as plural
from analysis.subjects import DATA_SCHEMES, MODEL_SCHEMES, Scheme
from analysis.sweeps import OPTIONS
from analysis.tasks import TASKS, Words
from pages.components.state import shared_subject
from pruners.registry import Registry

SPACE = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
SCHEMES: tuple[Registry[Scheme[Any]], ...] = (MODEL_SCHEMES, DATA_SCHEMES)
# Options of a sweep that lists of runs tell, the most important first.
SETTINGS = (
    *("repair", "semantics", "precision", "mode", "reduction", "rounding", "layers"),
    *("samples", "seed", "calibration_data", "task", "device"),
)
# Options of commands that messages name -> the control that is the same, and its page.
CONTROLS = {
    "model": ("Model", "Setup"),
    "data": ("Data", "Setup"),
    "samples": ("Evaluation samples", "Setup"),
    "calibration-data": ("Other data for calibration", "Setup"),
    "calibration-samples": ("Calibration samples", "Setup"),
    "task": ("Task", "Setup"),
    "repair": ("Repair without training", "Plan"),
    "strategy": ("Fill by", "Plan"),
    "equal": ("Equal counts in equal layers", "Plan"),
    "rename": ("Names of layers", "Import"),
    "format": ("Written by", "Import"),
    "metric": ("Numbers to read", "Import"),
    **{item.name: (item.label, "Import") for item in QUESTIONS},
}
# Options with a choice of these.
REGISTRIES: Mapping[str, Iterable[Any]] = {"task": TASKS, "strategy": STRATEGIES}
# An option, and what may be its value, or two of them.
_OPTION = re.compile(
    rf"(?<![\w-])--({'|'.join(CONTROLS)})(?![\w-])(?: ([^\s,;?)]*\w)(?: or ([\w-]+))?)?"
)
# Commands that messages name -> their pages.
_COMMANDS = {"prunescope recover": "the page Recover"}
PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def percent(fraction: float | None, *, digits: int = 2) -> str:
    """Return a fraction as ``92.41 %``; a dash where it is not known."""
    if fraction is None or math.isnan(fraction):
        return DASH
    return f"{fraction * 100:.{digits}f}{SPACE}%"


def percent_range(low: float, high: float, *, digits: int = 2) -> str:
    """Return an interval of fractions as ``91.17 to 93.50 %``; a dash where there is none."""
    if math.isnan(low) or math.isnan(high):
        return DASH
    return f"{_number(low * 100, digits)} to {_number(high * 100, digits)}{SPACE}%"


def score(value: float, words: Words) -> str:
    """Return a score as its task writes it, ``92.41 %``; a dash where it is not known."""
    return DASH if math.isnan(value) else words.score(value, space=SPACE)


def score_range(low: float, high: float, words: Words) -> str:
    """Return an interval of a score, the unit once: ``91.17 to 93.50 %``; a dash without one."""
    if math.isnan(low) or math.isnan(high):
        return DASH
    ends = sorted((low * words.scale, high * words.scale))
    first, last = (_number(end, words.digits) for end in ends)
    return f"{first} to {last}{_unit(words.unit)}"


def drop(amount: float, words: Words) -> str:
    """Return a drop, ``1.25 pp``; with a minus where the score gains. A dash if not known."""
    if math.isnan(amount):
        return DASH
    return f"{_number(amount * words.drop_scale, words.digits)}{_unit(words.drop_unit)}"


def drop_range(low: float, high: float, words: Words) -> str:
    """Return an interval of a drop, the unit once: ``0.98 to 1.50 pp``; a dash without one."""
    if math.isnan(low) or math.isnan(high):
        return DASH
    first, last = (_number(end * words.drop_scale, words.digits) for end in (low, high))
    return f"{first} to {last}{_unit(words.drop_unit)}"


def drop_format(words: Words) -> str:
    """Return the format of a table's column of drops: ``%.2f pp``, ``%.2f %%``."""
    return f"%.{words.digits}f {words.drop_unit.replace('%', '%%')}".rstrip()


def drop_column(drops: pd.Series, words: Words) -> pd.Series:
    """Return a table's column of drops, for `drop_format`: rounded, zero without a minus."""
    return (drops * words.drop_scale).round(words.digits) + 0.0


def _unit(unit: str) -> str:
    return unit and SPACE + unit


def drop_card(amount: float, low: float, high: float, words: Words) -> dict[str, Any]:
    """Return the arguments that make a metric show a drop with its interval.

    It is red where it is surely a loss, green where it is surely none, and grey where it may be
    chance.
    """
    told = {
        "delta": f"{words.drop_noun} {drop(amount, words)}",
        "delta_description": f"({drop_range(low, high, words)})",
    }
    if not (low > 0 or high < 0):
        return {**told, "delta_color": "off", "delta_arrow": "off"}
    is_loss = amount > 0
    return {
        **told,
        "delta_color": "red" if is_loss else "green",
        "delta_arrow": "down" if is_loss == (words.scale > 0) else "up",
    }


def _number(value: float, digits: int) -> str:
    """Return a number with a true minus sign and without a plus; zero has none."""
    return signed(value, digits=digits).removeprefix("+")


def signed(value: float, *, digits: int = 2) -> str:
    """Return a number with a true minus sign or a plus; zero has neither."""
    if round(value, digits) == 0:
        return f"{0:.{digits}f}"
    return f"{'+' if value > 0 else MINUS}{abs(value):.{digits}f}"


def si(count: float, unit: str = "") -> str:
    """Return a count with an SI prefix and three digits: ``272 k``, ``41.2 M``."""
    for size, prefix in PREFIXES:
        if abs(count) >= size * 0.9995:
            value = count / size
            digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
            return f"{value:.{digits}f}{SPACE}{prefix}{unit}"
    return f"{count:.0f}{SPACE + unit if unit else ''}"


def file_size(size: float) -> str:
    """Return bytes with an SI prefix."""
    return si(size, "B")


def duration(seconds: float | None) -> str:
    """Return a time span: ``80 ms``, ``1.8 s``, ``43 s``, ``2 min 10 s``, ``1 h 5 min``."""
    if seconds is None or math.isnan(seconds):
        return "unknown"
    if 0 < seconds < 0.095:
        return f"{seconds * 1000:.0f}{SPACE}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}{SPACE}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{SPACE}s"
    if whole < 3600:
        return f"{whole // 60}{SPACE}min {whole % 60}{SPACE}s"
    return f"{whole // 3600}{SPACE}h {whole % 3600 // 60}{SPACE}min"


def when(moment: float) -> str:
    """Return a Unix time as the server's local date and time."""
    return datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M")


def milliseconds(seconds: float) -> str:
    """Return a short time in milliseconds."""
    return f"{seconds * 1000:.2f}{SPACE}ms"


def thousands(count: int) -> str:
    """Return an exact count with thin grouping: ``2,000``."""
    return f"{count:,}"


def progress(now: Progress) -> str:
    """Return ``120 of 2,000 samples``."""
    return f"{thousands(now.done)} of {plural(now.total or 0, now.unit.removesuffix('s'))}"


def change(before: float, after: float) -> str:
    """Return a relative change in percent, signed."""
    if before == 0:
        return DASH
    return f"{signed((after - before) / before * 100, digits=1)}{SPACE}%"


def delta(amount: str, *, changed: bool, better_when: str = "up") -> dict[str, Any]:
    """Return the arguments that make a metric show a change, grey where there is none.

    Args:
        amount: The change, signed and with its unit.
        changed: Whether there is one.
        better_when: ``up`` or ``down``.
    """
    if not changed:
        return {"delta": amount, "delta_color": "off", "delta_arrow": "off"}
    # Streamlit reads the direction from an ASCII sign, which is not how numbers are written here.
    direction = "down" if amount.startswith(MINUS) else "up"
    color = "green" if direction == better_when else "red"
    return {"delta": amount, "delta_color": color, "delta_arrow": direction}


def time_change(before: Latency, after: Latency, *, is_same: bool) -> dict[str, Any]:
    """Return the arguments that make a metric show a change of time, grey where it may be chance.

    Args:
        before: Of the dense model.
        after: Of the pruned one.
        is_same: Whether nothing was removed: two times of one model differ by chance alone.
    """
    if is_same:
        return {}
    share = measuring.time_share(after, before)
    is_sure = share is not None and not share.low <= 1 <= share.high
    told = delta(change(before.median, after.median), changed=is_sure, better_when="down")
    doubt = "" if is_sure else ", may be chance"
    return {**told, "delta_description": f"of {milliseconds(before.median)}{doubt}"}


def time_share(before: Latency, after: Latency) -> str:
    """Say with an interval which share of the dense model's time a pass of the pruned one takes."""
    share = measuring.time_share(after, before)
    if share is None:
        return "Too few passes for an interval."
    told = percent_range(share.low, share.high, digits=0)
    return f"Pass by pass it takes {told} of the dense model's time (95 %)."


def code_list(names: Sequence[str], *, most: int = 3) -> str:
    """Join names as Markdown code."""
    return listed([f"`{name}`" for name in names], most=most)


def title_of(spec_model: str) -> str:
    """Return the short name of a model or data address.

    >>> title_of("sample:resnet20"), title_of("models/net.py:build#weights=w.safetensors")
    ('resnet20', 'net.py:build')
    """
    head = spec_model.split("#")[0].rstrip("/").removeprefix(NO_MODEL)
    scheme, _, rest = head.partition(":")
    if any(scheme in known and not known.get(scheme).is_factory for known in SCHEMES):
        head = rest
    return head.rsplit("/", 1)[-1]


def details_of(address: str) -> str:
    """Return the options of an address, files by their names alone; empty without any.

    >>> details_of("torchvision:resnet18#weights=w/r18.safetensors&classes=10")
    'weights r18.safetensors, classes 10'
    """
    options = (part.partition("=") for part in address.partition("#")[2].split("&") if part)
    return ", ".join(f"{name} {unquote(value).rsplit('/', 1)[-1]}" for name, _, value in options)


def title_with_details(address: str) -> str:
    """Return the name of an address with its options.

    >>> title_with_details("npz:a/b.npz#mean=0.5")
    'b.npz (mean 0.5)'
    """
    details = details_of(address)
    return f"{title_of(address)} ({details})" if details else title_of(address)


def settings_of(spec: SweepSpec) -> str:
    """Return the settings of a sweep that are not as usual; empty without any.

    >>> settings_of(SweepSpec(subject=SubjectSpec(model="m", seed=3), precision="bf16"))
    'precision bf16, seed 3'
    >>> text = SubjectSpec(model="m", data="sample:king-james", task="language_modelling")
    >>> settings_of(SweepSpec(subject=text))
    ''
    """
    # The task that data are for goes without saying.
    task = shared_subject.task_of(spec.subject.data)
    usual = SweepSpec(subject=SubjectSpec(model="", task=task))
    options = [OPTIONS.get(name) for name in SETTINGS]
    return ", ".join(
        f"{option.name.replace('_', ' ')} {option.value_in(spec)}"
        for option in options
        if option.value_in(spec) != option.value_in(usual)
    )


def title_of_subject(spec: SubjectSpec) -> str:
    """Return the name of a subject: model and data with what tells them from others.

    >>> title_of_subject(SubjectSpec(model="sample:lenet5", data="npz:a/b.npz#mean=0.5"))
    'lenet5 on b.npz (mean 0.5)'
    """
    return " on ".join(title_with_details(item or "no data") for item in (spec.model, spec.data))


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>~$:-])", r"\\\1", text)


def on_pages(text: str) -> str:
    """Return a message with the pages' own controls where it names options of commands.

    >>> on_pages("evaluate fewer (--samples)")
    'evaluate fewer ("Evaluation samples" on Setup)'
    >>> on_pages("name the task, such as --task regression; --root DIR allows more")
    'name the task, such as "Task: Regression" on Setup; --root DIR allows more'
    >>> on_pages("say which is which with --rename OLD=NEW")
    'say which is which with "Names of layers: OLD=NEW" on Import'
    >>> on_pages("give --granularity channel or element, whichever it is")
    'give "What was pruned: Output channels" or "Single weights" on Import, whichever it is'
    """
    for command, page in _COMMANDS.items():
        text = text.replace(command, page)
    return _OPTION.sub(_control, text)


def _control(found: re.Match[str]) -> str:
    name, value, other = found.groups()
    (label, page), choices = CONTROLS[name], _choices(name)
    if value is None or not (value in choices or "=" in value):
        return f'"{label}" on {page}' + found[0].removeprefix(f"--{name}")
    named = f'"{label}: {choices.get(value, value)}"'
    if other in choices:
        return f'{named} or "{choices[other]}" on {page}'
    return f"{named} on {page}" + (f" or {other}" if other else "")


def _choices(name: str) -> dict[str, str]:
    """Return what the control of an option calls the option's values."""
    known: Iterable[Any] = ()
    if name in QUESTIONS:
        known = QUESTIONS.get(name).choices()
    elif name in REGISTRIES:
        known = REGISTRIES[name]
    return {item.name: item.label for item in known}


def imported_answers(said: Mapping[str, str]) -> str:
    """Return what is known of an imported file, as the Import page asks it.

    >>> imported_answers({"unit": "percent", "direction": "higher"})
    '"What the numbers are: Percent", "Which are better: Higher"'
    """
    return ", ".join(
        f'"{CONTROLS[name][0]}: {_choices(name).get(value, value)}"' for name, value in said.items()
    )


def message(text: str) -> str:
    """Return a message of the program as Markdown that shows it, for who is in the dashboard."""
    return escaped(on_pages(text))
