"""What numbers depend on is told by all of its content, and by nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.edits import prepare
from analysis.evaluation.session import Subjects
from analysis.records import SubjectSpec
from analysis.records.run import Identity
from analysis.store.store import Store
from analysis.subjects.data.hashing import hash_bytes, hash_rows
from analysis.subjects.subject import load_subject
from tests.helpers.command_line import Run

COUNT = 200
# Labels lie beside the inputs, both in text, and a transform prints where it lies in memory.
DATA = """
import json
from pathlib import Path
import torch
from torch.utils.data import Dataset
from recipes import scaled

HERE = Path(__file__).parent

class Listed(Dataset):
    def __init__(self):
        self.rows = json.loads((HERE / "rows.json").read_text())
        self.transform = lambda x: scaled(x)
    def __len__(self):
        return len(self.rows)
    def __getitem__(self, index):
        *values, label = self.rows[index]
        return self.transform(torch.tensor(values)), label

def build():
    return Listed()
"""
MODEL = """
import torch
from torch import nn
from recipes import bent

class Bent(nn.Module):
    # Which branch is taken depends on the values: no graph of it can be captured.
    power = 1.0
    def __init__(self):
        super().__init__()
        self.power = Bent.power
        self.act = lambda x: x.relu()
    def forward(self, x):
        return self.act(bent(x)) ** self.power if bool(x.sum() > -1e9) else x

def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), Bent(), nn.Linear(8, 4))

class Held(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 4)
        self.register_buffer("shift", torch.tensor([SHIFT]), persistent=False)
    def forward(self, x):
        return self.fc(x + self.shift)

SHIFT = 0.0

def held():
    torch.manual_seed(0)
    return nn.Sequential(Held())
"""
RECIPES = """
def scaled(x): return x * factor()
def factor(): return 1.0
def bent(x): return x - shift()
def shift(): return 0.0
"""


def write_rows(folder: Path, wrong: int = COUNT, shifted: int | None = None) -> None:
    """Write labels of which those from ``wrong`` on are wrong, and perhaps one other input."""
    values = np.random.default_rng(0).normal(size=(COUNT, 3)).round(3).tolist()
    if shifted is not None:
        values[shifted][1] += 0.25
    rows = [[*item, (n + (n >= wrong)) % 4] for n, item in enumerate(values)]
    (folder / "rows.json").write_text(str(rows), encoding="utf-8")


@pytest.fixture
def spec(tmp_path: Path) -> SubjectSpec:
    for name, text in (("data.py", DATA), ("model.py", MODEL), ("recipes.py", RECIPES)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    write_rows(tmp_path)
    return SubjectSpec(
        model=f"{tmp_path}/model.py:build", data=f"{tmp_path}/data.py:build", calibration_samples=40
    )


@pytest.mark.parametrize("place", [0, 1, 37, 100, COUNT - 1])
def test_every_label_and_every_input_counts(spec: SubjectSpec, tmp_path: Path, place: int) -> None:
    """Labels beyond 64 samples could be corrected without a word.

    A sample is in the evaluation or in the calibration set: its fingerprint changes.
    """
    before = load_subject(spec)
    assert before.evaluation is not None
    known = (before.data_fingerprint, before.calibration_fingerprint)
    is_evaluated = place in before.evaluation.indices
    for change in ({"shifted": place}, {"wrong": place}):
        write_rows(tmp_path, **change)
        found = load_subject(spec)
        now = (found.data_fingerprint, found.calibration_fingerprint)
        assert now[0] != known[0] or not is_evaluated
        assert now[1] != known[1] or is_evaluated
        write_rows(tmp_path)
        again = load_subject(spec)
        assert (again.data_fingerprint, again.calibration_fingerprint) == known


def test_what_helpers_of_the_data_do_counts(spec: SubjectSpec, tmp_path: Path) -> None:
    """A helper in another file; remarks in it do not count."""
    before = load_subject(spec).data_fingerprint
    recipes = tmp_path / "recipes.py"
    recipes.write_text(f"# A remark.\n{RECIPES}", encoding="utf-8")
    assert load_subject(spec).data_fingerprint == before
    recipes.write_text(RECIPES.replace("return 1.0", "return 2.0"), encoding="utf-8")
    assert load_subject(spec).data_fingerprint != before


@pytest.mark.parametrize(
    ("file", "old", "new", "matters"),
    [
        ("recipes.py", "def shift(): return 0.0", "def shift(): return 0.5", True),
        ("model.py", "power = 1.0", "power = 2.0", True),
        ("model.py", "x.relu()", "x.sigmoid()", True),
        (
            "recipes.py",
            "def shift(): return 0.0",
            "def shift():\n    # Nothing.\n    return 0.0",
            False,
        ),
    ],
)
def test_all_code_of_a_model_without_graph_counts(
    spec: SubjectSpec, tmp_path: Path, file: str, old: str, new: str, matters: bool
) -> None:
    """Only the source of the modules' classes was looked at."""
    before = prepare(load_subject(spec))
    assert before.graph is None
    text = (tmp_path / file).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new), encoding="utf-8")
    now = prepare(load_subject(spec))
    assert (now.program != before.program) == matters
    assert now.subject.fingerprint == before.subject.fingerprint


OPERATOR = """
import torch
from torch import nn

@torch.library.custom_op("prunescope_tests::bend", mutates_args=())
def bend(x: torch.Tensor) -> torch.Tensor:
    from recipes import shift
    return x - shift()

@bend.register_fake
def _(x):
    return torch.empty_like(x)

class Bent(nn.Module):
    def forward(self, x):
        return bend(x)

def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), Bent(), nn.Linear(8, 4))
"""


