from .leader import check_devices, leading, order_of
from .team import Team

__all__ = [
    "Team",
    "check_devices",
    "leading",
    "order_of",
]
