"""The registry of export formats.

Names and help are known without torch and pandas: functions are looked up when they write.
"""

from __future__ import annotations

import dataclasses
import re

from analysis import plans, runtimes
from analysis.files import whole_folder
from analysis.interop import formats
from analysis.interop.request import FORMS, Exported, ExportRequest, Format
from analysis.measuring import TORCH, Runtime
from analysis.records import REMOVED
from pruners.errors import InputError, UnknownNameError
from pruners.registry import Registry

ONNX = "onnx"
FORMATS = Registry(
    "export format",
    (
        Format(
            "model",
            "Smaller model",
            "The physically smaller model as safetensors, a script that rebuilds it with torch "
            "alone, and a card.",
            lambda request: formats.export_model(request),
            keeps="all weights of the pruned model, its structure and what it was measured to do",
            loses="the modules of your own class: the script is a flat graph",
            verify=("torch",),
        ),
        Format(
            ONNX,
            "ONNX",
            "The physically smaller model, or the masked or dense one, as ONNX with a free batch "
            "size, compared with PyTorch at two batch sizes under onnxruntime; needs the extra "
            "onnx.",
            lambda request: formats.export_onnx(request),
            lambda: runtimes.require_onnx(),
            keeps="all weights of the pruned model, zeros included, and a free batch size",
            loses="parameter names where the exporter folds constants, and training",
            target="ONNX Runtime 1.32.0",
            install="pip install 'prunescope[onnx]'",
            options=("form", "sparse"),
            verify=("onnxruntime", "openvino-onnx"),
        ),
        Format(
            "onnx-int8",
            "ONNX, 8 bits",
            "The same model with int8 weights and uint8 activations, calibrated on the calibration "
            "samples; needs the extra onnx.",
            lambda request: formats.export_int8(request),
            lambda: runtimes.require_onnx(),
            keeps="structure, zeros and a free batch size; a quarter of the bytes a weight",
            loses="precision: how much is measured on the evaluation samples and said",
            target="ONNX Runtime 1.32.0",
            install="pip install 'prunescope[onnx]'",
            options=("form",),
            verify=("onnxruntime-int8", "openvino-int8"),
            calibrates=True,
        ),
        Format(
            "openvino",
            "OpenVINO",
            "The same model as OpenVINO's IR (.xml and .bin) in float32, compared with PyTorch at "
            "two batch sizes under OpenVINO; needs the extras openvino and onnx.",
            lambda request: formats.export_openvino(request),
            lambda: formats.require_openvino(),
            keeps="all weights of the pruned model, zeros included, and a free batch size",
            loses="parameter names where constants are folded, and training",
            target="OpenVINO 2026.4.1",
            install="pip install 'prunescope[onnx,openvino]'",
            options=("form",),
            verify=("openvino",),
        ),
        Format(
            "executorch",
            "ExecuTorch",
            "The same model as a program (.pte) for XNNPACK, the processor kernels of phones, "
            "compared with PyTorch in ExecuTorch's own runtime; needs the extra executorch.",
            lambda request: formats.export_executorch(request),
            lambda: formats.require_executorch(),
            keeps="all weights of the pruned model, zeros included",
            loses="a free batch size: the program takes one sample at a time; and training",
            target="ExecuTorch 1.5.1",
            install="pip install 'prunescope[executorch]'",
            options=("form",),
            verify=("executorch",),
        ),
        Format(
            "coreml",
            "Core ML",
            "The same model as a Core ML package (.mlpackage in a zip) in float32, of which only "
            "the shapes are checked: it runs on Apple's systems alone; needs the extra coreml.",
            lambda request: formats.export_coreml(request),
            lambda: formats.require_coreml(),
            keeps="all weights of the pruned model, zeros included",
            loses="parameter names and training; its outputs are not compared",
            target="coremltools 9.0",
            install="pip install 'prunescope[coreml]'",
            options=("form",),
            verify=("coremltools",),
        ),
        Format(
            "masks",
            "Masks",
            "One mask a parameter (masks.safetensors, uint8, 1 = stays), and scripts that put them "
            "into torch.nn.utils.prune, ModelOpt, NNCF and NNI.",
            lambda request: formats.export_masks(request),
            keeps="which weights, channels and heads stay, by parameter name",
            loses="speed: the model keeps its size unless a library cuts it; and groups whose "
            "channels a norm mixes, which are refused",
            target="torch.nn.utils.prune (torch 2.13), ModelOpt 0.47.0, NNCF 3.4.0, NNI 2.10",
            verify=("torch-prune", "modelopt", "nncf", "nni-speedup"),
            install="pip install nvidia-modelopt==0.47.0 requests huggingface_hub\n"
            "pip install nncf==3.4.0\n"
            "pip install nni==2.10 tensorboard",
        ),
        Format(
            "torch-pruning",
            "Torch-Pruning",
            "Torch-Pruning's history (history.json): on the dense model it gives the smaller one, "
            "whose weights lie beside it.",
            lambda request: formats.export_history(request),
            keeps="which channels go, in your own class of the model",
            loses="zeros of single weights and repaired weights, which model.safetensors has",
            target="Torch-Pruning 1.6.1",
            install="pip install torch-pruning==1.6.1",
            verify=("torch-pruning",),
        ),
        Format(
            "nni",
            "NNI",
            "Config lists of NNI 2.10 and 3.0 with ratios that give the counts exactly.",
            lambda request: formats.export_nni(request),
            keeps="how many channels or weights of each layer stay",
            loses="which ones: NNI's criterion chooses; and weights, blocks, N:M and heads",
            target="NNI 2.10 and 3.0",
            install="pip install nni==2.10 tensorboard\npip install nni==3.0",
            verify=("nni", "nni-3"),
        ),
        Format(
            "hf",
            "Hugging Face",
            "The smaller model as Transformers saves it (folder hf), of a model that is one of "
            "Transformers or holds one; needs the extra hf.",
            lambda request: formats.export_hugging_face(request),
            lambda: formats.require_transformers(),
            keeps="all weights of the pruned model, and its class with a configuration",
            loses="sizes that differ between layers, which a configuration has no numbers for: "
            "they are refused; and your own code around the model",
            target="Transformers 5.24.0",
            install="pip install 'prunescope[hf]'",
            verify=("transformers",),
        ),
        Format(
            "sparseml",
            "SparseML",
            "Recipes of SparseML (YAML): one prunes as many weights of each layer, one holds the "
            "zeros of the weights beside it.",
            lambda request: formats.export_sparseml(request),
            keeps="how many weights of each layer stay; with the second recipe, which",
            loses="with the first recipe, which ones; channels, heads, blocks and N:M are refused",
            target="SparseML 1.8.0",
            install="pip install sparseml==1.8.0 sparsezoo==1.8.0",
            verify=("sparseml",),
        ),
        Format(
            "llm-compressor",
            "llm-compressor",
            "A recipe of llm-compressor (YAML) for SparseGPT with a table of what its rounding "
            "gives.",
            lambda request: formats.export_llm_compressor(request),
            keeps="how many weights of each Linear or 1x1 Conv2d stay, to a weight a block of "
            "128 columns",
            loses="which ones, and the weights: SparseGPT changes them; larger convolutions, "
            "channels, heads, blocks and N:M are refused",
            target="llm-compressor 0.14.0.1",
            install="pip install llmcompressor==0.14.0.1",
            verify=("llm-compressor",),
        ),
        Format(
            "neural-compressor",
            "Neural Compressor",
            "A pruning configuration of Intel Neural Compressor (Python), local and by magnitude.",
            lambda request: formats.export_neural_compressor(request),
            keeps="how many weights of each Linear or Conv2d stay",
            loses="which ones; the last Linear, channels, heads, blocks and N:M are refused",
            target="Neural Compressor 3.7",
            install="pip install neural-compressor==3.7 packaging six",
            verify=("neural-compressor",),
        ),
        Format(
            "aimet",
            "AIMET",
            "AIMET's channel pruning in manual mode (Python), by the input channels of each "
            "convolution.",
            lambda request: formats.export_aimet(request),
            keeps="how many channels stay between two convolutions",
            loses="which ones; coupled groups, linear layers, heads and weights are refused",
            target="AIMET 2.42.0",
            install="pip install aimet-torch==2.42.0",
            verify=("aimet",),
        ),
        Format(
            "json",
            "Plan (JSON)",
            "The plan with schema version, counts and kept indices, which PruneScope reads back.",
            lambda request: formats.export_json(request),
            keeps="every choice: counts, kept indices, criteria, repair",
            loses="the weights",
        ),
        Format(
            "csv",
            "Points (CSV)",
            "Every measured point of the plan's run.",
            lambda request: formats.export_csv(request),
            keeps="what each layer was measured to lose",
            loses="the plan and the weights",
        ),
        Format(
            "zip",
            "Everything (zip)",
            "Plan, smaller model with its script, points and a README, beside each other and in "
            "one zip.",
            lambda request: formats.export_zip(request),
            keeps="all that the neutral formats keep",
            loses="nothing but the modules of your own class",
            verify=("torch",),
        ),
    ),
)

