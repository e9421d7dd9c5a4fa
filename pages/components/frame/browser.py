"""What Streamlit leaves to be mended in the browser: touch, narrow windows, keys, the theme."""

from __future__ import annotations

import streamlit as st

# Touch screens have no pointer to hover with: there a tool bar is always on, over the legend of
# its chart or the line above its table. Choices that are wider than the screen go on in a second
# row instead of out of it. Cards say all of what they say: label and interval go on in a second
# line instead of ending in dots.
STYLE = """
<style>
[data-testid="stMetricLabel"] p, [data-testid="stMetricDeltaDescription"] p,
[data-testid="stMetricLabel"] .stMarkdownEllipsis { white-space: normal; }
[data-testid="stMetricDeltaDescription"] { flex: none; max-width: 100%; }
div:has(> [data-testid="stMetricDelta"]) { flex-wrap: wrap; row-gap: 2px; }
@media (hover: none) {
  .js-plotly-plot .modebar-container, [data-testid="stElementToolbar"] { display: none; }
}
@media (max-width: 640px) {
  [data-testid="stButtonGroup"] [role="radiogroup"] { flex-wrap: wrap; row-gap: 4px; }
  [data-testid="stButtonGroup"] [role="radiogroup"] button { border-radius: 6px; }
}
</style>
"""
# A table keeps all keys to itself, those of the buttons beside it too. Charts are drawn for the
# theme of the last run: when the system's changes, Streamlit's own key runs the page again, a
# moment after Streamlit has heard of it.
KEYS = """
<script>
if (!window.prunescopeKeys) {
  window.prunescopeKeys = true;
  window.addEventListener("keydown", (event) => {
    const inTable = event.target.closest && event.target.closest('[data-testid="stDataFrame"]');
    if (!inTable || !event.altKey || event.code !== "KeyZ") return;
    const name = event.shiftKey ? "sidebar_redo" : "sidebar_undo";
    const button = document.querySelector(`.st-key-${name} button:enabled`);
    if (!button) return;
    event.preventDefault();
    event.stopPropagation();
    button.click();
  }, true);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    const key = { key: "r", code: "KeyR", keyCode: 82, which: 82, bubbles: true };
    setTimeout(() => document.body.dispatchEvent(new KeyboardEvent("keydown", key)), 300);
  });
}
</script>
"""


def style() -> None:
    """Add the style sheet; it takes no place on the page."""
    st.html(STYLE)


def keys() -> None:
    """Listen to keys in tables, and to the system's theme; takes the place of an empty line."""
    st.html(KEYS, unsafe_allow_javascript=True)
