"""The product's mark, drawn for the present theme."""

from __future__ import annotations

import streamlit as st

from pages.components.widgets import theme

COLORS = {"light": ("#3F37A8", "#1F2333", "#B9BED2"), "dark": ("#8F99FF", "#EEF0F5", "#4A5266")}
# Bars are layers, the pale parts what was pruned; the lens looks at one of them.
MARK = """
<rect x="2" y="5" width="26" height="5" rx="2.5" fill="{pale}"/>
<rect x="2" y="5" width="11" height="5" rx="2.5" fill="{main}"/>
<rect x="2" y="14" width="26" height="5" rx="2.5" fill="{pale}"/>
<rect x="2" y="14" width="19" height="5" rx="2.5" fill="{main}"/>
<rect x="2" y="23" width="26" height="5" rx="2.5" fill="{pale}"/>
<rect x="2" y="23" width="6" height="5" rx="2.5" fill="{main}"/>
<circle cx="24" cy="17" r="7.2" fill="none" stroke="{text}" stroke-width="2.2"/>
<path d="M29.2 22.4 L34 27.6" stroke="{text}" stroke-width="2.8" stroke-linecap="round"/>
"""


def icon() -> str:
    """Return the mark alone as an SVG, for the browser's tab; readable on light and dark."""
    main, _, pale = COLORS["light"]
    mark = MARK.format(main=main, text=main, pale=pale)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 -1 36 35">{mark}</svg>'


def draw() -> None:
    """Put the mark and the name above the navigation."""
    main, ink, pale = COLORS[theme()]
    mark = MARK.format(main=main, text=ink, pale=pale)
    name = (
        f'<text x="44" y="23.5" font-family="Source Sans, Source Sans Pro, Segoe UI, sans-serif" '
        f'font-size="20" font-weight="650" fill="{ink}">PruneScope</text>'
    )
    wide = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 182 33">{mark}{name}</svg>'
    small = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 36 33">{mark}</svg>'
    st.logo(wide, size="large", icon_image=small)
