"""Training data: opened, checked, kept apart from what is evaluated, cut and drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from analysis.recovery.training.data.augmentations import Images, augment_of
from analysis.recovery.training.data.chance import generator
from analysis.recovery.training.data.content import Content, content_of
from analysis.recovery.training.data.sampler import Augment, Sampler
from analysis.recovery.training.passes import weight_of_dense
from analysis.sentences import listed, plural
from analysis.subjects import Subject, parse_data
from analysis.subjects.data import (
    PRELOAD_BYTES,
    Source,
    Split,
    first_unsteady,
    load_data,
    read_failure,
)
from pruners.errors import InputError

if TYPE_CHECKING:
    from analysis.edits import PreparedSubject
    from analysis.recovery.training.recipe import TrainingRecipe

MAX_SELECTION = 2000
# Norms over a batch need more than one sample.
FEWEST = 2
# Sample numbers that a message names.
NAMED = 5


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """What a model is trained on.

    Attributes:
        train: The samples that are trained on.
        selection: Others that tell how far the training is, and are never trained on; None where
            none are asked for.
        augment: Changes the inputs of batches by chance; None where none is asked for.
        words: What a person should know, one sentence each.
        is_steady: Whether samples are the same each time they are read; if not, a training that was
            resumed need not equal one that ran through.
        seen: Digests of all samples that are trained on or selected by, one after another.
        fingerprint: Changes with any sample, target or the cut; of samples that are not steady,
            with their address and number only.
    """

    train: Split
    selection: Split | None
    augment: Augment | None
    words: tuple[str, ...]
    is_steady: bool
    seen: bytes
    fingerprint: str

    def sampler(self, *, batch_size: int, seed: int) -> Sampler:
        """Return what draws augmented batches of the training samples."""
        return Sampler(self.train, batch_size=batch_size, seed=seed, augment=self.augment)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Samples that may be trained on.

    Attributes:
        source: Where they are read from.
        indices: Which ones.
        words: How they were chosen.
        is_given: Whether a person named them.
    """

    source: Source
    indices: Sequence[int]
    words: tuple[str, ...]
    is_given: bool


def open_training_data(
    prepared: PreparedSubject,
    recipe: TrainingRecipe,
    *,
    seed: int,
    roots: Sequence[Path] | None = None,
    apart: Split | None = None,
) -> TrainingData:
    """Open what a recipe trains on, and keep it apart from what is evaluated.

    Args:
        prepared: The subject.
        recipe: Names the data, the batch size, the share to select by, and augmentations.
        seed: Chooses the selection samples and the order of the others.
        roots: Folders below which files may lie; None allows everything.
        apart: Samples that the trained model is judged on, beside those that are evaluated; what
            has their content is left out.

    Raises:
        AddressError: The address is malformed, or what it names is missing or not fit.
        InputError: Evaluation samples are among the training data, there are too few samples or no
            labels, or samples do not fit the model.
    """
    subject = prepared.subject
    if subject.evaluation is None:
        raise InputError("training needs data; give a data address")
    chosen = _chosen(subject, recipe.train_data, roots)
    try:
        is_steady = first_unsteady(chosen.source, chosen.indices) is None
        whole, words = _opened(subject, chosen, is_steady=is_steady, recipe=recipe)
        folder = prepared.cache_folder
        content = content_of(whole, subject.files, folder)
        evaluated = set(content_of(subject.evaluation, subject.files, folder))
        judged = set() if apart is None else set(content_of(apart, subject.files, folder))
        calibrated = (
            set()
            if subject.calibration is None
            else set(content_of(subject.calibration, subject.files, folder))
        )
    except InputError:
        raise
    except Exception as error:
        # A user's data set may raise anything.
        raise read_failure(chosen.source.name, error) from error
    positions, left_out = _apart(chosen, content, evaluated, judged)
    trained, selected = _cut(positions, content, share=recipe.selection, seed=seed)
    train = whole.at(trained)
    images = Images(shape=train.input_shape, blank=chosen.source.blank, roots=roots)
    augment, told = augment_of(recipe.augment, images)
    return TrainingData(
        train=train,
        selection=whole.at(selected) if selected else None,
        augment=augment,
        words=(
            *chosen.words,
            *left_out,
            *words,
            *_cut_words(trained, selected, batch_size=recipe.batch_size),
            *_calibration_words(content, trained, calibrated),
            *told,
        ),
        is_steady=is_steady,
        seen=content.at([*trained, *selected]),
        fingerprint=_fingerprint(chosen, content, trained, selected, is_steady=is_steady),
    )


