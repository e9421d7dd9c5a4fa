"""The registry of verifiers, known without torch."""

from __future__ import annotations

from analysis.interop.verification.verifier import SCRIPTS, Verifier
from pruners.registry import Registry

VERIFIERS = Registry(
    "verifier",
    (
        Verifier(
            name="torch",
            label="PyTorch",
            help="The exported script, run by torch alone: outputs at two batch sizes.",
            library="torch",
            packages=(),
            script=SCRIPTS / "runtimes" / "rebuilt.py",
        ),
        Verifier(
            name="onnxruntime",
            label="ONNX Runtime",
            help="Outputs of model.onnx at two batch sizes.",
            library="onnxruntime",
            packages=("onnxruntime==1.32.0",),
            script=SCRIPTS / "runtimes" / "onnx_runtime.py",
        ),
    ),
)
