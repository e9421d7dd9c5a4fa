"""Exports confirmed by the libraries that they are for, in processes of their own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import safetensors.torch
import torch

from analysis import interop
from analysis.interop.masked import full_state, masks
from analysis.interop.registry import FORMATS
from analysis.interop.verification.records import Verification
from analysis.interop.verification.registry import VERIFIERS
from analysis.interop.verification.verifier import Verifier
from pruners.errors import InputError
from tests.analysis.interop.test_export import request
from tests.helpers.contexts import sample_context


def test_the_script_of_an_export_is_confirmed_and_a_changed_weight_is_found(
    tmp_path: Path,
) -> None:
    """Issue 13: outputs at two batch sizes, version and result beside the export."""
    asked = request(tmp_path)
    interop.export("model", asked)
    found = interop.verify(asked, "model")
    assert found == Verification.from_json((tmp_path / "verification.json").read_text())
    assert found.passed
    (target,) = found.targets
    assert target.version.startswith(torch.__version__.split("+")[0])
    assert target.checks[0].compared == (2 + 5) * 10
    assert target.checks[0].difference is not None
    assert target.checks[0].difference < 1e-5
    path = tmp_path / "model.safetensors"
    state = safetensors.torch.load_file(path)
    name = next(key for key in state if key.endswith("weight"))
    state[name][0] += 0.5
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata()
    safetensors.torch.save_file(state, path, metadata=metadata)
    found = interop.verify(asked, "model")
    assert not found.passed
    assert found.targets[0].result == "failed"
    assert "of the largest" in found.targets[0].text


def test_what_is_missing_is_refused_or_raises_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of it in one line, with what installs the library; nothing passes by accident."""
    bodies = {
        "missing": ("torch-of-nobody", "def check(case): yield"),
        "refused": (
            "torch",
            "def check(case):\n raise NotImplementedError('no layer')\n yield",
        ),
        "raised": ("torch", "def check(case):\n raise KeyError('x')\n yield"),
        "empty": ("torch", "def check(case): return iter(())"),
        "killed": ("torch", "import os\ndef check(case): os._exit(3)"),
    }
    asked = request(tmp_path)
    with VERIFIERS.restored(), FORMATS.restored():
        for name, (library, body) in bodies.items():
            script = tmp_path / f"{name}.py"
            script.write_text(body)
            VERIFIERS.register(
                Verifier(
                    name=name,
                    label=name,
                    help="A test.",
                    library=library,
                    packages=("nobody==1",),
                    script=script,
                )
            )
        FORMATS.replace(dataclasses.replace(FORMATS.get("json"), verify=tuple(bodies)))
        found = interop.verify(asked, "json")
    assert not found.passed
    results = {target.verifier: (target.result, target.text) for target in found.targets}
    assert results == {
        "missing": (
            "not installed",
            "torch-of-nobody is not installed: pip install nobody==1",
        ),
        "refused": ("refused", "no layer"),
        "raised": ("failed", "KeyError: 'x'"),
        "empty": ("failed", "nothing was compared"),
        "killed": ("failed", "exit code 3"),
    }
    with pytest.raises(InputError, match="no library reads the format csv"):
        interop.verify(asked, "csv")
    with pytest.raises(InputError, match="no Python can be run at /nowhere/python"):
        interop.verify(asked, "model", python="/nowhere/python")


def test_masks_have_as_many_ones_as_the_smaller_model_has_elements(tmp_path: Path) -> None:
    """And the masked model, from full-size weights, computes what the smaller one does."""
    asked = request(tmp_path)
    found, full, small = masks(asked), full_state(asked), asked.model()
    sizes = {name: item.numel() for name, item in small.named_parameters()}
    assert {name: int(item.sum()) for name, item in found.items()} == {
        name: sizes[name] for name in found
    }
    dense = sample_context("lenet5").model
    assert {name for name, item in dense.named_parameters() if item.numel() != sizes[name]} == set(
        found
    )
    inputs = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    state = {name: item * found[name] if name in found else item for name, item in full.items()}
    outputs = torch.func.functional_call(dense, state, (inputs,))
    torch.testing.assert_close(outputs, small(inputs), rtol=1e-5, atol=1e-5)
