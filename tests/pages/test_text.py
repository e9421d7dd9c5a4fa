"""Numbers as the pages write them."""

from __future__ import annotations

import ast
import dataclasses
import math
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from analysis.tasks import RIGHT_ANSWERS, TASKS, Words, task_named
from pages.components.plan import options, repair
from pages.components.state import plan_state
from pages.components.widgets import formatting
from tests.helpers.latencies import latency
from tests.pages.reading import ROOT

# Options without a control: what only a command can be given, and what only `serve` can.
OF_COMMANDS = {
    *("criteria", "confidence", "executor", "head", "lr", "ratio", "recipe", "resume"),
    *("root", "tolerance"),
}
NBSP = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
WORDS = RIGHT_ANSWERS.words


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0"), (7, "7"), (999, "999"), (1000, "1.00 k"), (272_186, "272 k"), (8_523_968, "8.52 M")],
)
def test_counts_have_si_prefixes(count: int, expected: str) -> None:
    assert formatting.si(count) == expected.replace(" ", NBSP)


@pytest.mark.parametrize("count", [999.4, 999.6, 99_949, 99_951, 999_499, 999_501, 1e9 - 1])
def test_a_prefix_never_shows_a_thousand(count: float) -> None:
    number = float(formatting.si(count).split(NBSP)[0])
    assert number < 1000


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.04, "40 ms"),
        (0.0, "0.0 s"),
        (1.84, "1.8 s"),
        (9.96, "10 s"),
        (59.7, "1 min 0 s"),
        (130, "2 min 10 s"),
        (3900, "1 h 5 min"),
        (None, "unknown"),
        (math.nan, "unknown"),
    ],
)
def test_durations(seconds: float | None, expected: str) -> None:
    assert formatting.duration(seconds).replace(NBSP, " ") == expected


def test_accuracy_and_differences_have_two_decimals_and_a_true_minus() -> None:
    assert formatting.percent(0.92345) == f"92.34{NBSP}%"
    assert formatting.drop(0.0035, WORDS) == f"0.35{NBSP}pp"
    assert formatting.drop(-0.0035, WORDS) == f"{MINUS}0.35{NBSP}pp"
    assert formatting.drop(-0.00001, WORDS) == f"0.00{NBSP}pp"
    assert formatting.drop(math.nan, WORDS) == formatting.DASH
    assert formatting.drop_range(-0.001, 0.02, WORDS) == f"{MINUS}0.10 to 2.00{NBSP}pp"
    for name in TASKS.names():
        words = task_named(name).words
        assert formatting.drop_format(words) % 1.5 == formatting.drop(
            1.5 / words.drop_scale, words
        ).replace(NBSP, " ")
    assert formatting.change(200, 100) == f"{MINUS}50.0{NBSP}%"
    assert formatting.change(0, 1) == formatting.DASH


def test_a_metric_gets_a_sign_that_it_can_read() -> None:
    smaller = formatting.delta(formatting.change(2, 1), changed=True, better_when="down")
    assert smaller == {
        "delta": f"{MINUS}50.0{NBSP}%",
        "delta_color": "green",
        "delta_arrow": "down",
    }
    grown = formatting.delta(formatting.change(2, 3), changed=True, better_when="down")
    assert (grown["delta_color"], grown["delta_arrow"]) == ("red", "up")
    assert formatting.score_range(-0.25, 0.5, WORDS).startswith(MINUS)
    assert formatting.delta("0.0 %", changed=False)["delta_arrow"] == "off"


def test_a_drop_above_zero_is_a_loss_on_cards_too() -> None:
    """Negative on cards, positive in tables, charts and commands."""
    worse = formatting.drop_card(0.01, 0.005, 0.015, WORDS)
    assert worse == {
        "delta": f"drop 1.00{NBSP}pp",
        "delta_description": f"(0.50 to 1.50{NBSP}pp)",
        "delta_color": "red",
        "delta_arrow": "down",
    }
    better = formatting.drop_card(-0.01, -0.015, -0.005, WORDS)
    assert better == {
        "delta": f"drop {MINUS}1.00{NBSP}pp",
        "delta_description": f"({MINUS}1.50 to {MINUS}0.50{NBSP}pp)",
        "delta_color": "green",
        "delta_arrow": "up",
    }


@pytest.mark.parametrize(
    "numbers",
    [(0.01, -0.001, 0.02), (-0.01, -0.02, 0.001), (0.0, 0.0, 0.0), (0.01, math.nan, math.nan)],
)
def test_a_drop_that_may_be_chance_is_grey(numbers: tuple[float, float, float]) -> None:
    """A gain by chance was green on the card of a plan, beside a time by chance in grey."""
    card = formatting.drop_card(*numbers, WORDS)
    assert (card["delta_color"], card["delta_arrow"]) == ("off", "off")


def test_long_lists_are_shortened() -> None:
    assert formatting.listed(["a", "b"]) == "a, b"
    assert formatting.code_list(list("abcde")) == "`a`, `b`, `c` and 2 more"


@pytest.mark.parametrize(
    ("address", "title"),
    [
        ("sample:resnet20", "resnet20"),
        ("torchvision:resnet18#weights=w/x.safetensors", "resnet18"),
        ("models/net.py:build", "net.py:build"),
        ("npz:data/test.npz#mean=0.5", "test.npz"),
        ("npz:test.npz", "test.npz"),
        ("imagefolder:photos/", "photos"),
        ("timm:resnet18", "resnet18"),
    ],
)
def test_addresses_have_short_titles(address: str, title: str) -> None:
    assert formatting.title_of(address) == title


