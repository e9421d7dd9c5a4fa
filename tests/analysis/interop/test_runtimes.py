"""Formats that a runtime runs: what it computes is compared, what it cannot say is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from analysis import interop, plans, runtimes
from analysis.interop.verification import everywhere, harness
from analysis.interop.verification.records import Confirmation
from analysis.interop.verification.reference import write_reference
from analysis.measuring.group_times import measured_seconds
from analysis.records.plan import Plan
from analysis.runtimes import inference
from pruners.errors import InputError, PruneScopeError, UnknownNameError, UnsupportedError
from tests.analysis.interop.test_export import paths_of, request, some_plan
from tests.helpers.contexts import sample_context
from tests.helpers.plans import at_ratio

WRITTEN: dict[str, bytes] = {}


@pytest.fixture(autouse=True)
def written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write each model as ONNX once a process: it takes seconds."""
    write: Callable[[nn.Module, Tensor], bytes] = runtimes.as_onnx

    def once(model: nn.Module, example: Tensor) -> bytes:
        content = hashlib.sha256(repr(model).encode())
        for name, item in sorted(model.state_dict().items()):
            content.update(name.encode() + item.cpu().contiguous().numpy().tobytes())
        key = content.hexdigest()
        if key not in WRITTEN:
            WRITTEN[key] = write(model, example)
        return WRITTEN[key]

    monkeypatch.setattr(runtimes, "as_onnx", once)
    monkeypatch.setattr("analysis.runtimes.onnx.as_onnx", once)


def element_plan(ratio: float) -> Plan:
    plan = plans.start_plan(sample_context("lenet5"), criterion="l1", granularity="element")
    return at_ratio(plan, [entry.name for entry in plan.entries], ratio)


def inputs_of(count: int) -> Tensor:
    split = sample_context("lenet5").subject.evaluation
    assert split is not None
    return split.part(0, count)[0]