# --- which samples ---------------------------------------------------------------------------


def _chosen(subject: Subject, address: str | None, roots: Sequence[Path] | None) -> _Chosen:
    if address is None or address == subject.spec.data:
        return _known(subject, roots)
    data = load_data(parse_data(address), roots=roots, task=subject.task)
    source = data.calibration or data.evaluation
    words = f"The training data are {plural(len(source), 'sample')} of {source.name!r}."
    return _Chosen(source, range(len(source)), (words, *source.notes), is_given=True)


def _known(subject: Subject, roots: Sequence[Path] | None) -> _Chosen:
    """Choose what the subject's own data have beside the samples that are evaluated."""
    evaluation = subject.evaluation
    assert evaluation is not None
    source = _calibration_source(subject, roots)
    if source is not None and source is not evaluation.source:
        count = plural(len(source), "sample")
        words = f"The training data are the {count} that the data keep for calibration; name "
        words += "others to train on more."
        return _Chosen(source, range(len(source)), (words, *source.notes), is_given=False)
    source = evaluation.source
    taken = set(evaluation.indices)
    others = [index for index in range(len(source)) if index not in taken]
    if len(others) < FEWEST:
        raise InputError(
            f"{source.name!r}: all but {len(others)} of {plural(len(source), 'sample')} are "
            "evaluated, so nothing is left to train on; name training data, or evaluate fewer"
        )
    words = (
        f"The training data are the {plural(len(others), 'sample')} of the same data that are not "
        "evaluated; name others to train on more."
    )
    return _Chosen(source, others, (words,), is_given=False)


def _calibration_source(subject: Subject, roots: Sequence[Path] | None) -> Source | None:
    if subject.calibration is not None:
        return subject.calibration.source
    assert subject.spec.data is not None
    found = load_data(parse_data(subject.spec.data), roots=roots, task=subject.task)
    return found.calibration


def _opened(
    subject: Subject, chosen: _Chosen, *, is_steady: bool, recipe: TrainingRecipe
) -> tuple[Split, tuple[str, ...]]:
    """Return the samples, checked as those that are evaluated are, and what is odd about them."""
    evaluation, source = subject.evaluation, chosen.source
    assert evaluation is not None
    if len(chosen.indices) < FEWEST:
        raise InputError(
            f"{source.name!r} has {plural(len(chosen.indices), 'sample')}; training needs at least "
            f"{FEWEST}"
        )
    split = Split(
        source,
        chosen.indices,
        task=subject.task,
        form=subject.output_form,
        like=subject.example,
        device=subject.example.device,
        # What is in memory is never read again.
        preload_bytes=PRELOAD_BYTES if is_steady else 0,
    )
    if split.input_shape != evaluation.input_shape:
        raise InputError(
            f"{source.name!r}: training inputs have shape {split.input_shape}, those that are "
            f"evaluated {evaluation.input_shape}"
        )
    if not split.has_labels and weight_of_dense(subject.task, recipe.distill) < 1:
        raise InputError(
            f"{source.name!r} has no labels, which the task's loss needs; name training data with "
            "labels, or train on the dense model's answers alone (distill 1)"
        )
    _check_class_names(source, evaluation.source)
    words = source.check_classes(subject.num_classes) if subject.num_classes else ()
    if not is_steady:
        words += (
            "The training data are other ones each time they are read (random transforms): a "
            "training that is resumed need not equal one that ran through, and evaluation samples "
            "among them cannot be told.",
        )
    split.preload()
    return split, words


