"""What people type and hand over, at random: told in one line, never a traceback.

2,000 inputs, the same in each run; ``make fuzz`` tries 50,000.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import socket
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, is_hypothesis_test, settings
from hypothesis import strategies as st
from PIL import Image

from analysis import plans, retraining, shrinking, sweeps
from analysis.allocation import PLAN_OPTIONS, parse_budget, recipe_of
from analysis.cli.app import run_guarded
from analysis.cli.options import plan_of_file
from analysis.cli.output import duration
from analysis.records import SubjectSpec
from analysis.recovery.training.recipe import TrainingRecipe, original_recipe
from analysis.retraining import TRAINING_OPTIONS
from analysis.store import Store
from analysis.subjects import load_model, parse_data, parse_model
from analysis.subjects.data import load_data
from analysis.subjects.stamps import stamp
from pages.components.state.url_state import PARAMETERS
from pruners.errors import InputError
from tests.helpers.contexts import sample_context
from tests.helpers.tiny_subject import seeded_state, write_subject

INPUTS = int(os.environ.get("FUZZ_INPUTS", "2000"))
KINDS = 10
CODES = {0, 1, 2, 130}
bounded = settings(
    max_examples=max(1, INPUTS // KINDS),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
pytestmark = pytest.mark.timeout(7200 if INPUTS > 2000 else 300)

# Texts that someone once typed, or that something once could not read.
TOKENS = st.sampled_from(
    [
        *("", " ", ":", "#", "&", "=", ",", "%", "%00", "%2F", "~", "~nouser/x", "..", "/", "\x00"),
        *(
            "weights",
            "key",
            "input",
            "classes",
            "mean",
            "std",
            "size",
            "channels",
            "resize",
            "root",
        ),
        *("sample", "npz", "imagefolder", "torchvision", "timm", "lenet5", "fashion-mnist"),
        *("tiny.npz", "tiny_model.py", "build", "nothing", "raising", "w.pt", "w.safetensors"),
        *("images", "images/a", "no_such", "CIFAR10", "squeezenet1_1", "0", "1", "-1", "0.5", "8"),
        *("nan", "inf", "1e30", "1e-400", "9" * 30, "9" * 5000, "a" * 300, "\u0661", "\ud800"),
        *("[", "*", "?", "auto", "all", "cpu", "cuda:0", "1GiB", "9GB", "0.1:0.9:0.1", "2:4"),
        *("block:4x1", "macs=0.5", "drop=1", "best", "l1", "channel", "element", "\n", "\u202e"),
    ]
)
WORDS = st.lists(st.one_of(TOKENS, st.text(max_size=6)), max_size=8).map("".join)
VALUES = st.lists(st.one_of(TOKENS, st.text(max_size=4)), min_size=1, max_size=2).map("".join)


def addresses(bodies: list[str], options: list[str]) -> st.SearchStrategy[str]:
    """Addresses that are nearly right, and anything else."""
    one = st.tuples(st.sampled_from(options), VALUES).map("=".join)
    near = st.tuples(st.sampled_from(bodies), st.lists(one, max_size=3).map("&".join))
    return st.one_of(near.map("#".join), WORDS)


MODELS = addresses(
    ["sample:lenet5", "tiny_model.py:build", "tiny_model.py:nothing", "tiny_model.py:raising"],
    ["weights", "key", "input", "classes", "other"],
)
DATA = addresses(
    ["npz:tiny.npz", "imagefolder:images", "sample:fashion-mnist", "torchvision:CIFAR10"],
    ["mean", "std", "channels", "root", "split", "other"],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with a model, data and weights."""
    place = tmp_path_factory.mktemp("fuzz")
    write_subject(place)
    for name in ("a", "b"):
        (place / "images" / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(place / "images" / name / "1.png")
    with contextlib.chdir(place):
        model = load_model(parse_model("tiny_model.py:build")).model
        state = seeded_state(model)
        torch.save(state, place / "w.pt")
        safetensors.torch.save_file(state, place / "w.safetensors")
        yield place


def code_of(call: Callable[[], object]) -> int:
    """Call as the program does; whatever is not told in one line raises."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = run_guarded(lambda: call() and None)
    assert code in CODES
    assert said.getvalue().count("\n") == (0 if code == 0 else 1)
    return code


@bounded
@given(text=MODELS)
def test_model_addresses(folder: Path, text: str) -> None:
    code_of(lambda: load_model(parse_model(text), roots=[folder]))
    stamp(SubjectSpec(model=text))


@bounded
@given(text=DATA)
def test_data_addresses(folder: Path, text: str) -> None:
    def opened() -> None:
        source = load_data(parse_data(text), roots=[folder]).evaluation
        source.read([0, len(source) - 1])

    code_of(opened)
    stamp(SubjectSpec(model="sample:lenet5", data=text))


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), VALUES, st.just("l1")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(VALUES, inner, max_size=3)
    ),
    max_leaves=6,
)
PLACES = st.lists(st.integers(0, 40), min_size=1, max_size=4)


def changed(document: Any, places: list[int], value: Any) -> Any:
    """Return a document with a value somewhere: the numbers lead there."""
    if not places or not isinstance(document, dict | list) or not document:
        return value
    keys = list(document) if isinstance(document, dict) else list(range(len(document)))
    key = keys[places[0] % len(keys)]
    copy = document.copy()
    copy[key] = changed(document[key], places[1:], value)
    return copy


@bounded
@given(places=PLACES, value=JSON, cut=st.one_of(st.none(), st.integers(0, 3000)))
def test_plan_files(folder: Path, places: list[int], value: Any, cut: int | None) -> None:
    prepared = sample_context("lenet5")
    plan = plans.resolve(prepared, plans.start_plan(prepared, criterion="l1"))
    path = folder / "plan.json"
    text = json.dumps(changed(plan.to_dict(), places, value))[:cut]
    path.write_text(text, encoding="utf-8")
    code_of(lambda: plans.require_fit(prepared, plan_of_file(path)))


# Numbers that no process has, and moments that are none.
ODD = st.one_of(JSON, st.sampled_from([10**30, 2**31, -1, float("nan"), float("inf")]))


@bounded
@given(places=PLACES, value=ODD, cut=st.one_of(st.none(), st.integers(0, 3000)))
def test_job_files(folder: Path, places: list[int], value: Any, cut: int | None) -> None:
    """A damaged job is none, or one that says what it says; it hides no other."""
    prepared = sample_context("lenet5")
    start = plans.start_plan(prepared, criterion="l1").trained_as("ab" * 32, "finetune")
    subject = SubjectSpec(model="sample:lenet5")
    training = retraining.Order(subject=subject, plan=start, recipe=TrainingRecipe(lr=0.1))
    for room, order in ((retraining, training), (shrinking, shrinking.Order(subject=subject))):
        jobs = room.Jobs(folder / "jobs")
        job = jobs.begin(order)
        whole = dataclasses.replace(job, pid=os.getpid(), host=socket.gethostname())
        jobs.save(whole)
        path = next((folder / "jobs").rglob(f"{job.job_id}.json"))
        text = json.dumps(changed(whole.to_dict(), places, value))[:cut]
        path.write_text(text, encoding="utf-8")
        code_of(lambda jobs=jobs, name=job.job_id: jobs.get(name).seconds)
        assert len(jobs.all()) <= 1
        jobs.newest(subject, order.kind)


@bounded
@given(
    places=PLACES, value=ODD, name=st.sampled_from(sorted(TRAINING_OPTIONS.names())), text=VALUES
)
def test_training_recipes(
    folder: Path, places: list[int], value: Any, name: str, text: str
) -> None:
    path = folder / "recipe.json"
    path.write_text(json.dumps(changed(TrainingRecipe().to_dict(), places, value)), "utf-8")
    code_of(lambda: retraining.given_recipe({"recipe": path}))
    given = Path(text) if name == "recipe" else text
    code_of(lambda: retraining.given_recipe({name: given}))
    with contextlib.suppress(InputError):
        original_recipe(TrainingRecipe(schedule="rewind", rewind=str(path)))


@bounded
@given(depth=st.integers(1, 200_000), kind=st.sampled_from(["[", '{"a":', '{"entries":[']))
def test_deeply_nested_plans(folder: Path, depth: int, kind: str) -> None:
    path = folder / "deep.json"
    path.write_text(kind * depth, encoding="utf-8")
    assert code_of(lambda: plan_of_file(path)) == 2


@bounded
@given(name=st.sampled_from(sorted(PARAMETERS)), text=WORDS)
def test_parameters_of_links(folder: Path, name: str, text: str) -> None:
    with contextlib.suppress(ValueError):
        PARAMETERS[name].read(text)
    store = Store(folder / "workspace")
    code_of(lambda: store.runs.get(text))
    code_of(lambda: store.plans.get(text))


def damaged(content: bytes, places: list[tuple[int, bytes]], cut: int | None) -> bytes:
    found = bytearray(content)
    for at, piece in places:
        at %= len(found)
        found[at : at + len(piece)] = piece
    return bytes(found[: None if cut is None else cut % len(found)])


DAMAGE = {
    "places": st.lists(st.tuples(st.integers(0, 100_000), st.binary(max_size=8)), max_size=6),
    "cut": st.one_of(st.none(), st.integers(0, 100_000)),
}


@bounded
@given(name=st.sampled_from(["w.pt", "w.safetensors"]), **DAMAGE)
def test_weights_files(
    folder: Path, name: str, places: list[tuple[int, bytes]], cut: int | None
) -> None:
    path = folder / f"damaged.{name.partition('.')[2]}"
    path.write_bytes(damaged((folder / name).read_bytes(), places, cut))
    code_of(lambda: load_model(parse_model(f"tiny_model.py:build#weights={path}")))


SHAPES = st.lists(st.integers(0, 5), max_size=5).map(tuple)
TYPES = st.sampled_from(["u1", "i8", "f2", "f4", "f8", "c8", "?", "U3", "M8[s]", "O"])


@bounded
@given(
    images=st.tuples(SHAPES, TYPES),
    labels=st.one_of(st.none(), st.tuples(SHAPES, TYPES)),
    **DAMAGE,
)
def test_data_files(
    folder: Path,
    images: tuple[tuple[int, ...], str],
    labels: tuple[tuple[int, ...], str] | None,
    places: list[tuple[int, bytes]],
    cut: int | None,
) -> None:
    arrays = {"images": np.zeros(images[0], dtype=images[1])}
    if labels is not None:
        arrays["labels"] = np.zeros(labels[0], dtype=labels[1])
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=True, **arrays)
    (folder / "damaged.npz").write_bytes(damaged(buffer.getvalue(), places, cut))

    def opened() -> None:
        source = load_data(parse_data("npz:damaged.npz#mean=0.5")).evaluation
        source.read(range(min(2, len(source))))

    code_of(opened)


OPTIONS = [option.name for option in sweeps.OPTIONS if option.type in (str, str | None)]


@bounded
@given(name=st.sampled_from(OPTIONS), text=VALUES, limit=VALUES)
def test_options(folder: Path, name: str, text: str, limit: str) -> None:
    written = {option.name: option.default for option in sweeps.OPTIONS}
    written |= {"model": "sample:lenet5", "data": "sample:fashion-mnist", name: text}
    code_of(lambda: sweeps.spec_of_options(written))
    code_of(lambda: parse_budget(limit))
    asked = {option.name: option.default for option in PLAN_OPTIONS}
    code_of(lambda: recipe_of(asked | {"budget": [f"macs={limit}"], "strategy": "threshold"}))


def test_as_many_inputs_as_promised() -> None:
    """Each kind tries its share: 1,770 of 2,000 were tried."""
    kinds = [test for test in globals().values() if is_hypothesis_test(test)]
    assert len(kinds) == KINDS
    assert bounded.max_examples * len(kinds) == INPUTS


def test_a_traceback_would_be_seen() -> None:
    """The oracle itself: what the program does not foresee is not taken for an answer."""
    with pytest.raises(TypeError):
        code_of(lambda: duration("long"))  # type: ignore[arg-type]
    assert code_of(lambda: load_model(parse_model(""))) == 2
    assert issubclass(InputError, ValueError)
