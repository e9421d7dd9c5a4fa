"""Orchestration without a user interface: subjects, sweeps, plans, export, command line."""

import os

# Threads of the math libraries that spin while they wait starve each other as soon as two processes
# share the cores, as dashboard and worker do. It must be said before torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Each room is imported by its name.
__all__: list[str] = []