def _check_class_names(source: Source, evaluated: Source) -> None:
    """Refuse classes in another order: labels would mean something else."""
    ours, theirs = source.class_names, evaluated.class_names
    if ours != theirs and sorted(ours) == sorted(theirs):
        at = next(
            at for at, pair in enumerate(zip(ours, theirs, strict=True)) if len(set(pair)) > 1
        )
        raise InputError(
            f"{source.name!r}: class {at} is {ours[at]!r} here and {theirs[at]!r} in the "
            "evaluation data; the classes must be in the same order"
        )


# --- apart from what is evaluated, and cut ---------------------------------------------------


def _apart(
    chosen: _Chosen, content: Content, evaluated: set[bytes], judged: set[bytes]
) -> tuple[list[int], tuple[str, ...]]:
    """Return the positions of samples that nothing is judged on, and what was left out.

    Raises:
        InputError: A person named data that hold evaluation samples, or nothing is left.
    """
    both = [at for at, digest in enumerate(content) if digest in evaluated]
    numbers = listed([str(chosen.indices[at]) for at in both], most=NAMED)
    count = len(chosen.indices)
    if both and chosen.is_given:
        raise InputError(
            f"{chosen.source.name!r}: {len(both):,} of {plural(count, 'training sample')} are "
            f"evaluation samples (numbers {numbers}), so that the result would tell nothing; name "
            "the training part of the data (such as #split=train), or leave these samples out"
        )
    searched = [at for at, digest in enumerate(content) if digest in judged - evaluated]
    taken = {*both, *searched}
    left = [at for at in range(count) if at not in taken]
    if len(left) < FEWEST:
        which = "evaluated, or searched on" if searched else "evaluated"
        raise InputError(
            f"{chosen.source.name!r}: nothing is left to train on beside samples that are "
            f"{which}; name training data"
        )
    words = []
    if both:
        what = plural(len(both), "sample")
        words.append(f"Left out, {what} of the same content as evaluated ones: {numbers}.")
    if searched:
        what = plural(len(searched), "sample")
        words.append(f"Left out, {what} that the search is judged on.")
    return left, tuple(words)


def _cut(
    positions: list[int], content: Content, *, share: float, seed: int
) -> tuple[list[int], list[int]]:
    """Cut positions into those to train on and those to select by, both in order.

    What has the content of a selection sample is not trained on.

    Raises:
        InputError: Nothing is left to train on.
    """
    count = len(positions)
    wanted = min(MAX_SELECTION, max(1, round(share * count)), count - FEWEST) if share else 0
    order = torch.randperm(count, generator=generator(seed, "selection"))[:wanted].tolist()
    chosen = {positions[at] for at in order}
    digests = list(content)
    seen = {digests[at] for at in chosen}
    trained = [at for at in positions if digests[at] not in seen]
    if len(trained) < FEWEST:
        raise InputError(
            "the training data are copies of few samples, so nothing is left to train on beside "
            "those to select by; name other training data, or give selection 0"
        )
    return trained, sorted(chosen)


def _cut_words(
    trained: Sequence[int], selected: Sequence[int], *, batch_size: int
) -> tuple[str, ...]:
    words = []
    if selected:
        words.append(
            f"{len(selected):,} of these samples tell how far the training is and are never "
            f"trained on; {len(trained):,} are."
        )
    if len(trained) < batch_size:
        words.append(f"There are fewer samples than a batch of {batch_size}: each batch has all.")
    return tuple(words)


def _calibration_words(
    content: Content, trained: Sequence[int], calibrated: set[bytes]
) -> tuple[str, ...]:
    digests = list(content)
    count = len(calibrated & {digests[at] for at in trained})
    if not count:
        return ()
    return (f"{plural(count, 'calibration sample')} are trained on; none is evaluated.",)


def _fingerprint(
    chosen: _Chosen,
    content: Content,
    trained: Sequence[int],
    selected: Sequence[int],
    *,
    is_steady: bool,
) -> str:
    what = content.digest if is_steady else f"{chosen.source.name}|{len(chosen.source)}"
    return hashlib.sha256(f"{what}|{trained}|{selected}".encode()).hexdigest()
