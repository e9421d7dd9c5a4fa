"""What makes a subject's numbers mean less than they seem."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.cli.app import main
from analysis.evaluation.samples import first_samples
from analysis.evaluation.sanity import find_doubts
from analysis.figures.thumbnails import BLACK, WHITE, thumbnail
from analysis.records.subject import SubjectSpec
from analysis.records.sums import Sums
from analysis.subjects.subject import load_subject
from analysis.tasks import CLASSIFICATION
from tests.helpers.tiny_subject import write_subject


def sums(correct: int, samples: int) -> Sums:
    counts = {"correct": correct, "gained": 0, "lost": 0, "agree": samples}
    return Sums(samples=samples, terms={**counts, "loss": 1.0, "kl": 0.0})


def test_chance_is_the_commonest_class_or_one_of_many() -> None:
    labels = torch.tensor([0, 0, 0, 1])
    assert CLASSIFICATION.chance(10, labels) == 0.75
    assert CLASSIFICATION.chance(10, None) == 0.1
    assert CLASSIFICATION.chance(2, torch.tensor([0, 1])) == 0.5


@pytest.mark.parametrize(("share", "doubtful"), [(0.1, True), (0.3, True), (0.45, False)])
def test_a_baseline_at_chance_level_is_doubtful(
    share: float, doubtful: bool, tmp_path: Path
) -> None:
    """8.12 % of ten classes got a green tick. Four classes here: about 25 % is chance."""
    subject = load_subject(write_subject(tmp_path))
    found = find_doubts(subject, sums(round(160 * share), 160))
    assert [doubt.kind for doubt in found] == (["chance level"] if doubtful else [])
    assert find_doubts(subject) == ()


@pytest.mark.parametrize(("samples", "is_told"), [(2, True), (19, True), (20, False)])
def test_very_few_samples_are_doubtful(tmp_path: Path, samples: int, is_told: bool) -> None:
    """Found by newcomers: a sweep of 2 samples was told as any other."""
    spec = dataclasses.replace(write_subject(tmp_path), samples=samples)
    found = [item.text for item in find_doubts(load_subject(spec))]
    assert [f"Only {samples} samples" in text for text in found] == [True] * is_told


def test_the_command_line_says_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing on the command line either."""
    spec = write_subject(tmp_path)
    words = ["sweep", "--model", spec.model, "--data", f"npz:{tmp_path}/tiny.npz#std=0.0001"]
    words += ["--criteria", "l1", "--ratios", "0.5", "--samples", "64"]
    words += ["--calibration-samples", "32"]
    assert main([*words, "--workspace", str(tmp_path / "workspace")]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "What the network is fed has a mean of" in said
    assert said.count("Calibration uses") == 1


def test_a_guessed_input_shape_is_said(tmp_path: Path) -> None:
    """Section B of the browser's findings, a weak row: a shape was guessed without a word."""
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def build():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),\n"
        "                         nn.Linear(4, 10))\n"
    )
    address = f"{tmp_path}/net.py:build"
    assert (
        "The input shape 3,224,224 is a guess" in load_subject(SubjectSpec(model=address)).notes[0]
    )
    assert load_subject(SubjectSpec(model=f"{address}#input=3,32,32")).notes == ()


def test_samples_have_labels_and_answers(tmp_path: Path) -> None:
    subject = load_subject(write_subject(tmp_path))
    assert subject.evaluation is not None
    inputs, labels = subject.evaluation.part(0, 5)
    assert labels is not None
    answers = subject.model(inputs).argmax(1)
    found = first_samples(subject, 5)
    assert [item.label for item in found] == [str(int(label)) for label in labels]
    assert [item.answer for item in found] == [str(int(answer)) for answer in answers]
    assert [item.is_right for item in found] == (answers == labels).tolist()
    assert all(torch.equal(item.inputs, given) for item, given in zip(found, inputs, strict=True))


def test_thumbnails_are_drawn_on_one_scale() -> None:
    middle = (BLACK + WHITE) / 2
    grey = thumbnail(np.array([[[BLACK, WHITE], [middle, 1e9]]]), pixels=4)
    assert grey is not None
    assert grey.shape == (4, 4, 3)
    assert grey[::2, ::2, 0].tolist() == [[0, 255], [128, 255]]
    colour = thumbnail(np.stack([np.full((300, 200), value) for value in (BLACK, middle, WHITE)]))
    assert colour is not None
    assert colour.shape == (100, 67, 3)
    assert colour[0, 0].tolist() == [0, 128, 255]
    assert thumbnail(np.zeros((2, 5, 5))) is not None
    assert thumbnail(np.zeros(7)) is None


def test_sound_is_not_judged_by_the_scale_of_pictures() -> None:
    spec = SubjectSpec(model="sample:kws_conv1d", data="sample:keywords", samples=40)
    assert find_doubts(load_subject(spec)) == ()
