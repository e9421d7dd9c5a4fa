from .leader import check_devices, leading, order_of
from .machines import Meeting, join, opened_meeting
from .team import Team

__all__ = [
    "Meeting",
    "Team",
    "check_devices",
    "join",
    "leading",
    "opened_meeting",
    "order_of",
]
