"""Pickles of PaddleSlim and AIMET: read by what calls nothing; hostile ones are refused."""

from __future__ import annotations

import collections
import decimal
import gc
import io
import pickle
import pickletools
import struct
import sys
import time
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.imports import ImportRequest, format_of, imported_run, read_result
from analysis.imports.readers import read_pickle
from pruners.errors import InputError

RATIOS = (0.1, 0.3, 0.5)


@pytest.fixture
def status() -> Iterator[type]:
    """The class that PaddleSlim pickles, under its own name."""
    name = "paddleslim.dygraph.prune.filter_pruner"
    module = types.ModuleType(name)
    exec("class Status:\n    pass", module.__dict__)
    module.Status.__module__ = name
    parts = name.split(".")
    with pytest.MonkeyPatch.context() as patch:
        for end in range(1, len(parts)):
            patch.setitem(sys.modules, ".".join(parts[:end]), types.ModuleType("x"))
        patch.setitem(sys.modules, name, module)
        yield module.Status


def imported(content: bytes, said: dict[str, str], **options: Any) -> Any:
    chosen = format_of(content, "x.pkl", options.pop("format", None))
    raw = read_result(content, chosen, "x.pkl")
    return imported_run(
        ImportRequest(file="x.pkl", content=content, said=said, **options), chosen, raw
    )


@pytest.mark.parametrize("protocol", range(6))
def test_paddleslim_status(status: type, protocol: int) -> None:
    """An instance of a class with numpy numbers, in every protocol; relative drops of 0.8."""
    item = status()
    item.sensitivies = {
        np.str_(f"conv2d_{place}.w_0"): {
            np.float64(ratio): np.float32(place * ratio / 4) for ratio in RATIOS
        }
        for place in (1, 2)
    }
    item.accumulates, item.is_ckp = {}, True
    content = pickle.dumps(item, protocol=protocol)
    run = imported(content, {"criterion": "l1", "baseline": "0.8"})
    assert run.source.format == "paddleslim"
    found = [
        (point.key.layer, point.key.ratio_requested, point.values["accuracy"])
        for point in run.points
    ]
    expected = [
        (f"conv2d_{place}.w_0", ratio, pytest.approx(0.8 * (1 - place * ratio / 4)))
        for place in (1, 2)
        for ratio in RATIOS
    ]
    assert found == expected


def test_paddleslim_that_is_all_zeros_is_warned_of(status: type) -> None:
    item = status()
    item.sensitivies = {"conv2d_1.w_0": {0.1: 0.0, 0.2: 0.0}}
    run = imported(pickle.dumps(item), {"criterion": "l1", "baseline": "0.8"})
    assert any("No layer reacts: all 2 numbers" in note for note in run.source.notes)


def test_paddleslim_of_python_2_has_names_of_bytes() -> None:
    """A plain dictionary is of several programs: its format is asked for."""
    content = pickle.dumps({b"conv1_weights": {0.1: 0.25}}, protocol=2)
    with pytest.raises(InputError, match=r"none that is known.*--format"):
        imported(content, {"criterion": "l1", "baseline": "0.8"})
    run = imported(content, {"criterion": "l1", "baseline": "0.8"}, format="paddleslim")
    assert run.points[0].key.layer == "conv1_weights"
    assert run.points[0].values["accuracy_drop"] == pytest.approx(0.2)


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("outer", [dict, collections.OrderedDict])
def test_aimet_keeps_what_it_says(protocol: int, outer: type) -> None:
    """Ratios are decimals of the cost that stays: 0.25 kept is 0.75 pruned."""
    ratios = [decimal.Decimal("0.25"), decimal.Decimal(1) / 6, decimal.Decimal("0.5")]
    scores = outer({"conv1": {ratio: 20 + float(ratio) for ratio in ratios}})
    said = {"criterion": "other", "unit": "psnr", "granularity": "input", "baseline": "23.6"}
    run = imported(pickle.dumps(scores, protocol=protocol), said)
    assert run.source.format == "aimet"
    assert [(item.key.ratio_requested, item.values["accuracy_drop"]) for item in run.points] == [
        (0.5, pytest.approx(3.1)),
        (0.75, pytest.approx(3.35)),
        (0.8333333333, pytest.approx(3.6 - 1 / 6)),
    ]


def test_an_empty_pickle_is_said() -> None:
    with pytest.raises(InputError, match="0 bytes"):
        imported(b"", {})


