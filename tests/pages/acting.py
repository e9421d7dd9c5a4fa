"""What tests do on the Plan page, and what they read of it."""

from __future__ import annotations

import re

from streamlit.testing.v1 import AppTest

from analysis.plans.history import History
from tests.pages.reading import assert_no_bug, text_of

# Around a number on a page.
SPACES = "%\N{NO-BREAK SPACE}\N{THIN SPACE} "


def present(test: AppTest) -> History:
    history = test.session_state["plan_history"]
    assert isinstance(history, History)
    return history


def metric(test: AppTest, label: str) -> str:
    return next(str(item.value) for item in test.metric if item.label == label)


def fill_uniform(test: AppTest, percent: float) -> None:
    test.selectbox(key="plan_strategy").select("uniform").run()
    test.selectbox(key="plan_target_uniform").select("ratio").run()
    test.number_input(key="plan_amount_ratio").set_value(percent).run()
    test.button(key="plan_fill").click().run()
    assert_no_bug(test)


def before_repair(test: AppTest) -> float:
    found = re.search(r"Before the repair: \*\*([\d.]+)", text_of(test))
    assert found is not None
    return float(found[1])
