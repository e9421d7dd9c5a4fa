"""Runs and plans of branches and layers on the pages: one point a curve, kept or gone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from streamlit.testing.v1 import AppTest

from analysis import plans
from analysis.edits.prepared import prepare
from analysis.evaluation.session import LoadedSubject
from analysis.records import SweepSpec
from analysis.store.store import Store
from analysis.subjects.subject import load_subject
from pages.components.state.subject_cache import subjects
from tests.pages.conftest import OWNER, measure
from tests.pages.reading import ROOT, SUBJECT

PAGES = ("1_Setup", "2_Sweep", "3_Curves", "4_Compare", "5_Plan", "6_Evaluate", "7_Export")


def test_every_page_shows_a_run_of_layers(workspace: Path) -> None:
    """No page fails, and Plan says what is left without a layer."""
    spec = dataclasses.replace(SUBJECT, model="sample:resnet20")
    prepared = prepare(load_subject(spec))
    subjects().put(spec, LoadedSubject(prepared))
    sweep = SweepSpec(
        subject=spec, criteria=("l1", "block_influence"), granularity="layer", ratios=(0.5,)
    )
    store = Store(workspace)
    run_id = measure(store, prepared, sweep, samples=120)
    store.jobs.finish(run_id, "done", owner=OWNER, seconds=1.0)
    start = plans.start_plan(prepared, criterion="l1", granularity="layer", run=run_id)
    plan_id = store.plans.save(plans.set_ratio(start, "layer:layer3.1", 1.0))
    store.close()
    texts = {}
    for page in PAGES:
        test = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        test.query_params["run"], test.query_params["plan"] = run_id, plan_id
        test.session_state["subject_spec"] = spec.to_dict()
        test.switch_page(f"pages/{page}.py")
        test.run()
        assert not test.exception, (page, [item.value for item in test.exception])
        assert not test.error, (page, [item.value for item in test.error])
        texts[page] = " ".join(item.value for item in (*test.markdown, *test.caption, *test.info))
    assert "7 layers can go as a whole" in texts["1_Setup"]
    assert "Kept or gone as a whole: `layer1.0`" in texts["3_Curves"]
    left = prepared.cost.predict({"layer:layer3.1": 0})
    for page in ("5_Plan", "6_Evaluate", "7_Export"):
        assert f"**{left.params / 1000:.0f}\u00a0k** of" in texts[page]
