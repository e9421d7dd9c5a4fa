from . import criteria, evaluate, export, imports, inspect, plan, recover, runs, serve, sweep

__all__ = [
    "criteria",
    "evaluate",
    "export",
    "imports",
    "inspect",
    "plan",
    "recover",
    "runs",
    "serve",
    "sweep",
]