def test_onnx_runtime_runs_a_model_that_is_timed() -> None:
    """Budgets in latency may be of ONNX Runtime."""
    pytest.importorskip("onnxruntime")
    prepared = sample_context("lenet5")
    inputs = torch.randn(7, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    logits = interop.RUNTIMES.get("onnx").open(prepared.model, inputs)()
    with torch.no_grad():
        expected = prepared.model(inputs)
    assert isinstance(logits, Tensor)
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
    small = plans.removed_model(prepared, some_plan())
    seconds, dense = measured_seconds(prepared, small, interop.RUNTIMES.get("onnx"))
    assert seconds > 0
    assert dense > 0


def test_onnx_is_exported_and_its_logits_are_compared(tmp_path: Path) -> None:
    """`write_onnx` was in no registry, so nobody could ask for it."""
    runtime = pytest.importorskip("onnxruntime")
    prepared = sample_context("lenet5")
    done = interop.export("onnx", request(tmp_path / "out"))
    assert [path.name for path in paths_of(done)] == ["model.onnx"]
    assert "onnxruntime" in done.files[0][1]
    session = runtime.InferenceSession(
        str(tmp_path / "out" / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    inputs = torch.randn(5, *prepared.subject.example.shape[1:])
    with torch.no_grad():
        expected = plans.removed_model(prepared, some_plan())(inputs)
    found = torch.from_numpy(session.run(None, {"input": inputs.numpy()})[0])
    assert torch.allclose(found, expected, atol=1e-4)
    back = interop.round_trip(prepared, some_plan(), directory=tmp_path / "trip", with_onnx=True)
    assert back.passed, [check.text for check in back.checks]
    assert back.checks[-1].name == "onnx"


def test_the_round_trip_finds_an_onnx_file_that_computes_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    # What is compared while it is written is right; what the file is read as afterwards is not.
    checked = runtimes.check_onnx

    def then_wrong(content: bytes, model: nn.Module, example: Tensor) -> float:
        difference = checked(content, model, example)
        right = runtimes.OnnxModel.forward
        monkeypatch.setattr(
            runtimes.OnnxModel, "forward", lambda self, inputs: right(self, inputs) + 0.5
        )
        return difference

    monkeypatch.setattr(runtimes, "check_onnx", then_wrong)
    found = interop.round_trip(
        sample_context("lenet5"), some_plan(), directory=tmp_path, with_onnx=True
    )
    assert [check.name for check in found.checks if not check.passed] == ["onnx"]


def test_onnx_without_its_packages_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UnsupportedError, match=r"pip install 'prunescope\[onnx\]'"):
        interop.export("onnx", request(tmp_path / "out"))
    with pytest.raises(UnsupportedError, match=r"prunescope\[onnx\]"):
        interop.round_trip(sample_context("lenet5"), some_plan(), with_onnx=True)
    assert not (tmp_path / "out").exists()


def test_an_onnx_file_that_computes_something_else_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(inference, "TOLERANCE", 0.0)
    with pytest.raises(PruneScopeError, match="outputs differ"):
        interop.export("onnx", request(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_plan_of_single_weights_is_exported_with_its_zeros_dense_or_sparse(
    tmp_path: Path,
) -> None:
    """The option `sparse_initializer`; what onnxruntime computes is equal, 0.0."""
    onnx = pytest.importorskip("onnx")
    prepared, plan = sample_context("lenet5"), element_plan(0.9)
    zeros = sum(
        int((item == 0).sum())
        for item in plans.removed_model(prepared, plan).parameters()
        if item.dim() > 1
    )
    found = {}
    for name, sparse in (("dense", False), ("sparse", True)):
        done = interop.export("onnx", request(tmp_path / name, plan=plan, sparse=sparse))
        content = paths_of(done)[0].read_bytes()
        onnx.checker.check_model(onnx.load_from_string(content))
        assert runtimes.count_zeros(content) == zeros
        found[name] = runtimes.run_onnx(content, inputs_of(9)), len(content)
    assert torch.equal(found["dense"][0], found["sparse"][0])
    assert found["sparse"][1] < 0.45 * found["dense"][1]
    assert "OpenVINO does not" in done.notes[-1]


def test_the_form_is_chosen(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    prepared, plan, inputs = sample_context("lenet5"), some_plan(), inputs_of(9)
    found = {}
    for form in ("dense", "masked", "removed"):
        asked = request(tmp_path / form, form=form)
        done = interop.export("onnx", asked)
        assert done.files[0][1].startswith(f"the {asked.form_words}; onnxruntime's outputs differ")
        content = paths_of(done)[0].read_bytes()
        found[form] = runtimes.run_onnx(content, inputs), runtimes.count_zeros(content)
    with torch.no_grad():
        dense, small = prepared.model(inputs), plans.removed_model(prepared, plan)(inputs)
    for form, expected in (("dense", dense), ("masked", small), ("removed", small)):
        assert runtimes.relative_difference(found[form][0], expected) < 1e-5
    assert found["masked"][1] > found["dense"][1] == found["removed"][1] == 0
    with pytest.raises(InputError, match="'json' has no option 'form'; onnx, onnx-int8, openvino"):
        interop.export("json", request(tmp_path / "no", form="masked"))
    with pytest.raises(InputError, match="'onnx-int8' has no option 'sparse'; onnx has it"):
        interop.export("onnx-int8", request(tmp_path / "no", sparse=True))
    with pytest.raises(UnknownNameError, match="form 'slim'"):
        interop.export("onnx", request(tmp_path / "no", form="slim"))
    assert not (tmp_path / "no").exists()


def test_a_plan_without_a_masked_form_is_refused_by_name(tmp_path: Path) -> None:
    """A norm mixes the channels of its groups: zeroing them is not removing them."""
    prepared = sample_context("lenet5")
    asked = request(tmp_path, form="masked")
    edit = dataclasses.replace(plans.masked_edit(prepared, some_plan()), kept={"conv1": (0, 1)})
    refused = dataclasses.replace(asked, recovery=Mixed(edit=edit))  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="a norm mixes the channels of conv1"):
        refused.model()


@dataclasses.dataclass(frozen=True)
class Mixed:
    """What a masked form asks of a recovery."""

    edit: Any


def test_8_bits(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Per channel, symmetric so that zeros stay, on calibration samples alone."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    prepared, plan = sample_context("lenet5"), element_plan(0.5)
    written = []
    for name in ("one", "two"):
        done = interop.export("onnx-int8", request(tmp_path / name, plan=plan))
        assert [path.name for path in paths_of(done)] == ["model-int8.onnx"]
        written.append(paths_of(done)[0].read_bytes())
    assert written[0] == written[1]
    assert capfd.readouterr() == ("", "")
    graph = onnx.load_from_string(written[0]).graph
    values = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
    weights = {name: item for name, item in values.items() if item.ndim > 1}
    assert {str(item.dtype) for item in weights.values()} == {"int8"}
    assert len(weights) == 5
    exact = plans.removed_model(prepared, plan).state_dict()
    for name, item in weights.items():
        layer = name.removesuffix("_quantized")
        assert not values[f"{layer}_zero_point"].any(), name
        assert values[f"{layer}_scale"].shape == (len(exact[layer]),)
        assert not item[exact[layer].numpy() == 0].any(), name
    # The counts that the note tells, by a loop of this test.
    split = prepared.subject.evaluation
    assert split is not None
    inputs, labels = split.part(0, len(split))
    found = runtimes.run_onnx(written[0], inputs).argmax(1)
    with torch.no_grad():
        answers = plans.removed_model(prepared, plan)(inputs).argmax(1)
    same, right = int((found == answers).sum()), int((found == labels).sum())
    note = next(line for line in done.notes if "in 8 bits" in line)
    assert f"{same} of {len(split)} answers are the same" in note
    assert note.startswith(f"accuracy {right / len(split):.2%} in 8 bits")
    assert same > 0.97 * len(split)
    # Widths of activations come from the calibration samples, which are not evaluated.
    assert any("calibrated on 64 samples that are not evaluated" in line for line in done.notes)


def test_8_bits_without_calibration_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    prepared = sample_context("lenet5")
    bare = dataclasses.replace(
        prepared, subject=dataclasses.replace(prepared.subject, calibration=None)
    )
    with pytest.raises(InputError, match="8 bits need calibration samples"):
        interop.export("onnx-int8", request(tmp_path / "out", prepared=bare))
    assert not (tmp_path / "out").exists()


def test_openvino_computes_the_same_and_reads_8_bits(tmp_path: Path) -> None:
    """Its default of bfloat16 is 2e-3 apart; with the float32 hint it is exact."""
    pytest.importorskip("openvino")
    done = interop.export("openvino", request(tmp_path / "out"))
    assert [path.name for path in paths_of(done)] == ["model.xml", "model.bin"]
    inputs = inputs_of(11)
    with torch.no_grad():
        expected = plans.removed_model(sample_context("lenet5"), some_plan())(inputs)
    found = runtimes.run_openvino(paths_of(done)[0], inputs)
    assert runtimes.relative_difference(found, expected) < 1e-5
    done = interop.export("onnx-int8", request(tmp_path / "int8"))
    content = paths_of(done)[0].read_bytes()
    there, here = runtimes.run_openvino(content, inputs), runtimes.run_onnx(content, inputs)
    assert runtimes.relative_difference(there, here) < 0.05


def test_core_ml_has_the_shapes_of_the_smaller_model(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("coremltools")
    done = interop.export("coreml", request(tmp_path / "out"))
    assert "5 layers have its shapes" in done.files[0][1]
    assert "outputs were not" in done.notes[-1]
    assert capfd.readouterr() == ("", "")
    names = zipfile.ZipFile(paths_of(done)[0]).namelist()
    assert "model.mlpackage/Manifest.json" in names
    assert "model.mlpackage/Data/com.apple.CoreML/weights/weight.bin" in names


@pytest.mark.parametrize("name", ["openvino", "executorch", "coreml"])
def test_a_missing_package_is_named_with_its_extra(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = {"coreml": "coremltools"}.get(name, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UnsupportedError, match=rf"{package}.*prunescope\[{name}\]"):
        interop.export(name, request(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_each_runtime_confirms_its_files_and_finds_others(tmp_path: Path) -> None:
    """The scripts of verification, run here; that they run elsewhere is tested there."""
    for package in ("onnxruntime", "openvino", "coremltools"):
        pytest.importorskip(package)
    formats = {"channels": ("onnx", "openvino", "coreml"), "elements": ("onnx-int8",)}
    chosen = {"channels": some_plan(), "elements": element_plan(0.5)}
    for kind, names in formats.items():
        asked = request(tmp_path / kind, plan=chosen[kind])
        (tmp_path / f"{kind}-reference").mkdir()
        write_reference(asked, tmp_path / f"{kind}-reference")
        for name in names:
            interop.export(name, asked)

    def found(name: str, kind: str, reference: str, **changes: Any) -> dict[str, bool]:
        verifier = interop.VERIFIERS.get(name)
        case = harness.Case(tmp_path / kind, tmp_path / f"{reference}-reference", verifier.file)
        for attribute, value in changes.items():
            setattr(case, attribute, value)
        checks = list(harness.load(verifier.script).check(case))
        return {check["name"]: check["passed"] for check in checks}

    for name, what in {
        "onnxruntime": "outputs",
        "openvino-onnx": "outputs",
        "openvino": "outputs",
        "coremltools": "shapes",
    }.items():
        assert found(name, "channels", "channels") == {what: True}
        assert found(name, "channels", "elements") == {what: False}
    kinds = ["outputs against float32", "answers against float32"]
    more = ["outputs against those one by one", "zero weights"]
    assert found("openvino-int8", "elements", "elements") == dict.fromkeys(kinds, True)
    assert found("onnxruntime-int8", "elements", "elements") == dict.fromkeys(kinds + more, True)
    zeros = {"a": torch.zeros(1000, 1000)}
    wrong = found("onnxruntime-int8", "elements", "elements", state=lambda _: zeros)
    assert [name for name, passed in wrong.items() if not passed] == ["zero weights"]
    with pytest.raises(NotImplementedError, match="no sparse initializers"):
        found("openvino-onnx", "channels", "channels", facts={"sparse": True})


def test_zip_is_verified_and_a_missing_package_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: `make verify-exports` passed zip over, and confirmed formats from a common folder."""
    folders = []

    def confirmed(verifier: interop.Verifier, folder: Path, *_: Any, **__: Any) -> Any:
        folders.append(folder.name)
        return Confirmation(verifier=verifier.name, label="", version="1", result="passed"), ""

    monkeypatch.setattr(everywhere, "write_reference", lambda *_: None)
    monkeypatch.setattr(everywhere, "export", lambda *_: None)
    monkeypatch.setattr(everywhere, "confirm", confirmed)
    monkeypatch.setitem(sys.modules, "executorch", None)
    words = everywhere.confirmations("lenet5", ("torch", "executorch"), tmp_path)
    found = {name: item for name, _, item in words}
    assert {name: item.result for name, item in found.items()} == {
        "model": "passed",
        "executorch": "not installed",
        "zip": "passed",
    }
    assert "pip install 'prunescope[executorch]'" in found["executorch"].text
    assert folders == ["model", "zip"]
    answer = tmp_path / "answer.json"
    verifier = interop.VERIFIERS.get("executorch")
    harness.main(str(verifier.script), "", "", str(answer), "executorch-of-nobody")
    assert json.loads(answer.read_text())["missing"] == "executorch-of-nobody"
    assert verifier.install == "pip install executorch==1.5.1"


class Masked(nn.Module):
    """Scores of an attention with a mask added, as causal models have it."""

    def forward(self, scores: Tensor) -> Tensor:
        mask = torch.full((6, 6), torch.finfo(torch.float32).min).triu(1)
        return torch.softmax(scores + mask, dim=-1)


def test_8_bits_leave_the_mask_of_an_attention() -> None:
    """Rounded with its mask, a row of scores would come out all alike."""
    scores = 3 * torch.randn(8, 6, 6, generator=torch.Generator().manual_seed(0))
    content = runtimes.quantized_onnx(runtimes.as_onnx(Masked(), scores), lambda: scores.split(2))
    found, exact = runtimes.OnnxModel(content)(scores), Masked()(scores)
    assert float((found - exact).abs().max()) < 0.02


def test_8_bits_do_not_lose_their_steps_to_one_odd_sample() -> None:
    """Found with sound: 512 calibration samples lost ten points that 64 did not."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
    inputs = torch.randn(256, 8)
    inputs[5] *= 50
    content, usual = runtimes.as_onnx(model, inputs), inputs[32:]
    with torch.no_grad():
        exact = model(usual)

    def error(batches: Sequence[Tensor]) -> float:
        found = runtimes.OnnxModel(runtimes.quantized_onnx(content, lambda: batches))
        return float((found(usual) - exact).square().mean().sqrt())

    apart, together = error(inputs.split(32)), error([inputs])
    assert apart < 0.3 * together
    # Without an odd sample the range that holds all is as good.
    assert error(usual.split(32)) < 1.1 * error([usual])
