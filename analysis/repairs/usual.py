"""The repair that suits a subject: what a new plan begins with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from analysis.edits import PreparedSubject
from analysis.repairs.registry import AUTO, NO_REPAIR, check_repair, leaves_parts, plan_repairs
from pruners.semantics import SEMANTICS


@dataclass(frozen=True, slots=True)
class Choice:
    """A repair with the reason for it.

    Attributes:
        name: One of `analysis.repairs`.
        reason: In plain words.
    """

    name: str
    reason: str


def usual_repair(
    prepared: PreparedSubject,
    *,
    semantics: str = "removal",
    granularities: Iterable[str] = (),
) -> Choice:
    """Return the repair that suits a subject: ``lsq`` where it applies, else ``bn``, else none.

    Args:
        prepared: The subject.
        semantics: What a pruned channel means, as in `SweepSpec`.
        granularities: What is pruned, if that is known.
    """
    removes = SEMANTICS.get(semantics).removes and leaves_parts(granularities)
    if prepared.subject.evaluation is None:
        return Choice(NO_REPAIR, "there is no data to repair on")
    if "lsq" in plan_repairs(removes=removes):
        return Choice("lsq", "the layers behind what is removed are fitted to the dense ones")
    if any(isinstance(item, nn.modules.batchnorm._BatchNorm) for item in prepared.model.modules()):
        return Choice("bn", "what is pruned leaves batch-norm statistics to be estimated anew")
    return Choice(NO_REPAIR, "nothing is removed that the next layers could be fitted to")


def chosen_repair(
    prepared: PreparedSubject,
    asked: str,
    *,
    semantics: str = "removal",
    granularities: Iterable[str] = (),
) -> Choice:
    """Return the repair that is asked for by its name, or the usual one for ``auto``.

    Raises:
        UnknownNameError: No such repair.
        UnsupportedError: It does not fit the semantics.
    """
    if asked == AUTO:
        return usual_repair(prepared, semantics=semantics, granularities=granularities)
    found = check_repair(
        asked,
        removes=SEMANTICS.get(semantics).removes,
        granularities=granularities,
        known=(NO_REPAIR, *plan_repairs()),
    )
    return Choice(found.name, "as asked for")
