"""What Streamlit leaves to be mended on touch screens and narrow windows."""

from __future__ import annotations

import streamlit as st

# Touch screens have no pointer to hover with: there the tool bar of a chart always covers its
# legend. Choices that are wider than the screen go on in a second row instead of out of it.
STYLE = """
<style>
@media (hover: none) {
  .js-plotly-plot .modebar-container { display: none; }
}
@media (max-width: 640px) {
  [data-testid="stButtonGroup"] [role="radiogroup"] { flex-wrap: wrap; row-gap: 4px; }
  [data-testid="stButtonGroup"] [role="radiogroup"] button { border-radius: 6px; }
}
</style>
"""


def apply() -> None:
    """Add the style sheet; it takes no place on the page."""
    st.html(STYLE)
