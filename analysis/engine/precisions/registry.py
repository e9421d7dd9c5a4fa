"""The registry of precisions in which the points of a sweep are computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from analysis.engine import precisions
from pruners.registry import Registry

if TYPE_CHECKING:
    from analysis.engine.evaluator import Evaluator
    from analysis.engine.precisions.reduced import Gaps
    from pruners.batches import Inputs
    from pruners.capture import Graph


class Opener(Protocol):
    """Opens the evaluator of a model for a precision."""

    def __call__(
        self, exact: Evaluator, graph: Graph | None, example: Inputs, *, gaps: Gaps
    ) -> Evaluator:
        """Return the evaluator.

        Args:
            exact: The evaluator of the model as it is.
            graph: The captured model.
            example: Inputs ``(2, ...)`` on which the program is checked.
            gaps: By how much answers lead the next ones; see `ReducedEvaluator`.
        """


@dataclass(frozen=True, slots=True)
class Precision:
    """A registered precision.

    Attributes:
        name: Name on the command line and in runs.
        label: Name on pages.
        help: What it is for, in plain words.
        open: Returns the evaluator.
    """

    name: str
    label: str
    help: str
    open: Opener


def _full(exact: Evaluator, graph: Graph | None, example: Inputs, *, gaps: Gaps) -> Evaluator:
    return exact


def _reduced(name: str) -> Opener:
    def opened(exact: Evaluator, graph: Graph | None, example: Inputs, *, gaps: Gaps) -> Evaluator:
        return precisions.ReducedEvaluator(
            exact, graph, example, gaps=gaps, reduction=precisions.reduction_named(name)
        )

    return opened


PRECISIONS = Registry(
    "precision",
    (
        Precision("float32", "float32", "the model as it is, multiplied in full", _full),
        Precision(
            "bf16",
            "bf16",
            "faster on processors that have it, close answers done again in float32",
            _reduced("bf16"),
        ),
        Precision(
            "fp16",
            "fp16",
            "as bf16, with more digits and a smaller range",
            _reduced("fp16"),
        ),
        Precision(
            "tf32",
            "TF32",
            "on CUDA, float32 multiplied with a short mantissa, close answers done again in full",
            _reduced("tf32"),
        ),
    ),
)