RUNTIMES = Registry(
    "runtime",
    (
        TORCH,
        Runtime(
            ONNX,
            "ONNX Runtime",
            "under onnxruntime on the CPU; needs the extra onnx",
            lambda model, inputs: runtimes.open_onnx(model, inputs),
        ),
    ),
)


def export(name: str, request: ExportRequest) -> Exported:
    """Write a plan in a format: all of its files, or none.

    Raises:
        UnknownNameError: No such format.
        InputError: The plan does not fit, or the format needs what is missing.
        StoreError: The files cannot be written.
    """
    chosen = FORMATS.get(name)
    chosen.ready()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", request.name):
        raise InputError(
            f"the name of an export is made of letters, digits, '.', '_' and '-', found "
            f"{request.name!r}"
        )
    # Before anything is written: a plan that is refused leaves no folder behind.
    plans.require_fit(request.prepared, request.plan)
    _check_options(chosen, request)
    _check_evaluation(request)
    folder = request.directory
    with whole_folder(folder) as place:
        done = chosen.fn(dataclasses.replace(request, directory=place))
    for file in done.stale:
        (folder / file).unlink(missing_ok=True)
    files = tuple((folder / path.relative_to(place), about) for path, about in done.files)
    return dataclasses.replace(done, files=files)


def _check_options(chosen: Format, request: ExportRequest) -> None:
    """Refuse an option that the format does not know."""
    known = {"form": FORMS, "sparse": (False, True)}
    usual = {"form": REMOVED, "sparse": False}
    for option, values in known.items():
        value = getattr(request, option)
        if value not in values:
            raise UnknownNameError(option, value, list(FORMS))
        if value != usual[option] and option not in chosen.options:
            able = [entry.name for entry in FORMATS if option in entry.options]
            raise InputError(
                f"format {chosen.name!r} has no option {option!r}; {', '.join(able)} "
                f"{'has' if len(able) == 1 else 'have'} it"
            )


def _check_evaluation(request: ExportRequest) -> None:
    """Refuse numbers of another model than the one that is exported."""
    found = request.evaluation
    if found is not None and (found.repair, found.trained) != (request.repair, request.trained):
        raise InputError(
            f"the evaluated model is {found.recovery_words}, but what is exported is "
            f"{request.recovery_words}; evaluate the model that you export"
        )


def problems(request: ExportRequest) -> list[str]:
    """Say what a user should know before exporting; empty if all is well."""
    found = []
    if not plans.pruned_entries(request.plan):
        found.append("the plan removes nothing: the exported model is the dense one")
    if request.points is None or request.points.empty:
        found.append("no points: no run of this subject is the plan's, so no points.csv is written")
    elif (request.points["status"] == "failed").any():
        found.append(f"{int((request.points['status'] == 'failed').sum())} points failed")
    if request.evaluation is None:
        found.append("the plan was not evaluated: the bundle says nothing of its accuracy")
    return found
