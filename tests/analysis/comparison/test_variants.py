"""Variants of a sweep: which runs are siblings, and how far two tables are apart."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from analysis import comparison
from analysis.comparison.variants import Variant, choices, gap, gap_sentence, siblings, side_by_side
from analysis.records.progress import Progress
from analysis.records.run import RunRow
from analysis.records.subject import SubjectSpec
from analysis.records.sweep import SweepSpec
from tests.analysis.points_tables import curve

SPEC = SweepSpec(subject=SubjectSpec(model="sample:lenet5", data="sample:fashion-mnist"))
RATIOS = (0.2, 0.5, 0.8)


def row(
    run_id: str, spec: SweepSpec, *, state: str = "done", created: float = 0.0, **more: str
) -> RunRow:
    return RunRow(
        run_id=run_id,
        created=created,
        spec=spec,
        state=state,
        progress=Progress(),
        points=0,
        samples=0,
        total_samples=0,
        saves=0,
        eta_seconds=None,
        heartbeat=0.0,
        pid=None,
        error="",
        cancel_requested=False,
        baseline=None,
        seconds=0.0,
        **more,
    )


def changed(**changes: object) -> SweepSpec:
    return dataclasses.replace(SPEC, **changes)  # type: ignore[arg-type]


def found(run: RunRow, *others: RunRow) -> list[tuple[str, str]]:
    return [(item.name, item.run.run_id) for item in siblings(run, [run, *others])]


def test_siblings_differ_in_one_setting() -> None:
    raw = row("raw", SPEC)
    others = [
        row("weights", changed(semantics="weights")),
        row("lsq", changed(repair="lsq")),
        row("bn", changed(repair="bn")),
        row("two", changed(repair="bn", semantics="weights")),
        row("grid", changed(repair="lsq", ratios=(0.5,)), created=9.0),
        row("seed", changed(repair="lsq", subject=dataclasses.replace(SPEC.subject, seed=1))),
        row("precision", changed(repair="lsq", precision="bf16")),
        row("again", SPEC),
    ]
    assert found(raw, *others) == [
        ("after bn", "bn"),
        ("after lsq", "lsq"),
        ("weights masked", "weights"),
    ]
    assert found(others[2], raw, others[1]) == [("raw", "raw"), ("after lsq", "lsq")]
    assert found(others[3], raw, others[2]) == [("removal", "bn")]


def test_siblings_may_be_measured_elsewhere_and_in_other_parts() -> None:
    subject = dataclasses.replace(SPEC.subject, batch_size=7, device="cuda", memory_limit=2**21)
    other = row("lsq", changed(repair="lsq", subject=subject, executor="ray", ray_address="here"))
    assert found(row("raw", SPEC), other) == [("after lsq", "lsq")]


def test_of_equal_siblings_the_newest_finished_one_is_taken() -> None:
    lsq = changed(repair="lsq")
    others = [
        row("failed", lsq, state="failed", created=4.0),
        row("new", lsq, created=3.0),
        row("old", lsq, created=2.0),
    ]
    assert found(row("raw", SPEC), *others) == [("after lsq", "new")]
    assert found(row("raw", SPEC), others[0]) == [("after lsq", "failed")]


def test_other_weights_or_samples_behind_the_same_addresses_are_no_siblings() -> None:
    raw = row("raw", SPEC, fingerprint="a", data_fingerprint="b")
    lsq = changed(repair="lsq")
    assert found(raw, row("lsq", lsq, fingerprint="x", data_fingerprint="b")) == []
    assert found(raw, row("lsq", lsq, fingerprint="a", data_fingerprint="x")) == []
    # Not loaded yet.
    assert found(raw, row("lsq", lsq)) == [("after lsq", "lsq")]


def test_only_what_is_possible_is_a_choice() -> None:
    assert choices(SPEC, "repair") == ["none", "bn", "lsq"]
    assert choices(SPEC, "semantics") == ["removal", "weights"]
    assert choices(changed(semantics="weights"), "repair") == ["none", "bn"]
    assert choices(changed(repair="lsq"), "semantics") == ["removal"]
    assert choices(changed(granularity="element"), "semantics") == ["removal"]
    assert choices(changed(granularity="element"), "repair") == ["none", "bn", "lsq"]


RAW = pd.concat([curve([0.1, 0.4, 0.8], ratios=RATIOS), curve([0.0], layer="b", ratios=(0.5,))])
LSQ = pd.concat([curve([0.12, 0.1, 0.2], ratios=RATIOS), curve([0.0], layer="b", ratios=(0.5,))])


def test_the_gap_is_over_what_both_measured_on_equally_many_samples() -> None:
    both = side_by_side(LSQ, RAW)
    assert both["gain"].tolist() == pytest.approx([-0.02, 0.3, 0.6, 0.0])
    result = gap(both)
    assert result is not None
    assert (result.points, result.worse) == (4, 1)
    assert result.mean == pytest.approx(0.22)
    assert result.apart == pytest.approx(0.23)
    assert (result.most.layer, result.most.ratio) == ("conv1", 0.8)
    assert result.most.gain == pytest.approx(0.6)
    assert result.least.gain == pytest.approx(-0.02)
    partly = LSQ.assign(samples=[1000, 500, 1000, 1000])
    failed = RAW.assign(status=["failed", "measured", "measured", "measured"])
    assert side_by_side(partly, failed)["gain"].tolist() == pytest.approx([0.6, 0.0])
    assert gap(side_by_side(LSQ.assign(samples=1), RAW)) is None


def test_points_of_one_kept_count_count_once() -> None:
    twice = pd.concat([RAW, RAW])
    assert len(side_by_side(twice, twice)) == len(RAW)


def test_the_sentence_compares_the_repaired_with_the_raw_whichever_is_open() -> None:
    lsq = changed(repair="lsq")
    said = (
        "After lsq, accuracy is 22.00 pp above raw on average over 4 points, at most 60.00 pp "
        "(conv1 by L1 norm at 80.0\N{NO-BREAK SPACE}%); at 1 point it is below, by at most 2.00 pp "
        "(conv1 by L1 norm at 20.0\N{NO-BREAK SPACE}%)."
    )
    assert gap_sentence(SPEC, RAW, Variant("repair", row("lsq", lsq)), LSQ) == said
    assert gap_sentence(lsq, LSQ, Variant("repair", row("raw", SPEC)), RAW) == said
    assert gap_sentence(SPEC, RAW, Variant("repair", row("lsq", lsq)), LSQ.iloc[:0]) == ""


def test_a_repair_that_only_harms_is_said_to() -> None:
    worse = RAW.assign(accuracy=RAW["accuracy"] - 0.01)
    lsq = Variant("repair", row("lsq", changed(repair="lsq")))
    said = gap_sentence(SPEC, RAW, lsq, worse)
    assert said.startswith("After lsq, accuracy is 1.00 pp below raw on average over 4 points; at ")


def test_semantics_differ_without_a_better_one() -> None:
    other = Variant("semantics", row("weights", changed(semantics="weights")))
    said = gap_sentence(SPEC, LSQ, other, RAW)
    assert said == (
        "Removal and weights masked differ by 23.00 pp of accuracy on average over 4 points, at "
        "most by 60.00 pp (conv1 by L1 norm at 80.0\N{NO-BREAK SPACE}%)."
    )


def test_every_value_of_a_setting_has_its_help() -> None:
    for setting in comparison.SETTINGS.values():
        assert set(setting.labels) == set(setting.help)
