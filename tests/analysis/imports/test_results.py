"""Real files of other tools read right; what they do not say is asked."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.curves import from_zero, points_table, tolerated, write_points
from analysis.edits import prepare
from analysis.imports import (
    RESULT_FORMATS,
    ImportedRun,
    ImportRequest,
    format_of,
    imported_run,
    metric_of,
    open_questions,
    parse_renames,
    read_result,
)
from analysis.records import Sums, SweepSpec
from analysis.store import Store
from analysis.subjects import load_subject
from pruners.errors import InputError
from tests.helpers.tiny_subject import write_subject

FILES = Path(__file__).parent / "files"
FILTERS = {"granularity": "channel", "criterion": "l1"}


def imported(name: str, said: Mapping[str, str], **options: object) -> ImportedRun:
    content = options.pop("content", None)
    content = (FILES / name).read_bytes() if content is None else content
    assert isinstance(content, bytes)
    chosen = format_of(content, name)
    raw = read_result(content, chosen, name)
    request = ImportRequest(file=name, content=content, said=said, **options)  # type: ignore[arg-type]
    return imported_run(request, chosen, raw)


@pytest.mark.parametrize(
    ("name", "said", "layers", "points", "baseline", "first"),
    [
        # Layer, level, score and drop of the first point, written down from the file by hand.
        (
            "distiller_alexnet.csv",
            {"granularity": "element", "criterion": "l1"},
            *(8, 144, 0.56518),
            ("features.0", 0.05, 0.56524, -0.00006),
        ),
        (
            "distiller_resnet20_filters.csv",
            FILTERS,
            # 189 levels above 0; 13 repeat all three numbers of the level before.
            *(21, 176, 0.9171),
            ("conv1", 0.05, 0.9171, 0.0),
        ),
        (
            "nni_docs.csv",
            {**FILTERS, "unit": "fraction", "direction": "higher", "baseline": "0.5661"},
            *(5, 45, 0.5661),
            ("features.0", 0.05, 0.54566, 0.02044),
        ),
        (
            "nni_early_stop.csv",
            {**FILTERS, "unit": "fraction", "direction": "higher", "baseline": "0.99"},
            *(3, 7, 0.99),
            ("conv1", 0.25, 0.9901, -0.0001),
        ),
        (
            "sparseml_one_shot.json",
            {"unit": "loss", "criterion": "l1"},
            *(28, 84, 0.0),
            ("input.conv", 0.4, 0.0, 0.0),
        ),
        (
            "sparseml_two_batches.json",
            {"unit": "loss", "criterion": "l1"},
            # The mean of two values: 2.3919... and 2.4239... of the dense model.
            *(16, 32, -(2.4239916801452637 + 2.391894578933716) / 2),
            ("conv1", 0.5, -(2.4242732524871826 + 2.392256498336792) / 2, 0.00032174587),
        ),
    ],
)
def test_real_files_read_right(
    name: str,
    said: dict[str, str],
    layers: int,
    points: int,
    baseline: float,
    first: tuple[str, float, float, float],
) -> None:
    run = imported(name, said)
    assert len({item.key.layer for item in run.points}) == layers
    assert len(run.points) == points
    assert run.source.baseline == pytest.approx(baseline, abs=1e-12)
    point = run.points[0]
    assert (point.key.layer, point.key.ratio_requested) == first[:2]
    values = (point.values["accuracy"], point.values["accuracy_drop"])
    assert values == pytest.approx(first[2:], abs=1e-9)
    # Nothing is made up: no units, no sizes, no samples without a model and counts.
    assert (point.key.total, point.params, point.macs, point.samples) == (0, None, None, 0)


def test_loss_of_distiller_is_another_run_of_the_same_file() -> None:
    run = imported("distiller_alexnet.csv", FILTERS, metric="loss")
    assert run.source.quantity == "loss"
    assert run.source.said["metric"] == "loss"
    first = run.points[0].values["accuracy_drop"]
    assert first == pytest.approx(1.9160722874257028 - 1.9159247571108287)


def test_short_rows_are_said() -> None:
    said = {**FILTERS, "unit": "fraction", "direction": "higher", "baseline": "0.99"}
    notes = " ".join(imported("nni_early_stop.csv", said).source.notes)
    assert "2 layers ended early" in notes


def test_times_are_refused() -> None:
    with pytest.raises(InputError, match=r"times in seconds.*no loss"):
        imported("sparseml_perf.json", {"unit": "loss", "criterion": "l1"})


@pytest.mark.parametrize(
    ("name", "said", "says"),
    [
        ("nni_docs.csv", {}, r"--unit .*--direction .*--granularity .*--baseline .*--criterion"),
        ("nni_docs.csv", {"unit": "loss"}, r"Give --granularity .*--baseline .*--criterion"),
        ("distiller_alexnet.csv", {"criterion": "l1"}, r"Give --granularity [^-]*$"),
        ("sparseml_one_shot.json", {"unit": "loss"}, r"Give --criterion"),
        ("distiller_alexnet.csv", {**FILTERS, "unit": "fraction"}, "leave --unit fraction out"),
        ("distiller_alexnet.csv", {**FILTERS, "baseline": "0.5"}, "leave --baseline out"),
        ("distiller_alexnet.csv", {**FILTERS, "criterion": "l3"}, "unknown answer to --criterion"),
        (
            "nni_docs.csv",
            {**FILTERS, "unit": "relative-drop", "baseline": "93"},
            "between 0 and 1",
        ),
        (
            "nni_docs.csv",
            {**FILTERS, "unit": "fraction", "direction": "higher", "baseline": "56.61"},
            r"--baseline: 56.61 is .*--unit percent",
        ),
    ],
)
def test_what_is_not_said_is_asked_and_named(name: str, said: dict[str, str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        imported(name, said)


def test_levels_kept_and_errors_turn_round() -> None:
    """A kept share of 0.75 is a pruned one of 0.25; an error rate of 0.2 an accuracy of 0.8."""
    content = b"layername, 0.25, 0.5\nconv1, 0.2, 0.4\n"
    run = imported(
        "errors.csv",
        {**FILTERS, "unit": "fraction", "direction": "lower", "baseline": "0.1"},
        content=content,
    )
    found = [(item.key.ratio_requested, item.values["accuracy"]) for item in run.points]
    assert found == [(0.25, 0.8), (0.5, 0.6)]
    assert [item.values["accuracy_drop"] for item in run.points] == pytest.approx([0.1, 0.3])


def test_a_broken_evaluation_is_said() -> None:
    content = b"layername,0.25,0.5\na,0.5,0.5\nb,0.5,0.5\n"
    said = {**FILTERS, "unit": "fraction", "direction": "higher", "baseline": "0.5"}
    assert any(
        "No layer reacts" in note for note in imported("x.csv", said, content=content).source.notes
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"a,b,c\n1,2,3\n", "none that is known"),
        (b"layername,0.5\na,x\n", "line 2.*finite number"),
        (b"layername,0.5\na,nan\n", "line 2.*finite number"),
        (b"layername,1.5\na,0.5\n", "line 1.*between 0 and 1"),
        (b"layername,0.5\na,0.5\na,0.6\n", "stands twice"),
        (b"layername,0.5\na,0.5,0.6\n", "2 values for 1 level"),
        (b"parameter,sparsity,top1,top5,loss\na,0.1,9\n", "line 2.*expected 5 cells, found 3"),
        (b'{"results": [{"sparse_measurements": 1}]}', "without a name"),
        (b'{"results": [], "sparse_measurements": 0}', "holds no measurement"),
        (b'{"results"' + b"[" * 100_000 + b'"sparse_measurements"', "cannot be read"),
        (b"layername,0.5\nmodule.a,0.5\na.weight,0.6\n", "would both be layer a"),
        (b"layername,0.5\na,50\n", "50 is no fraction.*--unit percent"),
        (b"layer,criterion,granularity,ratio_requested,kept,total,status\n", "0 rows"),
    ],
)
def test_bad_files_give_one_line(content: bytes, says: str) -> None:
    said = {**FILTERS, "unit": "fraction", "direction": "higher", "baseline": "0.5"}
    with pytest.raises(InputError, match=says):
        imported("bad", said if content.startswith(b"layername") else FILTERS, content=content)


def distiller_rows(shift: int = 0) -> bytes:
    """A file as Distiller writes it, of the two convolutions of the tiny model: 6 and 8 filters."""
    rows = ["parameter,sparsity,top1,top5,loss"]
    for layer in ("module.0.weight", "module.2.weight"):
        rows += [
            f"{layer},{level},{90.0 - index - shift},99.0,{0.5 + index}"
            for index, level in enumerate(np.arange(0.0, 1.0, 0.05).tolist())
        ]
    return "\r\n".join([*rows, ""]).encode()


def test_with_a_model_levels_become_counts_and_groups(tmp_path: Path) -> None:
    """Distiller prunes int(level * filters); levels of one count are one measurement."""
    prepared = prepare(load_subject(write_subject(tmp_path)))
    content = distiller_rows()
    run = imported("sens.csv", FILTERS, content=content, prepared=prepared)
    expected: dict[str, list[tuple[int, int, float]]] = {}
    sizes = {"module.0.weight": ("0", 6), "module.2.weight": ("2", 8)}
    for row in csv.DictReader(content.decode().splitlines()):
        layer, units = sizes[row["parameter"]]
        kept = units - int(float(row["sparsity"]) * units)
        known = expected.setdefault(layer, [])
        if kept not in [units, *(item[0] for item in known)]:
            known.append((kept, units, float(row["top1"]) / 100))
    found: dict[str, list[tuple[int, int, float]]] = {}
    for item in run.points:
        found.setdefault(item.key.layer, []).append(
            (item.key.kept, item.key.total, item.values["accuracy"])
        )
        assert item.key.group == item.key.layer
        cost = prepared.cost.predict({item.key.layer: item.key.kept})
        assert (item.params, item.macs) == (cost.params, cost.macs)
    assert found == expected
    assert run.source.weights == prepared.identity.weights
    with pytest.raises(InputError, match=r"no layer of the file.*--rename OLD=NEW"):
        imported("nni_docs.csv", {**FILTERS, "unit": "loss", "baseline": "0"}, prepared=prepared)
    renames = parse_renames(["features.0=0"])
    named = imported(
        "nni_docs.csv",
        {**FILTERS, "unit": "loss", "baseline": "0"},
        prepared=prepared,
        renames=renames,
    )
    assert {item.key.layer for item in named.points} == {"0"}
    assert any("4 layers of the file left out" in note for note in named.source.notes)


def test_an_imported_run_is_a_run_of_the_workspace(tmp_path: Path) -> None:
    store = Store(tmp_path / "workspace")
    run_id = imported("distiller_resnet20_filters.csv", FILTERS).save(store)
    row = store.runs.get(run_id)
    assert row.source is not None
    assert (row.state, row.quantity, row.has_model) == ("done", "accuracy", False)
    assert row.progress.is_complete
    table = store.points.table(run_id)
    assert len(table) == row.points == 176
    assert table[["drop_low", "drop_high"]].isna().all(axis=None)
    assert table["params"].isna().all()
    limits = tolerated(table, tolerance=0.01)
    # conv1 of the file: 91.33 at 0.4 is within a point of 91.71, 89.29 at 0.45 is not.
    first = limits.set_index("layer").loc["conv1"]
    assert first["tolerated"] == pytest.approx(0.4)
    # No counts, no interval, and no order between layers that would need one.
    assert limits[["low", "high"]].isna().all(axis=None)
    assert set(limits["rank"]) == {"1-21"}
    assert not limits["partial"].any()
    start = from_zero(table).groupby("layer", sort=False).first()
    assert (start["ratio_achieved"] == 0).all()
    assert start["accuracy"].to_numpy() == pytest.approx(0.9171)
    with pytest.raises(InputError, match="imported from"):
        store.runs.merge(
            [
                run_id,
                imported("nni_docs.csv", {**FILTERS, "unit": "loss", "baseline": "0"}).save(store),
            ]
        )
    assert store.runs.delete(run_id) == run_id
    store.close()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_our_own_points_come_back_as_they_were(tmp_path: Path, suffix: str) -> None:
    spec = SweepSpec(subject=write_subject(tmp_path))
    terms = {"correct": 80, "gained": 1, "lost": 9, "agree": 85, "loss": 12.5, "kl": 3.25}
    point = {
        "criterion": "l1",
        "granularity": "channel",
        "layer": "0",
        "group": "0",
        "ratio_requested": 0.5,
        "kept": 3,
        "total": 6,
        "params": 900,
        "macs": 12000,
        "status": "measured",
        "reason": "",
        "sums": Sums(samples=100, terms=terms),
    }
    failed = {**point, "status": "failed", "reason": "no memory", "sums": Sums()}
    failed |= {"ratio_requested": 0.75, "kept": 2}
    before = points_table("run", [point, failed], baselines={100: Sums(samples=100, terms=terms)})
    path = write_points(before, tmp_path / f"points{suffix}")
    store = Store(tmp_path / "workspace")
    run_id = imported(path.name, {}, content=path.read_bytes()).save(store)
    after = store.points.table(run_id)
    assert store.runs.get(run_id).quantity == spec.subject.task
    same = [name for name in before.columns if name not in ("run_id", "status", "seconds")]
    pd.testing.assert_frame_equal(before[same], after[same])
    assert after["status"].tolist() == ["imported", "failed"]
    store.close()


VALID = {
    "distiller": distiller_rows(),
    "nni": b"layername,0.25,0.5\r\nconv1,0.9901,0.979\r\n",
    "sparseml": json.dumps(
        {"results": [{"name": "a.weight", "sparse_measurements": [[0, [0.0]], [0.5, [0.1]]]}]}
    ).encode(),
    "points": b"layer,criterion,granularity,group,ratio_requested,kept,total,samples,accuracy,"
    b"accuracy_drop,status\n0,l1,channel,0,0.5,3,6,0,0.8,0.1,imported\n",
}


@pytest.mark.parametrize("name", VALID)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damaged_files_are_read_or_refused(name: str, data: st.DataObject) -> None:
    """Whatever is cut out, put in or turned round: a result, or one line."""
    content = bytearray(VALID[name])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content)))
        length = data.draw(st.integers(0, 8))
        content[place : place + length] = data.draw(st.binary(max_size=8))
    chosen = RESULT_FORMATS.get(name)
    said = {**FILTERS, "unit": "loss", "baseline": "0"}
    try:
        raw = read_result(bytes(content), chosen, "file")
        metric = metric_of(raw, None)
        asked = {item.name for item in open_questions(raw, metric, {})}
        answers = {key: value for key, value in said.items() if key in asked}
        request = ImportRequest(file="file", content=bytes(content), said=answers)
        imported_run(request, chosen, raw)
    except InputError:
        return
