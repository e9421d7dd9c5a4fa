"""The samples that are no images: their smaller models as scripts and as ONNX."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from analysis import plans
from analysis.edits import prepare
from analysis.interop.formats.runtimes.onnx import write_onnx
from analysis.interop.formats.script import write_script
from analysis.records import SubjectSpec
from analysis.subjects import load_subject
from pruners.batches import Inputs, shortened

SAMPLES = {
    "llama_tiny": ("king-james", "language_modelling"),
    "unet_small": ("scenes", "segmentation"),
    "kws_conv1d": ("keywords", "classification"),
}
# Imports torch and the scripts alone, one of them after the other.
DRIVER = """
import importlib.util, sys, torch
from pathlib import Path
for folder in map(Path, sys.argv[1:]):
    spec = importlib.util.spec_from_file_location("rebuild", folder / "rebuild.py")
    rebuild = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rebuild)
    assert rebuild.check() < 1e-5
    model, tensors = rebuild.load(), rebuild.read_safetensors(folder / "tensors.safetensors")[0]
    for at in range(len(tensors) // 2):
        expected = tensors[f"outputs.{at}"]
        with torch.no_grad():
            difference = (model(tensors[f"inputs.{at}"]) - expected).abs().max()
        assert difference < 1e-5 * expected.abs().max(), (folder, at, difference)
    print(folder.name, at + 1)
"""


@pytest.mark.slow
def test_samples_are_rebuilt_in_another_process_and_run_as_onnx(tmp_path: Path) -> None:
    """Half of a group is removed; three batch sizes, two lengths."""
    pytest.importorskip("onnxruntime")
    for name, (data, task) in SAMPLES.items():
        spec = SubjectSpec(model=f"sample:{name}", data=f"sample:{data}", task=task, samples=8)
        prepared = prepare(load_subject(spec))
        plan = plans.start_plan(prepared, criterion="l1")
        plan = plans.set_ratio(plan, plan.entries[-2].name, 0.5)
        small = plans.removed_model(prepared, plans.resolve(prepared, plan))
        assert prepared.subject.evaluation is not None
        inputs, _ = prepared.subject.evaluation.part(0, 8)
        batches: list[Inputs | None] = [inputs[:3], inputs[3:], shortened(inputs[:3])]
        tensors: dict[str, torch.Tensor] = {}
        for at, batch in enumerate(item for item in batches if isinstance(item, torch.Tensor)):
            with torch.no_grad():
                tensors |= {f"inputs.{at}": batch.clone(), f"outputs.{at}": small(batch)}
        folder = tmp_path / name
        write_script(small, prepared.subject.example, folder)
        safetensors.torch.save_file(tensors, folder / "tensors.safetensors")
        assert write_onnx(small, prepared.subject.example, folder / "model.onnx") < 1e-5
    command = [sys.executable, "-I", "-c", DRIVER, *(str(tmp_path / name) for name in SAMPLES)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"OMP_NUM_THREADS": "1"}
    )
    assert done.stdout.split() == ["llama_tiny", "3", "unet_small", "2", "kws_conv1d", "2"], done
