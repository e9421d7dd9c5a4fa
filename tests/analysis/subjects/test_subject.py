from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from analysis.records.subject import SubjectSpec
from analysis.subjects.data.sources import MapSource
from analysis.subjects.data.split import Split, choose
from analysis.subjects.subject import load_subject
from pruners.errors import AddressError, InputError
from tests.helpers.tiny_subject import write_subject

FACTORIES = "tests.helpers.tiny_factories"
LENET = SubjectSpec(
    model="sample:lenet5", data="sample:fashion-mnist", samples=300, calibration_samples=50
)


def factory_spec(data: str, model: str = "mlp", **options: object) -> SubjectSpec:
    return SubjectSpec(
        model=f"{FACTORIES}:{model}",
        data=f"{FACTORIES}:{data}",
        **options,  # type: ignore[arg-type]
    )


def test_sample_subject() -> None:
    subject = load_subject(LENET)
    assert subject.evaluation is not None
    assert subject.calibration is not None
    assert (len(subject.evaluation), len(subject.calibration)) == (300, 50)
    assert subject.num_classes == 10
    assert subject.class_names[1] == "Trouser"
    assert subject.example.shape == (2, 1, 28, 28)
    assert subject.has_labels
    assert subject.notes == ()


def test_one_sample_can_be_evaluated() -> None:
    """The answers to no samples at all were compared."""
    subject = load_subject(dataclasses.replace(LENET, samples=1))
    assert subject.evaluation is not None
    assert len(subject.evaluation) == 1
    assert subject.example.shape == (2, 1, 28, 28)


def test_batches_are_in_order_whatever_their_size() -> None:
    split = load_subject(LENET).evaluation
    assert split is not None
    whole = torch.cat([inputs for inputs, _ in split.batches(300)])
    for size in (1, 7, 299, 1000):
        parts = list(split.batches(size))
        assert torch.equal(torch.cat([inputs for inputs, _ in parts]), whole)
        assert {len(inputs) for inputs, _ in parts[:-1]} <= {size}


def test_a_split_that_does_not_fit_in_memory_gives_the_same_batches() -> None:
    subject = load_subject(factory_spec("pairs"))
    assert subject.evaluation is not None
    from tests.helpers.tiny_factories import pairs

    source = MapSource("pairs", pairs())
    lazy = Split(source, subject.evaluation.indices, form=(3,), preload_bytes=0)
    assert not lazy.is_small
    for (inputs, labels), (other, same) in zip(
        subject.evaluation.batches(7), lazy.batches(7), strict=True
    ):
        assert torch.equal(inputs, other)
        assert labels is not None
        assert same is not None
        assert torch.equal(labels, same)


def test_fingerprints_follow_content(tmp_path: Path) -> None:
    spec = write_subject(tmp_path)
    first = load_subject(spec)
    again = load_subject(spec)
    assert first.fingerprint == again.fingerprint
    assert first.data_fingerprint == again.data_fingerprint

    seeded = load_subject(dataclasses.replace(spec, seed=1))
    assert seeded.fingerprint == first.fingerprint
    assert seeded.data_fingerprint != first.data_fingerprint

    state = {name: tensor.clone() for name, tensor in first.model.state_dict().items()}
    state["0.bias"][0] += 1e-3
    torch.save(state, tmp_path / "w.pt")
    changed = load_subject(dataclasses.replace(spec, model=f"{spec.model}#weights={tmp_path}/w.pt"))
    assert changed.fingerprint != first.fingerprint
    assert changed.data_fingerprint == first.data_fingerprint


def test_normalisation_is_part_of_the_data(tmp_path: Path) -> None:
    spec = write_subject(tmp_path)
    assert spec.data is not None
    other = dataclasses.replace(spec, data=spec.data.replace("0.25", "0.5"))
    assert load_subject(spec).data_fingerprint != load_subject(other).data_fingerprint


