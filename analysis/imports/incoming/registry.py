"""The registry of plans that can be imported; readers are looked up when they read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis import plans
from analysis.imports import incoming
from analysis.imports.incoming.request import PlanRequest
from pruners.registry import Registry

if TYPE_CHECKING:
    from analysis.records import Plan


@dataclass(frozen=True, slots=True)
class PlanFormat:
    """A registered format of plans.

    Attributes:
        name: Short name, used in commands.
        label: Name for people.
        help: What writes it, one sentence.
        suffixes: How its files end.
        recognises: Says of a file's content whether it is of this form.
        read: Reads the plan.
        is_own: Whether it says all by itself, the criterion too.
    """

    name: str
    label: str
    help: str
    suffixes: tuple[str, ...]
    recognises: Callable[[bytes], bool]
    read: Callable[[PlanRequest], Plan]
    is_own: bool = False


PLAN_FORMATS = Registry(
    "plan format",
    (
        PlanFormat(
            "plan",
            "PruneScope plan (JSON)",
            "A plan as PruneScope writes it.",
            (".json",),
            lambda content: incoming.is_own(content),
            lambda request: incoming.read_own(request),
            is_own=True,
        ),
        PlanFormat(
            "nni-config",
            "NNI configuration (JSON)",
            "A list of configurations of NNI 2.10 or 3.0 that names layers: counts.",
            (".json",),
            lambda content: incoming.is_config(content),
            lambda request: incoming.read_config(request),
        ),
        PlanFormat(
            "torch-pruning",
            "Torch-Pruning history (JSON)",
            "The pruning history of Torch-Pruning: channels with their indices.",
            (".json",),
            lambda content: incoming.is_history(content),
            lambda request: incoming.read_history(request),
        ),
        PlanFormat(
            "aimet-pairs",
            "AIMET ratios (pickle)",
            "A list of layers with the share of input channels that stays: counts.",
            (".pkl", ".pickle"),
            lambda content: incoming.is_pairs(content),
            lambda request: incoming.read_pairs(request),
        ),
        PlanFormat(
            "masks",
            "Masked state dict (safetensors, torch.save)",
            "Masks of torch.nn.utils.prune, kept as they are: channels where they are those of "
            "removed channels, else single weights.",
            (".safetensors", ".pt", ".pth"),
            lambda content: content[:4] == b"PK\x03\x04" or content[8:10] == b'{"',
            lambda request: incoming.read_masks(request),
        ),
    ),
)


def imported_plan(request: PlanRequest, chosen: PlanFormat) -> Plan:
    """Return the plan of a file: it fits the model, and its units are chosen.

    Raises:
        PlanError: It cannot be read, or does not fit the model.
    """
    return plans.resolve(request.prepared, chosen.read(request))
