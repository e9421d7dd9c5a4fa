"""What Streamlit leaves to be mended in the browser: touch, narrow windows, keys in tables."""

from __future__ import annotations

import streamlit as st

# Touch screens have no pointer to hover with: there a tool bar is always on, over the legend of
# its chart or the line above its table. Choices that are wider than the screen go on in a second
# row instead of out of it.
STYLE = """
<style>
@media (hover: none) {
  .js-plotly-plot .modebar-container, [data-testid="stElementToolbar"] { display: none; }
}
@media (max-width: 640px) {
  [data-testid="stButtonGroup"] [role="radiogroup"] { flex-wrap: wrap; row-gap: 4px; }
  [data-testid="stButtonGroup"] [role="radiogroup"] button { border-radius: 6px; }
}
</style>
"""
# A table keeps all keys to itself, those of the buttons beside it too.
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
}
</script>
"""


def style() -> None:
    """Add the style sheet; it takes no place on the page."""
    st.html(STYLE)


def keys() -> None:
    """Let the keys of the plan's buttons work in tables, too; takes the place of an empty line."""
    st.html(KEYS, unsafe_allow_javascript=True)
