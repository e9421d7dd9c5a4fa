"""The standalone script runs in a process of its own and needs torch alone."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from analysis.interop.formats.runtimes.onnx import write_onnx
from analysis.interop.formats.script import MOST_CHECKED, reference_input, write_script
from pruners.capture import capture
from pruners.errors import CaptureError, UnsupportedError
from pruners.groups.groups import find_structure
from pruners.groups.removal import remove, removed_graph
from tests.helpers.topologies import TOPOLOGIES, build_topology


def smaller(name: str) -> tuple[torch.nn.Module, torch.Tensor]:
    model, example = build_topology(name)
    structure = find_structure(model, capture(model, example), example)
    kept = {group.id: range(0, group.units, 2) for group in structure.groups if group.prunable}
    return remove(model, structure, kept), example


def loaded(script: Path) -> torch.nn.Module:
    space: dict[str, object] = {"__name__": "rebuild", "__file__": str(script)}
    exec(compile(script.read_text(encoding="utf-8"), str(script), "exec"), space)
    load = space["load"]
    assert callable(load)
    return load()


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_script_computes_the_same(name: str, tmp_path: Path) -> None:
    model, example = smaller(name)
    script, _ = write_script(model, example, tmp_path)
    rebuilt = loaded(script)
    inputs = torch.randn(5, *example.shape[1:])
    with torch.no_grad():
        assert torch.allclose(rebuilt(inputs), model(inputs), atol=1e-5)
    assert sum(item.numel() for item in rebuilt.parameters()) == sum(
        item.numel() for item in model.parameters()
    )


def test_the_name_of_a_class_is_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It went into the script's docstring as it was, triple quotes included."""
    monkeypatch.chdir(tmp_path)
    kind = type('Net"""\nopen("ran", "w").close()\n"""', (torch.nn.Sequential,), {})
    model, example = kind(torch.nn.Linear(4, 3)).eval(), torch.randn(2, 4)
    script, _ = write_script(model, example, tmp_path)
    with torch.no_grad():
        assert torch.allclose(loaded(script)(example), model(example), atol=1e-6)
    assert not (tmp_path / "ran").exists()
    said = ast.get_docstring(ast.parse(script.read_text()))
    assert said is not None
    assert said.startswith("A model with 15 parameters")


def test_script_checks_itself_without_the_project(tmp_path: Path) -> None:
    model, example = smaller("concatenated")
    script, weights = write_script(model, example, tmp_path)
    imports = {
        alias.name.split(".")[0]
        for node in ast.walk(ast.parse(script.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in (node.names if isinstance(node, ast.Import) else [ast.alias(str(node.module))])
    }
    assert imports <= {"torch", *sys.stdlib_module_names}
    assert not imports & {"pickle", "marshal", "shelve"}
    command = [sys.executable, "-I", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    params = sum(item.numel() for item in model.parameters())
    assert f"parameters: {params:,}" in done.stdout
    data = bytearray(weights.read_bytes())
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    start = 8 + length + header["head.2.bias"]["data_offsets"][0]
    data[start : start + 4] = b"\x00\x00\x80\x41"
    weights.write_bytes(data)
    spoilt = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert spoilt.returncode == 1


def test_reference_input_is_that_of_the_script() -> None:
    assert reference_input((3, 2)).shape == (2, 3, 2)
    assert torch.allclose(reference_input((2,)), torch.tensor([0, 1, 2, 3]).sin().reshape(2, 2))


def test_removed_graph_can_be_captured_and_trained() -> None:
    model, example = build_topology("multi_head")
    structure = find_structure(model, capture(model, example), example)
    graph = removed_graph(model, structure, {"attention": [0, 2]})
    again = find_structure(graph, capture(graph.eval(), example), example)
    assert next(group for group in again.groups if group.kind == "head").units == 2


def test_refused_capture_says_so(tmp_path: Path) -> None:
    class Branch(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if float(x.sum()) > 0 else -x

    with pytest.raises(CaptureError, match=r"torch\.export cannot capture Branch"):
        write_script(Branch().eval(), torch.randn(2, 3), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["concatenated", "attention", "baked_in"])
def test_onnx_computes_the_same(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    model, example = smaller(name)
    path = tmp_path / "model.onnx"
    assert write_onnx(model, example, path) < 1e-4
    assert [item.name for item in tmp_path.iterdir()] == ["model.onnx"]


def test_missing_onnx_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    model, example = build_topology("flattened")
    with pytest.raises(UnsupportedError, match=r"prunescope\[onnx\]"):
        write_onnx(model, example, tmp_path / "model.onnx")


class OddTypes(torch.nn.Module):
    """A complex buffer, as rotary positions have it, and a parameter of whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = torch.nn.Linear(4, 8)
        self.fc = torch.nn.Linear(8, 3)
        self.register_buffer("turn", torch.polar(torch.ones(4), torch.arange(4.0)))
        self.order = torch.nn.Parameter(torch.tensor([1, 0, 2]), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pairs = torch.view_as_complex(self.enter(x).unflatten(1, (4, 2))) * self.turn
        return self.fc(torch.view_as_real(pairs).flatten(1))[:, self.order]


def test_odd_types_come_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = OddTypes().eval().requires_grad_(False)
    script, _ = write_script(model, torch.randn(2, 4), tmp_path)
    rebuilt = loaded(script)
    inputs = torch.randn(5, 4)
    assert torch.allclose(rebuilt(inputs), model(inputs), atol=1e-6)
    assert rebuilt.get_parameter("order").dtype == torch.int64
    assert rebuilt.get_buffer("turn").dtype == torch.complex64


def test_what_the_script_checks_is_small_and_from_all_over(tmp_path: Path) -> None:
    """The weights file of a U-Net of 1.0 MB had 1.3 MB of outputs to check, as text."""
    model = torch.nn.Conv2d(1, 8, 1).eval()
    script, weights = write_script(model, torch.randn(2, 1, 64, 64), tmp_path)
    data = bytearray(weights.read_bytes())
    assert len(data) < 70_000
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    told = header["__metadata__"]
    step, kept = int(told["reference_step"]), json.loads(told["reference_output"])
    inputs = reference_input((1, 64, 64))
    with torch.no_grad():
        outputs = model(inputs).flatten()
    assert len(kept) <= MOST_CHECKED < outputs.numel()
    assert torch.equal(torch.tensor(kept), outputs[::step])
    places = torch.arange(outputs.numel())[::step]
    assert len(set((places % 64).tolist())) == len(set((places // 4096).tolist())) * 4 == 64
    run = [sys.executable, "-I", str(script)]
    assert subprocess.run(run, capture_output=True, cwd=tmp_path, check=False).returncode == 0


class EndsWithTwo(torch.nn.Module):
    """Takes texts whose last token is the second, as BART does."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.last = torch.nn.Embedding(9, 4), torch.nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.compiler.is_compiling() and not bool((x[:, -1] == 2).all()):
            raise ValueError("texts end with token 2")
        return self.last(self.table(x)).mean(1)


def test_a_model_that_refuses_the_inputs_of_the_check_has_no_script(tmp_path: Path) -> None:
    texts = torch.tensor([[3, 4, 5, 2], [6, 7, 8, 2]])
    with pytest.raises(
        UnsupportedError, match=r"does not take the inputs .*texts end with token 2"
    ):
        write_script(EndsWithTwo().eval(), texts, tmp_path)
