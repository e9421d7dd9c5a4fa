"""The form that names a subject: model, data, evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from analysis.records import SubjectSpec

CUSTOM = "Other address"


@dataclass(frozen=True, slots=True)
class SourceChoice:
    """A way to name a model or data set.

    Attributes:
        example: An address of this kind.
        help: What goes into it.
    """

    example: str
    help: str


MODELS: Mapping[str, SourceChoice] = {
    "Sample": SourceChoice(
        "sample:resnet20", "A small trained network that comes with PruneScope."
    ),
    "torchvision": SourceChoice(
        "torchvision:resnet18#weights=weights/resnet18.safetensors",
        "A torchvision architecture with your weights: safetensors or a plain state dict.",
    ),
    "timm": SourceChoice(
        "timm:resnet18#weights=weights/model.safetensors", "An architecture of timm."
    ),
    "Python factory": SourceChoice(
        "path/model.py:build#weights=weights/model.safetensors",
        "A function that returns the module, in a file or as package.module:function. "
        "Its code runs, so the file must lie below the folders that this server allows.",
    ),
}
DATA: Mapping[str, SourceChoice] = {
    "Sample": SourceChoice("sample:fashion-mnist", "10,000 test images, 2,000 for calibration."),
    "NumPy file": SourceChoice(
        "npz:data/test.npz#mean=0.5&std=0.25",
        "An npz file with the arrays images and labels; mean and std normalise them.",
    ),
    "Image folder": SourceChoice(
        "imagefolder:data/val#size=224&mean=0.485,0.456,0.406&std=0.229,0.224,0.225",
        "A folder with one folder of images a class.",
    ),
    "torchvision": SourceChoice("torchvision:CIFAR10#root=data", "A torchvision data set on disk."),
    "Python factory": SourceChoice(
        "path/data.py:build", "A function that returns a map-style data set of (input, target)."
    ),
}


def form(present: SubjectSpec | None, *, samples: tuple[str, ...]) -> SubjectSpec | None:
    """Draw the form.

    Args:
        present: What to fill it with.
        samples: Names of the sample models.

    Returns:
        The subject, when the form was sent.
    """
    start = present or SubjectSpec(
        model="sample:resnet20", data="sample:fashion-mnist", samples=2000, batch_size=100
    )
    model_column, data_column = st.columns(2)
    with model_column:
        model = _address("Model", MODELS, start.model, samples=samples)
    with data_column:
        data = _address("Data", DATA, start.data or "", samples=("fashion-mnist",))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        count = st.number_input(
            "Evaluation samples",
            min_value=1,
            value=start.samples or 2000,
            step=500,
            key="setup_samples",
            width=190,
            help="All points share this seeded subset; more samples narrow the intervals.",
        )
        everything = st.toggle(
            "All samples", value=start.samples is None, key="setup_all", width="content"
        )
        advanced = _advanced(start)
        sent = st.button(
            "Check and measure baseline",
            type="primary",
            icon=":material/task_alt:",
            key="setup_check",
        )
    if not sent:
        return None
    return SubjectSpec(
        model=model.strip(),
        data=data.strip() or None,
        samples=None if everything else int(count),
        **advanced,
    )


def _address(
    label: str, sources: Mapping[str, SourceChoice], present: str, *, samples: tuple[str, ...]
) -> str:
    """Draw the choice of a source and the fields of its address."""
    key = f"setup_{label.lower()}"
    kind = st.segmented_control(
        label,
        list(sources),
        default=_kind_of(present, sources),
        required=True,
        key=f"{key}_kind",
        persist_state="session",
    )
    source = sources[kind or "Sample"]
    if kind == "Sample":
        name = present.removeprefix("sample:")
        chosen = st.selectbox(
            f"Sample {label.lower()}",
            samples,
            index=samples.index(name) if name in samples else 0,
            key=f"{key}_sample",
            help=source.help,
            persist_state="session",
        )
        return f"sample:{chosen}"
    same_kind = _kind_of(present, sources) == kind
    return st.text_input(
        f"{label} address",
        value=present if same_kind else "",
        placeholder=source.example,
        help=source.help,
        key=f"{key}_{kind}",
        persist_state="session",
    )


def _kind_of(address: str, sources: Mapping[str, SourceChoice]) -> str:
    """Return which source an address belongs to, by its scheme."""
    schemes = {source.example.split(":")[0]: kind for kind, source in sources.items()}
    scheme = address.split(":")[0]
    return schemes.get(scheme, "Python factory" if address else "Sample")


def _advanced(start: SubjectSpec) -> dict[str, Any]:
    with st.popover("Advanced", icon=":material/settings:"):
        return {
            "seed": int(
                st.number_input(
                    "Seed",
                    value=start.seed,
                    min_value=0,
                    step=1,
                    key="setup_seed",
                    help="Chooses the evaluation subset and the calibration samples.",
                )
            ),
            "batch_size": int(
                st.number_input(
                    "Batch size", value=start.batch_size, min_value=1, step=50, key="setup_batch"
                )
            ),
            "calibration_samples": int(
                st.number_input(
                    "Calibration samples",
                    value=start.calibration_samples,
                    min_value=1,
                    step=128,
                    key="setup_calibration",
                    help="Criteria that need data read these; never the evaluation subset.",
                )
            ),
            "memory_limit": int(
                st.number_input(
                    "Memory limit (MiB)",
                    value=start.memory_limit // 2**20,
                    min_value=1,
                    step=256,
                    key="setup_memory",
                    help="For the values kept of a batch; what does not fit is measured in parts.",
                )
            )
            * 2**20,
            "device": st.text_input(
                "Device", value=start.device, key="setup_device", help="cpu, cuda, cuda:1 or mps."
            ),
        }
