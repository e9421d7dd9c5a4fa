"""``prunescope inspect``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.helpers.command_line import Run


def test_inspect_json_has_the_contract(run: Run) -> None:
    code, out, _ = run("inspect", "--model", "sample:lenet5", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["params"] == 61_706
    assert found["schema_version"] == 1
    layer = {"name", "type", "params", "macs", "output_shape", "group", "prunable", "reason"}
    assert set(found["layers"][0]) >= layer
    assert set(found["groups"][0]) >= {"id", "members", "channels", "prunable", "reason"}
    assert set(found["groups"][0]["members"][0]) == {"name", "dim", "role"}


def test_inspect_for_people(run: Run, subject: list[str]) -> None:
    code, out, err = run("inspect", *subject[:4])
    assert code == 0
    assert "no: is the network's output" in out
    assert "evaluated" not in err


def test_inspect_tells_heads_and_groups_that_a_norm_mixes(run: Run) -> None:
    code, out, _ = run("inspect", "--model", "sample:vit_tiny")
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert any("4 heads" in line and line.endswith(" yes") for line in lines)
    mixed = [line for line in lines if "evaluated by physical removal: its channels are" in line]
    assert len(mixed) == 1
    assert mixed[0].startswith("patch_embed ")
    assert "layer_norm" in mixed[0]


def test_inspect_speaks_of_no_evaluation(run: Run, tmp_path: Path) -> None:
    """It said that calibration samples are not among those evaluated, but it evaluates nothing."""
    np.savez(
        tmp_path / "data.npz", images=np.zeros((60, 28, 28), np.uint8), labels=np.arange(60) % 10
    )
    code, out, err = run(
        "inspect", "--model", "sample:lenet5", "--data", f"npz:{tmp_path}/data.npz"
    )
    assert code == 0
    assert "evaluated" not in out + err