def test_the_code_of_own_operators_counts(spec: SubjectSpec, tmp_path: Path) -> None:
    """A graph only names them, whatever they, or their helpers, do."""
    (tmp_path / "model.py").write_text(OPERATOR, encoding="utf-8")
    before = prepare(load_subject(spec))
    assert before.graph is not None
    text = RECIPES.replace("def shift(): return 0.0", "def shift(): return 0.5")
    (tmp_path / "recipes.py").write_text(text, encoding="utf-8")
    now = prepare(load_subject(spec))
    assert now.identity.change(before.identity) == "forward pass"


def test_buffers_that_no_state_dict_holds_count(spec: SubjectSpec, tmp_path: Path) -> None:
    """Two such models had equal weights and an equal graph."""
    spec = dataclasses.replace(spec, model=spec.model.replace(":build", ":held"))
    before = prepare(load_subject(spec))
    assert before.graph is not None
    assert prepare(load_subject(spec)).identity == before.identity
    path = tmp_path / "model.py"
    path.write_text(MODEL.replace("SHIFT = 0.0", "SHIFT = 0.5"), encoding="utf-8")
    now = prepare(load_subject(spec))
    assert now.identity.change(before.identity) == "forward pass"


def test_modules_that_print_an_address_are_known_again(spec: SubjectSpec, tmp_path: Path) -> None:
    """A function in a module's own text made other weights of it each time."""
    path = tmp_path / "model.py"
    text = MODEL.replace(
        "power = 1.0", "power = 1.0\n    def extra_repr(self): return str(self.act)"
    )
    path.write_text(text, encoding="utf-8")
    known = prepare(load_subject(spec)).identity
    path.write_text(text + "\n# A remark.\n", encoding="utf-8")
    assert prepare(load_subject(spec)).identity == known


def test_corrected_labels_are_measured_again_and_equal_ones_are_not(
    run: Run, spec: SubjectSpec, tmp_path: Path
) -> None:
    """The workspace kept points of labels that were corrected; transforms that
    print an address were measured again each time.
    """
    sweep = ["sweep", "--model", spec.model, "--data", spec.data, "--criteria", "l1"]
    sweep += ["--ratios", "0.25", "--granularity", "element", "--json"]
    for wrong in (130, 131, 130):
        write_rows(tmp_path, wrong)
        _, out, err = run(*sweep)
        here = out.split('"correct": ')[1].split(",")[0]
        _, out, _ = run(*sweep, "--workspace", tmp_path / f"fresh{os.urandom(4).hex()}")
        assert out.split('"correct": ')[1].split(",")[0] == here
    assert "0 points to measure, 2 known" in err


def test_runs_of_an_older_program_are_refused_with_the_reason(
    run: Run, spec: SubjectSpec, tmp_path: Path
) -> None:
    """Their identity says nothing of most samples; the curves stay."""
    sweep = ["sweep", "--model", spec.model, "--data", spec.data, "--criteria", "l1"]
    assert run(*sweep, "--ratios", "0.25", "--granularity", "element")[0] == 0
    store = Store(tmp_path / "workspace")
    run_id = store.runs.all()[0].run_id
    row = store.runs.get(run_id)
    assert row.data_fingerprint.startswith("all-")
    older = row.data_fingerprint.removeprefix("all-")
    import sqlite3

    with sqlite3.connect(store.workspace / "prunescope.sqlite") as db:
        db.execute("UPDATE runs SET data_fingerprint = ?", (older,))
    code, _, err = run("plan", "--run", run_id, "--out", tmp_path / "plan.json")
    assert code == 2
    assert "is of an older version of PruneScope, which told the data" in err
    assert err.count("\n") == 1
    assert run("runs", "show", run_id)[0] == 0


def test_identities_of_other_kinds_are_not_taken_for_changes_of_code() -> None:
    one = Identity(weights="w", data="all-d", program="2.13:abc")
    assert one.change(dataclasses.replace(one, program="2.13:py3.12-abd")) == ""
    assert one.change(dataclasses.replace(one, program="2.13:abd")) == "forward pass"
    assert one.change(dataclasses.replace(one, data="d")) == "data"
    assert dataclasses.replace(one, data="d").tells_less(one)
    assert not one.tells_less(dataclasses.replace(one, data="d"))


def test_runs_on_arrays_keep_their_identity() -> None:
    """Hashed a few rows at a time, they have the digest that older programs gave them."""
    tensor = torch.randint(0, 255, (300, 2, 3), dtype=torch.uint8)
    chosen = torch.randperm(300)[:200].tolist()
    assert hash_rows(tensor, chosen) == hash_bytes(tensor[chosen])
    plain = b"torch.uint8(200, 2, 3)" + tensor[chosen].numpy().tobytes()
    assert hash_rows(tensor, chosen) == hashlib.sha256(plain).digest()


def test_helpers_and_files_that_no_address_names_are_seen(
    spec: SubjectSpec, tmp_path: Path
) -> None:
    """A helper's code, or the labels in a file beside it, left it as it was, too."""
    held = Subjects()
    last = held.get(spec, [tmp_path], tmp_path / "cache")
    for change in (
        lambda: write_rows(tmp_path, 50),
        lambda: (tmp_path / "recipes.py").write_text(RECIPES.replace("1.0", "3.0")),
    ):
        change()
        assert held.peek(spec) is None
        found = held.get(spec, [tmp_path], tmp_path / "cache")
        assert found.identity.data != last.identity.data
        last = found
