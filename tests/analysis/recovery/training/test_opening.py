"""What is trained on: where it comes from, what it must not hold, how it is cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from analysis.edits import PreparedSubject, prepare
from analysis.records import SubjectSpec
from analysis.recovery.training import TrainingRecipe
from analysis.recovery.training.data import TrainingData, open_training_data
from analysis.recovery.training.data.content import content_of
from analysis.subjects import Split, load_subject, parse_data
from analysis.subjects.data import FileDigests, load_data
from pruners.errors import AddressError, InputError
from tests.helpers.tiny_subject import MODEL_SOURCE, write_subject

OPTIONS = "#mean=0.5&std=0.25"
SETS = """
import torch
class Noisy:
    def __len__(self): return 50
    def __getitem__(self, at): return torch.randn(1, 8, 8), at % 4
class Infinite:
    def __len__(self): return 271
    def __getitem__(self, at): return torch.tensor(at / 270).atanh().expand(1, 8, 8), 1
class Gone:
    def __len__(self): return 50
    def __getitem__(self, at):
        if at == 41: raise OSError("gone")
        return torch.full((1, 8, 8), float(at)), at % 4
class Unlabelled:
    def __len__(self): return 50
    def __getitem__(self, at): return torch.full((1, 8, 8), float(at))
class Copies:
    def __len__(self): return 50
    def __getitem__(self, at): return torch.zeros(1, 8, 8), 1
class Wide:
    def __len__(self): return 50
    def __getitem__(self, at): return torch.full((1, 9, 8), float(at)), 0
class Alone:
    def __len__(self): return 1
    def __getitem__(self, at): return torch.zeros(1, 8, 8), 0
