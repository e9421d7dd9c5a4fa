from . import answer, gate, goal, repair, sidebar, view

__all__ = [
    "answer",
    "gate",
    "goal",
    "repair",
    "sidebar",
    "view",
]
