"""A plan's model as OpenVINO's IR, checked by OpenVINO in float32 (extra ``openvino``)."""

from __future__ import annotations

from analysis import runtimes
from analysis.interop.formats.smaller_model import model_notes
from analysis.interop.request import Exported, ExportRequest

NAME = "openvino"
FILE = "model.xml"


def require_openvino() -> None:
    """Check that OpenVINO, and what writes ONNX, are installed.

    Raises:
        UnsupportedError: One is not; the message says how to install it.
    """
    runtimes.require("openvino", extra=NAME)
    runtimes.require_onnx()


def export_openvino(request: ExportRequest) -> Exported:
    """Write ``model.xml`` and ``model.bin``.

    Raises:
        UnsupportedError: A package is missing, or the model holds what ONNX cannot say.
        PruneScopeError: OpenVINO computes something else.
    """
    require_openvino()
    path = request.directory / FILE
    model, example = request.model(), request.prepared.subject.example
    content = runtimes.as_onnx(model, example)
    runtimes.write_ir(content, path)
    difference = runtimes.check_outputs(
        "OpenVINO",
        lambda inputs: runtimes.run_openvino(path, inputs),
        model,
        example,
        takes=runtimes.OnnxModel(content).takes,
    )
    words = runtimes.difference_words(difference)
    text = f"the {request.form_words}; OpenVINO's outputs {words}"
    notes = (
        *model_notes(request),
        *runtimes.length_notes(content, example),
        "OpenVINO computes in bfloat16 where the processor has it (2e-3 apart); for float32 give "
        "INFERENCE_PRECISION_HINT f32",
    )
    files = ((path, text), (path.with_suffix(".bin"), "its weights, float32"))
    return Exported(files=files, notes=notes)