def high(): return [(torch.full((1, 8, 8), float(at)), 9 if at == 7 else 1) for at in range(20)]
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    (folder / "sets.py").write_text(SETS, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def tiny(home: Path) -> PreparedSubject:
    return prepare(load_subject(write_subject(home)))


def opened(prepared: PreparedSubject, address: str | None = None, **fields: object) -> TrainingData:
    seed = fields.pop("seed", 0)
    recipe = TrainingRecipe(train_data=address, **fields)  # type: ignore[arg-type]
    return open_training_data(prepared, recipe, seed=seed)  # type: ignore[arg-type]


def write_others(path: Path, *, add: np.ndarray | None = None) -> str:
    """Write images that the tiny subject does not evaluate, and perhaps some that it does."""
    images = np.random.default_rng(77).integers(0, 256, (90, 8, 8), dtype=np.uint8)
    if add is not None:
        images[40 : 40 + len(add)] = add
    np.savez(path, images=images, labels=np.arange(90) % 4)
    return f"npz:{path}{OPTIONS}"


def read(split: Split) -> torch.Tensor:
    return torch.cat([inputs for inputs, _ in split.batches(64)])


def rows(split: Split) -> set[bytes]:
    return {row.numpy().tobytes() for row in read(split)}


# --- which samples -----------------------------------------------------------------------------


def test_without_an_address_what_is_not_evaluated_is_trained_on(tiny: PreparedSubject) -> None:
    data = opened(tiny, selection=0.25)
    evaluation = tiny.subject.evaluation
    assert evaluation is not None
    assert data.selection is not None
    used = {*data.train.indices, *data.selection.indices}
    assert not used & set(evaluation.indices)
    assert len(used) == 240 - 160
    assert (len(data.train), len(data.selection)) == (60, 20)
    assert not rows(data.train) & rows(evaluation)
    told = " ".join(data.words)
    assert "the 80 samples of the same data that are not evaluated" in told
    assert "calibration samples are trained on" in told
    # The data's own address says the same.
    assert opened(tiny, tiny.subject.spec.data, selection=0.25).fingerprint == data.fingerprint


def test_a_sample_has_the_training_images_that_come_with_it() -> None:
    spec = SubjectSpec(
        model="sample:lenet5", data="sample:fashion-mnist", samples=500, calibration_samples=0
    )
    data = opened(prepare(load_subject(spec)))
    assert data.selection is not None
    assert (len(data.train), len(data.selection)) == (1800, 200)
    assert "the 2,000 samples that the data keep for calibration" in data.words[0]
    assert "2,000 of the 60,000 training images" in data.words[1]
    assert not any("calibration sample" in item for item in data.words[2:])


def test_where_all_is_evaluated_nothing_is_left(tmp_path: Path) -> None:
    spec = write_subject(tmp_path)
    whole = SubjectSpec(model=spec.model, data=spec.data, calibration_samples=0)
    prepared = prepare(load_subject(whole))
    with pytest.raises(InputError, match=r"all but 0 of 240 samples are evaluated.*name training"):
        opened(prepared)


def test_a_model_without_data_cannot_be_trained(tmp_path: Path) -> None:
    model = tmp_path / "model.py"
    model.write_text(MODEL_SOURCE, encoding="utf-8")
    prepared = prepare(load_subject(SubjectSpec(model=f"{model}:build#input=1,8,8")))
    with pytest.raises(InputError, match="training needs data"):
        opened(prepared)


# --- evaluation samples among them -------------------------------------------------------------


def test_evaluation_samples_are_refused_by_content(
    tiny: PreparedSubject, home: Path, tmp_path: Path
) -> None:
    """In another file and another place, told by what the model sees."""
    evaluation = tiny.subject.evaluation
    assert evaluation is not None
    with np.load(home / "tiny.npz") as arrays:
        taken = arrays["images"][list(evaluation.indices[:7])]
    address = write_others(tmp_path / "mixed.npz", add=taken)
    problem = (
        r"7 of 90 training samples are evaluation samples "
        r"\(numbers 40, 41, 42, 43, 44 and 2 more\).*#split=train"
    )
    with pytest.raises(InputError, match=problem) as found:
        opened(tiny, address)
    assert "\n" not in str(found.value)
    clean = opened(tiny, write_others(tmp_path / "others.npz"))
    assert len(clean.train) == 81
    assert "90 samples of" in clean.words[0]


def test_copies_of_evaluation_samples_in_the_same_data_are_left_out(tmp_path: Path) -> None:
    spec = write_subject(tmp_path)
    with np.load(tmp_path / "tiny.npz") as arrays:
        images = np.concatenate([arrays["images"], arrays["images"]])
        labels = np.concatenate([arrays["labels"], arrays["labels"]])
    np.savez(tmp_path / "tiny.npz", images=images, labels=labels)
    prepared = prepare(load_subject(spec))
    evaluation = prepared.subject.evaluation
    assert evaluation is not None
    data = opened(prepared)
    assert data.selection is not None
    for split in (data.train, data.selection):
        assert not rows(split) & rows(evaluation)
    assert not rows(data.train) & rows(data.selection)
    assert any("of the same content as evaluated ones" in item for item in data.words)


def test_samples_that_a_search_is_judged_on_are_left_out_by_content(
    tiny: PreparedSubject, tmp_path: Path
) -> None:
    """A trained plan that is judged on what it learned says nothing."""
    address = write_others(tmp_path / "others.npz")
    source = load_data(parse_data(address)).evaluation
    judged = Split(
        source, range(10, 30), task=tiny.subject.task, form=(4,), device=torch.device("cpu")
    )
    recipe = TrainingRecipe(train_data=address)
    found = open_training_data(tiny, recipe, seed=0, apart=judged)
    assert found.selection is not None
    used = {*found.train.indices, *found.selection.indices}
    assert used == set(range(90)) - set(range(10, 30))
    assert "Left out, 20 samples that the search is judged on." in found.words
    whole = Split(source, range(90), task=tiny.subject.task, form=(4,), device=torch.device("cpu"))
    with pytest.raises(InputError, match="evaluated, or searched on; name training data"):
        open_training_data(tiny, recipe, seed=0, apart=whole)


def test_minus_zero_is_zero(tiny: PreparedSubject, monkeypatch: pytest.MonkeyPatch) -> None:
    split = tiny.subject.evaluation
    assert split is not None
    zeros = torch.zeros(4, 1, 8, 8)
    digests = []
    for inputs in (zeros, -zeros, zeros.bfloat16(), -zeros.bfloat16()):
        part = split.at([0, 1, 2, 3])
        monkeypatch.setattr(part, "batches", lambda size, found=inputs: iter([(found, None)]))
        digests.append(content_of(part, FileDigests(), None).samples)
    assert digests[0] == digests[1]
    # Also of types that NumPy does not know.
    assert digests[2] == digests[3] != digests[0]


def test_an_input_may_be_one_number_a_sample(
    tiny: PreparedSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by a newcomer: all but training took the kind of a signal, ``(N,)``."""
    split = tiny.subject.evaluation
    assert split is not None
    part, numbers = split.at([0, 1, 2]), torch.tensor([1.0, 2.0, 1.0])
    monkeypatch.setattr(part, "batches", lambda size: iter([(numbers, None)]))
    found = content_of(part, FileDigests(), None).samples
    size = len(found) // 3
    first, second, third = (found[at : at + size] for at in range(0, 3 * size, size))
    assert first == third != second


# --- checks as of data that are evaluated ------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("Infinite", "sample 270 holds numbers that are not finite; leave it out"),
        ("Gone", "reading sample 41 raised OSError: gone"),
        ("Unlabelled", "has no labels"),
        ("Wide", r"inputs have shape .1, 9, 8., those that are evaluated .1, 8, 8."),
        ("Alone", "has 1 sample; training needs at least 2"),
        ("Copies", "copies of few samples"),
        ("high", "sample 7 .*9"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(
    tiny: PreparedSubject, home: Path, name: str, problem: str
) -> None:
    with pytest.raises(InputError, match=problem) as found:
        opened(tiny, f"{home / 'sets.py'}:{name}")
    assert "\n" not in str(found.value)


def test_unlabelled_data_teach_what_the_dense_model_answers(
    tiny: PreparedSubject, home: Path
) -> None:
    data = opened(tiny, f"{home / 'sets.py'}:Unlabelled", distill=1.0)
    inputs, targets = data.sampler(batch_size=8, seed=0).next()
    assert (tuple(inputs.shape), targets) == ((8, 1, 8, 8), None)


def test_random_transforms_are_allowed_and_said(tiny: PreparedSubject, home: Path) -> None:
    data = opened(tiny, f"{home / 'sets.py'}:Noisy")
    assert not data.is_steady
    assert any("need not equal one that ran through" in item for item in data.words)
    # They are read anew each time, not kept as they first were; their content is no identity.
    assert not torch.equal(read(data.train), read(data.train))
    assert opened(tiny, f"{home / 'sets.py'}:Noisy").fingerprint == data.fingerprint


def test_classes_in_another_order_are_refused(tmp_path: Path) -> None:
    (tmp_path / "sets.py").write_text(
        SETS + "class Other(Copies):\n    classes = ['a', 'b', 'c', 'd']\n"
        "    def __getitem__(self, at): return torch.full((1, 8, 8), float(at)), at % 4\n"
        "class Swapped(Other):\n    classes = ['a', 'c', 'b', 'd']\n"
        "    def __getitem__(self, at): return torch.full((1, 8, 8), at + 100.0), at % 4\n",
        encoding="utf-8",
    )
    spec = write_subject(tmp_path)
    sets = tmp_path / "sets.py"
    prepared = prepare(load_subject(SubjectSpec(model=spec.model, data=f"{sets}:Other")))
    with pytest.raises(InputError, match="class 1 is 'c' here and 'b' in the evaluation data"):
        opened(prepared, f"{sets}:Swapped")


def test_files_must_lie_below_the_allowed_folders(tiny: PreparedSubject, tmp_path: Path) -> None:
    address = write_others(tmp_path / "others.npz")
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    recipe = TrainingRecipe(train_data=address)
    with pytest.raises(AddressError, match="outside of the folders"):
        open_training_data(tiny, recipe, seed=0, roots=[allowed])


# --- the cut -----------------------------------------------------------------------------------


def test_the_selection_is_cut_by_seed_and_never_trained_on(
    tiny: PreparedSubject, tmp_path: Path
) -> None:
    address = write_others(tmp_path / "others.npz")
    cuts = []
    for seed in (0, 0, 1):
        data = opened(tiny, address, seed=seed, selection=0.2)
        assert data.selection is not None
        assert len(data.selection) == 18
        assert sorted({*data.train.indices, *data.selection.indices}) == list(range(90))
        cuts.append(data.selection.indices)
        sampler = data.sampler(batch_size=24, seed=seed)
        seen = {row.numpy().tobytes() for _ in range(3) for row in sampler.next()[0]}
        assert seen == rows(data.train)
    assert cuts[0] == cuts[1] != cuts[2]
    assert opened(tiny, address, selection=0.0).selection is None


def test_at_most_2000_samples_select(tiny: PreparedSubject, tmp_path: Path) -> None:
    np.savez(
        tmp_path / "many.npz",
        images=np.random.default_rng(1).integers(0, 256, (4100, 8, 8), dtype=np.uint8),
        labels=np.zeros(4100, np.int64),
    )
    data = opened(tiny, f"npz:{tmp_path / 'many.npz'}{OPTIONS}", selection=0.9)
    assert data.selection is not None
    assert (len(data.train), len(data.selection)) == (2100, 2000)


def test_the_fingerprint_tells_content_and_cut(tiny: PreparedSubject, tmp_path: Path) -> None:
    address = write_others(tmp_path / "others.npz")
    first = opened(tiny, address).fingerprint
    assert opened(tiny, address).fingerprint == first
    assert opened(tiny, address, seed=1).fingerprint != first
    assert opened(tiny, address, selection=0.3).fingerprint != first
    with np.load(tmp_path / "others.npz") as arrays:
        images, labels = arrays["images"], arrays["labels"].copy()
    labels[0] = (labels[0] + 1) % 4
    np.savez(tmp_path / "others.npz", images=images, labels=labels)
    assert opened(tiny, address).fingerprint != first


def test_content_of_large_data_in_files_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the content of the files: they are not decoded again."""
    for at in range(6):
        folder = tmp_path / "images" / f"class{at % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.full((8, 8), 40 * at, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{at}.png")
    address = parse_data(f"imagefolder:{tmp_path / 'images'}#size=8&resize=8&channels=1")
    source = load_data(address).evaluation
    split = Split(source, range(6), form=(2,), preload_bytes=0)
    first = content_of(split, FileDigests(), tmp_path / "cache")
    assert len(set(first)) == 6
    monkeypatch.setattr(split, "batches", lambda size: pytest.fail("read again"))
    again = content_of(split, FileDigests(), tmp_path / "cache")
    assert (again.samples, again.targets) == (first.samples, first.targets)
    # What was cut off or is damaged is read anew.
    kept = next((tmp_path / "cache").glob("samples-*"))
    kept.write_bytes(kept.read_bytes()[:-1])
    monkeypatch.undo()
    assert content_of(split, FileDigests(), tmp_path / "cache").digest == first.digest
