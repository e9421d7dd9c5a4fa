"""Files that somebody hands to the pages, in error or on purpose: told in words, never a bug."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from analysis.edits import PreparedSubject
from analysis.plans import start_plan, to_json
from pruners.errors import StoreError
from tests.analysis.cli.test_attacks import QUITTERS
from tests.pages.reading import SUBJECT, Open, assert_no_bug, shown, text_of
from tests.pages.test_flow import present

Change = Callable[[dict[str, Any]], object]


def upload(test: AppTest, content: bytes) -> str:
    """Hand a plan file to the Plan page; return the title and text of what it refuses."""
    test.file_uploader(key="plan_file").upload("plan.json", content, "application/json").run()
    test.button(key="plan_use").click().run()
    assert_no_bug(test)
    (error,) = test.error
    assert "\n" not in error.value
    return shown(error.proto.title + ": " + error.value)


def test_plans_of_any_content_are_one_line_on_the_page(
    open_page: Open, prepared: PreparedSubject
) -> None:
    """Nested deep, or of wrong types, they were "a bug of PruneScope"."""
    plan = json.loads(to_json(start_plan(prepared, criterion="l1")))
    test = open_page("5_Plan", subject=SUBJECT)
    before = present(test).plan
    for content, says in (
        ("[" * 100_000, "plan.json: Plan is not JSON"),
        (plan | {"entries": "conv1"}, 'Plan.entries: expected array, found "conv1"'),
        (plan | {"fingerprint": 5}, "Plan.fingerprint: expected str, found 5"),
        (plan | {"subject": ["lenet5"]}, "Plan.subject: expected object, found array"),
    ):
        text = content if isinstance(content, str) else json.dumps(content)
        assert says in upload(test, text.encode("utf-8")), says
        assert present(test).plan == before


def test_code_that_ends_the_program_ends_no_page(open_page: Open, tmp_path: Path) -> None:
    """The page never answered."""
    path = tmp_path / "q.py"
    path.write_text(QUITTERS, encoding="utf-8")
    for model, data, says in (
        ("quits", SUBJECT.data, "sys.exit(0)"),
        ("Forward", SUBJECT.data, "sys.exit('enough')"),
        ("net", f"{path}:Data", "sys.exit(3)"),
        ("skips", SUBJECT.data, "raised Skipped: no GPU"),
        ("net", f"{path}:Closed", "raised GeneratorExit: no more"),
    ):
        spec = dataclasses.replace(SUBJECT, model=f"{path}:{model}", data=data, criterion_files=())
        test = open_page("1_Setup", subject=spec)
        assert_no_bug(test)
        assert says in shown(text_of(test)), says


def test_code_that_ends_the_program_amid_a_page_is_one_line(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streamlit ends a page by exceptions of this kind, which go on to do so."""

    def ends(*_: object) -> None:
        raise GeneratorExit("no more")

    monkeypatch.setattr("pages.components.plan.live.stream", ends)
    test = open_page("5_Plan", subject=SUBJECT)
    assert_no_bug(test)
    (error,) = test.error
    assert shown(error.value) == "The code raised GeneratorExit: no more"


@pytest.mark.parametrize("where", ["state.session.open_session", "plan.sidebar.totals"])
@pytest.mark.parametrize("page", ["Home", "5_Plan"])
def test_a_workspace_that_cannot_be_read_is_one_line(
    page: str, where: str, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a full disk, not even its own files can be read: pages were tracebacks."""

    def full(*_: object) -> None:
        raise StoreError("the workspace database failed: disk I/O error")

    monkeypatch.setattr(f"pages.components.{where}", full)
    test = open_page(page)
    assert_no_bug(test)
    (error,) = test.error
    assert error.proto.title == "The workspace cannot be read"
    assert shown(error.value) == "The workspace database failed: disk I/O error"
    assert "has space" in text_of(test)
