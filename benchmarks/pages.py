"""Server-side rerun time of the pages with 120 layers, 3 criteria and 9 ratios.

    python benchmarks/pages.py

A workspace is filled with a finished run of a chain of 120 layers; each page is then run again and
again as a click would, without a browser. Prints a table and one JSON line.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

LAYERS, RERUNS = 120, 5
MEASURED = ("Curves", "Compare", "Plan", "Runs", "Sweep")
ROOT = Path(__file__).resolve().parent.parent


def chain() -> nn.Module:
    """Return a network with 120 prunable layers that is quick to run."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Flatten(), nn.Linear(64, 32), nn.ReLU()]
    for _ in range(LAYERS - 1):
        layers += [nn.Linear(32, 32), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(32, 10)).eval()


def prepare(folder: Path) -> str:
    """Write data and factory, run the sweep and return the run's id."""
    import numpy as np

    from analysis.records.subject import SubjectSpec
    from analysis.records.sweep import SweepSpec
    from analysis.store.store import Store
    from analysis.worker.run import run_to_end

    numbers = np.random.default_rng(0)
    np.savez(
        folder / "data.npz",
        images=numbers.normal(size=(200, 1, 8, 8)).astype("float32"),
        labels=numbers.integers(0, 10, 200),
    )
    (folder / "model.py").write_text("from benchmarks.pages import chain as build\n")
    subject = SubjectSpec(
        model=f"{folder}/model.py:build", data=f"npz:{folder}/data.npz", samples=100, batch_size=100
    )
    store = Store(folder / "workspace")
    run_id = store.runs.create(SweepSpec(subject=subject))
    row = run_to_end(store, run_id)
    assert row.state == "done", row.error
    assert row.points == LAYERS * 3 * 9, row.points
    return run_id


def main() -> None:
    # This file's own folder would hide the package of the same name.
    sys.path[0] = str(ROOT)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["PRUNESCOPE_WORKSPACE"] = str(folder / "workspace")
        os.environ["PRUNESCOPE_ROOTS"] = json.dumps([str(folder), str(ROOT)])
        os.chdir(ROOT)
        run_id = prepare(folder)
        from streamlit.testing.v1 import AppTest

        from pages.components.widgets import PAGES

        found = {}
        for page in MEASURED:
            test = AppTest.from_file(str(ROOT / "app.py"), default_timeout=600)
            test.query_params["run"] = run_id
            test.switch_page(PAGES[page].file).run()
            assert not test.exception, (page, test.exception)
            assert not test.error, (page, test.error)
            seconds = []
            for _ in range(RERUNS):
                start = time.perf_counter()
                test.run()
                seconds.append(time.perf_counter() - start)
            found[page] = statistics.median(seconds)
    print(f"{LAYERS} layers x 3 criteria x 9 ratios, median of {RERUNS} reruns")
    for page, median in found.items():
        print(f"{page:10} {median * 1000:8.0f} ms")
    print(json.dumps({"benchmark": "pages", "layers": LAYERS, "seconds": found}))


if __name__ == "__main__":
    main()
