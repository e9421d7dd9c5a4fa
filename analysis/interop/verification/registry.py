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
        Verifier(
            name="torch-prune",
            label="torch.nn.utils.prune",
            help="Masks, zeros and outputs against the masked model.",
            library="torch",
            packages=(),
            script=SCRIPTS / "masks" / "torch_prune.py",
        ),
        Verifier(
            name="modelopt",
            label="ModelOpt",
            help="Zeros and outputs against the masked model.",
            library="nvidia-modelopt",
            packages=("nvidia-modelopt==0.47.0", "requests", "huggingface_hub"),
            script=SCRIPTS / "masks" / "modelopt.py",
        ),
        Verifier(
            name="nncf",
            label="NNCF",
            help="Outputs against the masked model.",
            library="nncf",
            packages=("nncf==3.4.0",),
            script=SCRIPTS / "masks" / "nncf.py",
        ),
        Verifier(
            name="nni-speedup",
            label="NNI ModelSpeedup",
            help="Weights and outputs against the smaller model.",
            library="nni",
            packages=("nni==2.10", "tensorboard"),
            script=SCRIPTS / "masks" / "speedup.py",
        ),
        Verifier(
            name="torch-pruning",
            label="Torch-Pruning",
            help="The state dict, bit for bit, against the smaller model.",
            library="torch-pruning",
            packages=("torch-pruning==1.6.1",),
            script=SCRIPTS / "tools" / "history.py",
        ),
        Verifier(
            name="nni",
            label="NNI 2",
            help="Kept counts of each layer.",
            library="nni",
            packages=("nni==2.10", "tensorboard"),
            script=SCRIPTS / "tools" / "config_list.py",
        ),
        Verifier(
            name="nni-3",
            label="NNI 3",
            help="Kept counts of each layer.",
            library="nni",
            packages=("nni==3.0",),
            script=SCRIPTS / "tools" / "sparse_ratio.py",
        ),
    ),
)