@pytest.mark.parametrize("count", [2, 3, 10, 100, 1000])
@pytest.mark.parametrize("samples", [None, 1, 7, 90, 5000])
@pytest.mark.parametrize("calibration", [1, 20, 512])
def test_evaluation_and_calibration_never_meet(
    count: int, samples: int | None, calibration: int
) -> None:
    chosen, calibrating = choose(
        count, samples=samples, calibration=calibration, seed=4, own_calibration=None
    )
    assert not set(chosen) & set(calibrating)
    assert len(set(chosen)) == len(chosen) > 0
    assert set(chosen) | set(calibrating) <= set(range(count))
    assert len(calibrating) <= calibration
    # Calibration never takes more than a fifth from what was to be evaluated.
    wanted = count if samples is None else min(samples, count)
    assert len(chosen) >= min(wanted, count - count // 5)


def test_the_split_off_calibration_set_is_announced() -> None:
    subject = load_subject(factory_spec("pairs", calibration_samples=5))
    assert subject.calibration is not None
    assert any("5 samples of the same data" in note for note in subject.notes)


def test_fewer_samples_than_asked_for_are_announced() -> None:
    subject = load_subject(factory_spec("pairs", samples=1000))
    assert any("1000 evaluation samples were asked for" in note for note in subject.notes)


def test_without_labels_accuracy_is_agreement() -> None:
    subject = load_subject(factory_spec("unlabelled"))
    assert not subject.has_labels
    assert any("agreement" in note for note in subject.notes)


def test_without_data_the_input_shape_is_known_asked_or_guessed(tmp_path: Path) -> None:
    assert load_subject(SubjectSpec(model="sample:lenet5")).example.shape == (2, 1, 28, 28)
    assert load_subject(SubjectSpec(model=f"{FACTORIES}:mlp")).example.shape == (2, 6)
    spec = write_subject(tmp_path)
    with pytest.raises(InputError, match="add #input=C,H,W"):
        load_subject(SubjectSpec(model=spec.model))
    told = load_subject(SubjectSpec(model=f"{spec.model}#input=1,8,8"))
    assert told.example.shape == (2, 1, 8, 8)
    assert told.evaluation is None
    assert told.data_fingerprint == ""


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (factory_spec("out_of_range"), r"has label 7, but the model gives 3 logits"),
        (factory_spec("broken"), r"raised OSError: sample 13 is damaged$"),
        (factory_spec("empty"), "empty"),
        (factory_spec("text_targets"), "not a class number"),
        (factory_spec("vectors", model="nan_model"), "not finite"),
        (
            dataclasses.replace(LENET, model=f"{FACTORIES}:mlp"),
            r"does not take inputs of shape \(1, 28, 28\)",
        ),
        (dataclasses.replace(LENET, device="warp"), "device 'warp' is unknown"),
        (dataclasses.replace(LENET, device="meta"), "device 'meta' cannot compute"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(spec: SubjectSpec, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        load_subject(spec)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"samples": 0}, "samples must be at least 1"),
        ({"batch_size": 0}, "batch size must be at least 1"),
        ({"calibration_samples": -1}, "calibration samples must be"),
        ({"memory_limit": 0}, "at least 1 MiB, found 0 bytes"),
        ({"seed": -1}, "seed"),
    ],
)
def test_numbers_out_of_range_make_no_subject(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        dataclasses.replace(LENET, **changes)
    assert "\n" not in str(caught.value)


def test_roots_hold_for_models_and_data(tmp_path: Path) -> None:
    spec = write_subject(tmp_path)
    assert load_subject(spec, roots=[tmp_path])
    with pytest.raises(AddressError, match="outside of the folders"):
        load_subject(dataclasses.replace(spec, model="sample:lenet5"), roots=[tmp_path / "x"])


def test_the_generator_of_the_process_is_left_alone(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    load_subject(write_subject(tmp_path))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("spec", "fewer"),
    [
        (dataclasses.replace(LENET, samples=None), 700),
        # Of samples of the same data, calibration takes more where fewer are evaluated.
        (factory_spec("vectors", calibration_samples=5), 30),
        (factory_spec("vectors", calibration_samples=40), 30),
        (factory_spec("unlabelled", calibration_samples=0), 7),
    ],
)
def test_fewer_samples_are_the_subject_that_is_loaded_with_them(
    spec: SubjectSpec, fewer: int
) -> None:
    """`shrink` opened a subject twice to set samples aside."""
    found = load_subject(spec).with_samples(fewer)
    loaded = load_subject(dataclasses.replace(spec, samples=fewer))
    assert found.spec == loaded.spec
    assert found.notes == loaded.notes
    assert found.data_fingerprint == loaded.data_fingerprint
    assert found.calibration_fingerprint == loaded.calibration_fingerprint
    assert found.evaluation is not None
    assert loaded.evaluation is not None
    assert list(found.evaluation.indices) == list(loaded.evaluation.indices)
