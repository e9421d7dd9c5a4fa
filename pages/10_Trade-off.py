"""Trade-off: accuracy against size over all measured plans of the subject."""

from __future__ import annotations

from pages.components import trade_off
from pages.components.frame import frame
from pages.components.widgets import guarded

session = frame("Trade-off")
with guarded("The trade-off cannot be shown"):
    trade_off.draw(session)