class Calls:
    """What asks for a call when it is loaded."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def nested(depth: int) -> bytes:
    """A tuple of itself and itself, so deep that its hash or text would never end, as a key."""
    out = b"\x80\x04)q\x00"
    for _ in range(depth):
        out += b"h\x00h\x00\x86q\x00"
    return b"\x80\x04}" + out[2:] + b"K\x01s."


def shared(depth: int) -> bytes:
    """Lists of ten times the list before: 200 bytes, and 10 ** depth items to walk."""
    out = b"\x80\x04]q\x00"
    for level in range(depth):
        out += b"](" + b"h\x00" * 10 + b"eq\x00" if level else b"(K\x01K\x02e"
    return out + b"."


def billion() -> bytes:
    """A dictionary of 50,000 layers that share one dictionary of levels."""
    levels = {index / 50_000: 0.5 for index in range(1, 20_000)}
    return pickle.dumps({f"layer{index}": levels for index in range(20_000)}, protocol=4)


HOSTILE = {
    "system": pickle.dumps(Calls(__import__("os").system, "true")),
    "eval": pickle.dumps(Calls(eval, "1")),
    "exec, protocol 0": pickle.dumps(Calls(exec, "1"), protocol=0),
    "getattr": pickle.dumps(Calls(getattr, [], "append")),
    "array": pickle.dumps({"a": {0.5: np.zeros(3)}}),
    "object array": pickle.dumps(np.array([None], dtype=object)),
    "inst": b"(S'true'\nios\nsystem\n.",
    "obj": b"(cos\nsystem\nS'true'\no.",
    "persistent id": b"Pid\n.",
    "binary persistent id": b"\x80\x02K\x01Q.",
    "extension": b"\x80\x02\x82\x01.",
    "extension 4": b"\x80\x02\x84\x01\x00\x00\x00.",
    "buffer": b"\x80\x05\x97.",
    "huge memo": b"\x80\x02]r\xff\xff\xff\x7f.",
    "huge text": b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"a.",
    "huge bytes": b"\x80\x04B" + struct.pack("<I", 2**31) + b"a.",
    "huge number": b"\x80\x02\x8b" + struct.pack("<i", 2**20) + b"\x7f" * 2**20 + b".",
    "huge number as text": b"L" + b"9" * 2**20 + b"L\n.",
    "huge decimal": pickle.dumps({"a": {decimal.Decimal("1E+999999"): 0.5}}),
    "deep": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "nested key": nested(60),
    "shared lists": shared(20),
    "shared levels": billion(),
    "many opcodes": b"\x80\x02" + b"N0" * 400_000 + b"N.",
    "too large": b"\x80\x02" + b"\x00" * (5 * 2**20),
    "not a number": pickle.dumps({"a": {0.5: float("nan")}}),
    "beyond its end": pickle.dumps({"a": {0.5: 0.5}}) + b"more",
    "empty stack": b"\x80\x02.",
    "mark alone": b"\x80\x02(.",
    "key alone": b"\x80\x02}(K\x01u.",
    "stand-in called": b"\x80\x02cnumpy\ndtype\n(c__builtin__\nobject\nK\x00K\x01tR.",
    "number without type": b"\x80\x02cnumpy.core.multiarray\nscalar\n(K\x01K\x02tR.",
}


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No look for garbage in all that the tests before have left, which may take a second."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused_at_once(name: str) -> None:
    # Of this process: other programs of a busy machine take what they like.
    started = time.process_time()
    said = {"criterion": "l1", "baseline": "0.8"}
    with pytest.raises(InputError) as caught:
        imported(HOSTILE[name], said, format=None if name != "shared levels" else "paddleslim")
    assert time.process_time() - started < 1.0
    assert len(str(caught.value)) < 500


def test_what_is_refused_is_named() -> None:
    with pytest.raises(InputError, match=r"asks for (posix|os)\.system"):
        read_pickle(HOSTILE["system"])
    with pytest.raises(InputError, match="opcode INST"):
        read_pickle(HOSTILE["inst"])


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_pickles_are_read_or_refused(data: st.DataObject) -> None:
    """Opcodes of every kind in any order, and valid files with bytes changed."""
    valid = pickle.dumps({"conv1": {decimal.Decimal("0.5"): 0.25, decimal.Decimal("0.75"): 0.1}})
    codes = [item.code.encode("latin1") for item in pickletools.opcodes]
    if data.draw(st.booleans()):
        content = bytearray(valid)
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.integers(0, len(content) - 1))
            content[place : place + 1] = data.draw(st.binary(max_size=3))
        found = bytes(content)
    else:
        parts = data.draw(st.lists(st.sampled_from(codes) | st.binary(max_size=6), max_size=30))
        found = b"\x80\x04" + b"".join(parts) + b"."
    try:
        imported(found, {"criterion": "l1", "unit": "loss", "baseline": "0"}, format="aimet")
    except InputError:
        return


def test_numbers_are_those_that_pickle_reads() -> None:
    """Against the standard library's own machine, on plain values of all kinds."""
    value = [1, -5, 2**40, 0.1, True, None, "a", b"b", (1, 2), [3.5], np.float64(2.5), np.int16(-3)]
    for protocol in range(6):
        content = pickle.dumps(value, protocol=protocol)
        assert read_pickle(content) == pickle.load(io.BytesIO(content))
