"""What a page says when something fails."""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
from streamlit.testing.v1 import AppTest

from analysis import versions
from analysis.plans import start_plan
from analysis.records import INTERRUPTED
from analysis.recovery.training import FINETUNE, TrainingRecipe
from analysis.retraining.jobs import Jobs, seed_folder
from analysis.retraining.records import Job, Order
from analysis.store.store import Store
from tests.helpers.contexts import sample_context
from tests.helpers.plans import at_ratio
from tests.pages.reading import SUBJECT, Open, assert_no_bug, shown, text_of


def page_that_raises(kind: str) -> None:
    import torch

    from pages.components.widgets.states import guarded
    from pruners.errors import StoreFullError

    with guarded("The subject cannot be loaded"):
        if kind == "memory":
            torch.empty(2**50)
        if kind == "disk":
            raise StoreFullError("the disk of the workspace is full")
        if kind == "users":
            exec(compile("{}['x']", "own.py", "exec"), {"__name__": "own"})
        raise KeyError("a layer that is called memory")


@pytest.mark.parametrize(
    ("kind", "title", "caption"),
    [
        ("memory", "The subject cannot be loaded", "A smaller batch size"),
        ("disk", "The subject cannot be loaded", "Check that the workspace folder exists"),
        ("users", "The subject cannot be loaded", ""),
        ("bug", "This is a bug of PruneScope", ""),
    ],
)
def test_an_error_is_told_by_its_kind_not_by_its_words(kind: str, title: str, caption: str) -> None:
    test = AppTest.from_function(page_that_raises, args=(kind,)).run()
    assert not test.exception
    assert [item.proto.title for item in test.error] == [title]
    assert [item.value[: len(caption)] for item in test.caption] == [caption] * bool(caption)


def test_what_fails_after_an_update_is_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server mixes what it loaded with what is there now, and said that it was a bug."""
    monkeypatch.setattr(versions, "BEGAN", Path(versions.__file__).stat().st_mtime - 1)
    test = AppTest.from_function(page_that_raises, args=("bug",)).run()
    assert not test.exception
    (told,) = test.error
    assert told.proto.title == "PruneScope was changed while this server ran"
    assert told.value.startswith("Stop the server and start it again. KeyError")


def test_files_that_are_gone_are_a_change(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert not versions.is_changed()
    module = ModuleType("pages.gone")
    module.__file__ = str(tmp_path / "gone.py")
    monkeypatch.setitem(sys.modules, "pages.gone", module)
    assert versions.is_changed()


@pytest.mark.parametrize("is_kept", [False, True])
def test_an_interrupted_training_says_whether_there_is_a_checkpoint(
    is_kept: bool, open_page: Open, workspace: Path
) -> None:
    """One that was killed while its subject was loaded kept none, and said that it did."""
    plan = start_plan(sample_context("lenet5"), criterion="l1", granularity="channel")
    plan = dataclasses.replace(at_ratio(plan, ["conv1"], 0.5), subject=SUBJECT)
    order = Order(subject=SUBJECT, plan=plan, recipe=TrainingRecipe(method=FINETUNE))
    now = time.time()
    Jobs(workspace).save(Job(order=order, state=INTERRUPTED, started=now, changed=now))
    folder = seed_folder(workspace, order.job_id, 0)
    if is_kept:
        folder.mkdir(parents=True)
        (folder / "checkpoint.safetensors").touch()
    name = Store(workspace).plans.save(plan)
    test = open_page("11_Recover", subject=SUBJECT, plan=name, training=order.job_id)
    assert_no_bug(test)
    said = shown(text_of(test))
    assert "its process stopped answering" in said
    assert ("the checkpoint is kept" in said) is is_kept
