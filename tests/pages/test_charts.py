"""Figures are shared by all sessions of a server: drawing one changes nothing about it."""

from __future__ import annotations

import json
from collections.abc import Callable

import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from analysis.figures import palette
from pages.components.widgets import charts
from tests.pages.reading import Open, assert_no_bug


def specs(test: AppTest) -> list[str]:
    return [str(item.proto.spec) for item in test.get("plotly_chart")]


def test_sessions_with_two_themes_draw_the_same_page(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = ["light"]
    monkeypatch.setattr(charts, "theme", lambda: chosen[0])
    built: list[go.Figure] = []
    kept = charts.kept

    def recorded(build: Callable[[], go.Figure], *key: object) -> go.Figure:
        found = kept(build, *key)
        built.append(found)
        before.setdefault(id(found), found.to_json())
        return found

    before: dict[int, str] = {}
    monkeypatch.setattr(charts, "kept", recorded)
    light = open_page("3_Curves", "done")
    assert_no_bug(light)
    first = specs(light)
    chosen[0] = "dark"
    dark = AppTest.from_file(light._script_path, default_timeout=60)
    dark.query_params["run"] = light.query_params["run"]
    dark.switch_page("pages/3_Curves.py").run()
    assert_no_bug(dark)
    chosen[0] = "light"
    light.run()
    assert specs(light) == first
    for theme, session in (("light", light), ("dark", dark)):
        for spec in specs(session):
            layout = json.loads(spec)["layout"]
            assert layout["modebar"]["color"] == palette(theme).muted
            assert layout["font"]["color"] == palette(theme).text
            assert "Source Sans" in layout["font"]["family"]
    assert len(before) == 4
    assert len(built) == 6
    assert all(figure.to_json() == before[id(figure)] for figure in built)
