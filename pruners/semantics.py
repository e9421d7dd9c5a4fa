"""What it means that a channel is pruned: two answers, told apart everywhere.

* ``removal``: what physically removing it does. The next layers stop reading it: their input
  columns become zero (`pruners.groups.consumer_edit`). Nothing of the channel gets through.
* ``weights``: the producing layer's weight and bias rows become zero and batch norm is left alone
  (`pruners.groups.weights_edit`), as in the sensitivity tools of NNI and Distiller. After batch
  norm the channel still sends the constant ``beta - gamma * mean / sqrt(var + eps)``, and a
  residual sum still adds its other branch, so curves differ from removal, often by much.
"""

from __future__ import annotations

from dataclasses import dataclass

from pruners.registry import Registry


@dataclass(frozen=True, slots=True)
class Semantics:
    """A registered meaning.

    Attributes:
        name: Name on the command line and in plans.
        label: Name on pages.
        help: The meaning, in plain words.
        removes: Whether the next layers stop reading a pruned channel.
    """

    name: str
    label: str
    help: str
    removes: bool


SEMANTICS = Registry(
    "semantics",
    (
        Semantics(
            "removal",
            "Removal",
            "as if the channel were physically removed: the next layers no longer read it",
            removes=True,
        ),
        Semantics(
            "weights",
            "Weights masked",
            "the layer's weight and bias are set to zero, batch norm is left alone, as NNI and "
            "Distiller do: the channel still sends a constant, so this is not what removal gives",
            removes=False,
        ),
    ),
)
