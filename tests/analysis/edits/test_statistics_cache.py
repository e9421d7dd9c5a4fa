"""Calibration statistics are collected once, also by another process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from analysis.edits.prepared import PreparedSubject, prepare
from analysis.records.subject import SubjectSpec
from analysis.records.sweep import SweepSpec
from analysis.subjects.subject import load_subject
from analysis.sweeps import plan_sweep
from pruners import criteria, statistics
from pruners.errors import InputError
from tests.helpers.tiny_subject import write_subject


def lenet(**changes: object) -> PreparedSubject:
    values = {"data": "sample:fashion-mnist", "samples": 20, "calibration_samples": 32, **changes}
    return prepare(load_subject(SubjectSpec(model="sample:lenet5", **values)))


def count_passes(monkeypatch: pytest.MonkeyPatch) -> list[frozenset[str]]:
    """Record the needs of each calibration pass."""
    passes: list[frozenset[str]] = []
    collect = statistics.collect

    def counted(*args: object, **options: object) -> object:
        passes.append(options["needs"])
        return collect(*args, **options)

    monkeypatch.setattr(statistics, "collect", counted)
    return passes


def outcome(prepared: PreparedSubject, layer: str, name: str, level: str) -> list[float] | str:
    """Return the scores, or why there are none."""
    try:
        return prepared.layer_scores(layer, name, level).flatten().tolist()
    except InputError as error:
        return str(error)


def test_one_pass_feeds_all_and_the_next_context_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = count_passes(monkeypatch)
    first, second = lenet(), lenet()
    first.use_cache(tmp_path)
    second.use_cache(tmp_path)
    first.prepare(criteria.CRITERIA.names())
    first.prepare(criteria.CRITERIA.names())
    assert len(passes) == 1
    second.prepare(criteria.CRITERIA.names())
    assert len(passes) == 1
    for name in criteria.CRITERIA.names():
        level = "channel" if "channel" in criteria.CRITERIA.get(name).granularities else "element"
        for layer in first.layers():
            assert outcome(second, layer, name, level) == outcome(first, layer, name, level)


@pytest.mark.parametrize("changes", [{"seed": 1}, {"calibration_samples": 48}])
def test_other_data_or_seed_is_another_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object]
) -> None:
    passes = count_passes(monkeypatch)
    for prepared in (lenet(), lenet(**changes)):
        prepared.use_cache(tmp_path)
        prepared.prepare(["taylor"])
    assert len(passes) == 2


FUNCTIONAL = """
import torch
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(784, 8), nn.Linear(8, 10)

    def forward(self, x):
        h = F.ACTIVATION(self.a(x.flatten(1)))
        return self.b(BRANCH)

def build():
    torch.manual_seed(0)
    return Net()
"""


@pytest.mark.parametrize("branch", ["h", "h * 2 if h.sum() > 1e9 else h"])
def test_other_code_around_equal_weights_is_another_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, branch: str
) -> None:
    """With and without a graph: a functional activation is not among the modules."""
    passes = count_passes(monkeypatch)
    found = []
    for number, activation in enumerate(("relu", "gelu", "gelu")):
        path = tmp_path / f"net{number}.py"
        path.write_text(FUNCTIONAL.replace("ACTIVATION", activation).replace("BRANCH", branch))
        prepared = prepare(
            load_subject(
                SubjectSpec(
                    model=f"{path}:build",
                    data="sample:fashion-mnist",
                    samples=20,
                    calibration_samples=32,
                )
            )
        )
        assert (prepared.graph is None) == (branch != "h")
        prepared.use_cache(tmp_path / "cache")
        prepared.prepare(["taylor"])
        sweep = SweepSpec(subject=prepared.subject.spec, granularity="element", ratios=(0.5,))
        found.append([item.cache_key for item in plan_sweep(prepared, sweep).identified])
    assert len(passes) == 2
    assert found[1] == found[2]
    assert not set(found[0]) & set(found[1])


def test_damaged_and_unwritable_files_cost_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = count_passes(monkeypatch)
    first = lenet()
    first.use_cache(tmp_path / "cache")
    first.prepare(["wanda"])
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(b"not a tensor")
    again = lenet()
    again.use_cache(tmp_path / "cache")
    again.prepare(["wanda"])
    assert len(passes) == 2
    (tmp_path / "file").write_text("in the way")
    blocked = lenet()
    blocked.use_cache(tmp_path / "file")
    blocked.prepare(["wanda"])
    assert len(passes) == 3


@pytest.mark.parametrize(
    "facts",
    [
        "[" * 100_000,
        '{"layers": 5}',
        # No layer of the tensors is named.
        '{"layers": [], "reasons": {}, "samples": 32, "batches": 1, "seed": 0, "labelled": true,'
        ' "fisher_block": 128}',
        '{"layers": ["f1"], "reasons": {}, "samples": "32", "batches": 1, "seed": 0,'
        ' "labelled": true, "fisher_block": 128}',
    ],
)
def test_damaged_facts_cost_time_only(
    facts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = count_passes(monkeypatch)
    first = lenet()
    first.use_cache(tmp_path)
    first.prepare(["wanda"])
    for path in tmp_path.iterdir():
        save_file(load_file(path), path, metadata={"statistics": facts})
    again = lenet()
    again.use_cache(tmp_path)
    again.prepare(["wanda"])
    assert len(passes) == 2


def test_batch_norm_scales_need_no_data_and_others_say_so() -> None:
    prepared = lenet(data=None)
    prepared.prepare(["bn_scale", "l1"])
    with pytest.raises(InputError, match="taylor need calibration data"):
        prepared.prepare(["taylor", "l1"])


def test_other_samples_share_what_the_same_calibration_told() -> None:
    """Found with text: the trade-off scored what the search had collected, and had nothing."""
    whole = lenet()
    fewer = replace(whole.subject, evaluation=whole.subject.evaluation.of([0, 1]))  # type: ignore[union-attr]
    searched = whole.of(fewer)
    whole.prepare(["taylor"])
    found = searched.layer_scores("conv1", "taylor", "channel")
    assert found is whole.layer_scores("conv1", "taylor", "channel")


def test_another_calibration_has_scores_of_its_own(tmp_path: Path) -> None:
    """Goal first sets samples aside, and calibrates on others than the sweep before it."""
    # A fifth of all is the most that calibration takes of what would be evaluated.
    spec = replace(write_subject(tmp_path), samples=None, calibration_samples=100)
    whole = prepare(load_subject(spec))
    before = whole.layer_scores("0", "taylor", "channel")
    subject = whole.subject.with_samples(120)
    assert subject.calibration_fingerprint != whole.subject.calibration_fingerprint
    fresh = prepare(load_subject(replace(spec, samples=120)))
    expected = fresh.layer_scores("0", "taylor", "channel")
    assert not torch.equal(expected, before)
    assert torch.equal(whole.of(subject).layer_scores("0", "taylor", "channel"), expected)
