from . import criteria, evaluate, export, inspect, plan, recover, runs, serve, sweep

__all__ = [
    "criteria",
    "evaluate",
    "export",
    "inspect",
    "plan",
    "recover",
    "runs",
    "serve",
    "sweep",
]