def test_a_score_of_which_less_is_better_is_written_the_way_people_count_it() -> None:
    """Direction, unit and digits are the task's."""
    words = Words(
        label="perplexity",
        column="perplexity",
        drop_label="rise of perplexity",
        drop_column="perplexity_rise",
        scale=-1.0,
    )
    assert formatting.score(-12.5, words) == "12.50"
    assert formatting.score_range(-13.0, -12.0, words) == "12.00 to 13.00"
    assert formatting.drop(0.25, words) == "0.25"
    assert formatting.drop_range(0.0, 0.5, words) == "0.00 to 0.50"
    card = formatting.drop_card(0.25, 0.1, 0.5, words)
    assert card == {
        "delta": "rise 0.25",
        "delta_description": "(0.10 to 0.50)",
        "delta_color": "red",
        "delta_arrow": "up",
    }
    decibels = dataclasses.replace(words, scale=1.0, unit="dB", drop_unit="dB")
    assert formatting.score(31.204, decibels) == f"31.20{NBSP}dB"
    assert decibels.limit(0.1) == "0.1 dB"


def test_goals_in_drop_are_called_as_the_task_calls_them() -> None:
    """Plan asked for the drop of a perplexity, which rises."""
    named = [options.label_of(item, "language_modelling") for item in ("tolerance", "drop", "macs")]
    assert named == ["Increase per layer", "Predicted increase", "MACs left"]
    assert options.label_of("tolerance", "classification") == "Drop per layer"


def test_a_repair_says_how_many_samples_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """It said 512, which were asked for, of data that have 500."""
    usual = SimpleNamespace(name="lsq", reason="it fits")
    monkeypatch.setattr(plan_state, "usual_repair", lambda *_: usual)
    found: Any = SimpleNamespace(subject=SimpleNamespace(calibration=range(500)))
    subject: Any = SimpleNamespace(prepared=found)
    spec = SimpleNamespace(calibration_samples=512)
    plan: Any = SimpleNamespace(trained="", repair="lsq", subject=spec)
    said = repair.reason(subject, plan)
    assert said == "Usual here: it fits, on 500 calibration samples."


def test_a_change_of_time_that_may_be_chance_is_grey_and_said() -> None:
    """A busy machine's medians were told to be 12 % apart, in green."""
    dense = latency([0.2, 0.4, 0.2, 0.3, 0.2, 0.3, 0.2])
    told = formatting.time_change(
        dense, latency([0.1, 0.5, 0.3, 0.2, 0.1, 0.3, 0.2]), is_same=False
    )
    assert (told["delta_color"], told["delta_arrow"]) == ("off", "off")
    assert told["delta_description"].endswith("ms, may be chance")
    few = formatting.time_change(latency([0.2] * 5), latency([0.1] * 5), is_same=False)
    assert few["delta_color"] == "off"
    assert formatting.time_share(latency([0.2] * 5), latency([0.1] * 5)).startswith("Too few")
    assert "50 to 50" in formatting.time_share(latency([0.2] * 6), latency([0.1] * 6))


def test_two_times_of_one_model_are_not_compared() -> None:
    """The dense model, as the answer of a search, was told to be 19 % faster than itself."""
    assert formatting.time_change(latency([3.16] * 6), latency([2.55] * 6), is_same=True) == {}
    told = formatting.time_change(latency([0.2] * 6), latency([0.1] * 6), is_same=False)
    assert (told["delta"], told["delta_color"]) == (f"\N{MINUS SIGN}50.0{NBSP}%", "green")
    assert told["delta_description"] == f"of 200.00{NBSP}ms"


def sentences() -> Iterator[str]:
    """Yield all that the program may say outside of its command line, fields as ``X``."""
    rooms = ("analysis", "pruners", "sample_models")
    for path in (path for room in rooms for path in (ROOT / room).rglob("*.py")):
        # What is a command itself, or written into files with one.
        if {"cli", "snippets", "tools", "readme.py", "report.py"} & set(path.parts):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes = list(ast.walk(tree))
        inside = {id(part) for node in nodes for part in getattr(node, "values", ())}
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
        docs = {
            ast.get_docstring(node, clean=False) for node in nodes if isinstance(node, documented)
        }
        for node in nodes:
            if isinstance(node, ast.JoinedStr):
                parts = (getattr(part, "value", "X") for part in node.values)
                yield "".join(part if isinstance(part, str) else "X" for part in parts)
            elif id(node) not in inside and isinstance(getattr(node, "value", None), str):
                yield from {node.value} - docs


def test_no_message_names_an_option_where_pages_have_a_control() -> None:
    """Searches advised `--strategy search`, exports `plan --equal`, imports `--unit percent`."""
    found = [text for text in sentences() if re.search(r"(?<![\w-])--[a-z]|prunescope [a-z]", text)]
    assert len(found) > 30
    for text in found:
        said = formatting.on_pages(text)
        left = set(re.findall(r"(?<![\w-])--([a-z][\w-]*)", said))
        assert " " not in text or left <= OF_COMMANDS, said
        assert "prunescope recover" not in said


def test_values_of_options_are_named_as_their_controls_do() -> None:
    for text, expected in (
        ("or search (--strategy search)", 'or search ("Fill by: Search" on Plan)'),
        ("(plan with --equal), or", '(plan with "Equal counts in equal layers" on Plan), or'),
        ("numbers of --unit percent?", 'numbers of "What the numbers are: Percent" on Import?'),
        ("by --samples, or name", 'by "Evaluation samples" on Setup, or name'),
        ("apart with --rename a.b=NAME", 'apart with "Names of layers: a.b=NAME" on Import'),
        ("give --data", 'give "Data" on Setup'),
        ("give --data or wait", 'give "Data" on Setup or wait'),
        ("--granularity channel or none", '"What was pruned: Output channels" on Import or none'),
        ("again (prunescope recover), or", "again (the page Recover), or"),
    ):
        assert formatting.on_pages(text) == expected
