"""Remove units of groups, and whole branches: as an edit of the consumers, or physically.

Zeroing the input columns of all consumers of a group equals physical removal where the group is
``exact``: nothing else reads the channels, and batch norm cannot leak a constant through a column
that is zero.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pruners.batches import Inputs
from pruners.calls import call_with
from pruners.capture import named_state
from pruners.errors import InputError, PruneScopeError, UnsupportedError
from pruners.groups.branches import Branch
from pruners.groups.edits import consumer_edit
from pruners.groups.graph_rewrite import rewritten, sliced_state
from pruners.groups.groups import Structure
from pruners.groups.module_attributes import fit_attributes
from pruners.groups.shortening import Shortened, shortened
from pruners.groups.uncaptured import WholeCost

# Largest difference to the reference, relative to the largest logit, that rounding explains.
TOLERANCE = 1e-3


def removed_units(structure: Structure, kept: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Check a request and return the removed units of each group ``(units,)``, boolean.

    Raises:
        UnknownNameError: No such group.
        UnsupportedError: The group cannot be pruned.
        InputError: Unit numbers are out of range or repeated, or no unit is kept.
    """
    found: dict[str, Tensor] = {}
    for group_id, indices in kept.items():
        group = structure.group(group_id)
        numbers = [int(item) for item in indices]
        if len(numbers) < group.units and not group.prunable:
            raise UnsupportedError(f"group {group.id} cannot be pruned: {group.reason}")
        bad = [number for number in numbers if not 0 <= number < group.units]
        if bad or len(set(numbers)) != len(numbers):
            raise InputError(
                f"group {group.id} has units 0 to {group.units - 1}; kept units "
                f"{bad[0] if bad else 'repeat'} {'do' if not bad else 'does'} not fit"
            )
        if not numbers and not group.branches:
            raise InputError(f"group {group.id}: at least one of its {group.units} units stays")
        mask = torch.ones(group.units, dtype=torch.bool)
        mask[torch.tensor(numbers, dtype=torch.int64)] = False
        found[group_id] = mask
    return found


def removed_labels(structure: Structure, kept: Mapping[str, Sequence[int]]) -> Tensor:
    """Return which labels of the trace are removed, ``(labels,)``, boolean."""
    root = structure.units.root
    lost = torch.zeros(len(root), dtype=torch.bool)
    for group_id, removed in removed_units(structure, kept).items():
        group = structure.group(group_id)
        if group.branches:
            continue
        member = group.producers[0]
        line = root[structure.trace.labels.of(member.name, member.dim, len(member.index))]
        inside = member.index >= 0
        lost[line[inside][removed[member.index[inside]]]] = True
    return lost[root]


def lost_branches(structure: Structure, kept: Mapping[str, Sequence[int]]) -> tuple[Branch, ...]:
    """Return the branches that are left out, each once."""
    lost = (
        structure.group(name) for name, gone in removed_units(structure, kept).items() if gone.any()
    )
    return tuple(dict.fromkeys(branch for group in lost for branch in group.branches))


def remove(
    model: nn.Module,
    structure: Structure,
    kept: Mapping[str, Sequence[int]],
    *,
    verify: bool = True,
) -> nn.Module:
    """Return a physically smaller model.

    The result is a copy of ``model`` with sliced parameters and adapted modules. Where the Python
    code of the model holds sizes that no attribute tells (heads of a fused attention, channels
    split by number), the result is the captured graph with these sizes rewritten: an ordinary
    module as well, with the same parameter names.

    Args:
        model: The model; it is left as found.
        structure: Its structure.
        kept: Group id -> numbers of the units that stay, none of a branch that goes; other groups
            stay whole.
        verify: Run the result on the example and compare it with the edited model (where all
            groups are exact).

    Raises:
        UnknownNameError: No such group.
        UnsupportedError: A group cannot be pruned.
        InputError: Unit numbers do not fit, or no unit is kept.
        PruneScopeError: The smaller model does not compute what the edited one does.
    """
    removed = removed_labels(structure, kept)
    smaller = removed_graph(model, structure, kept)
    with torch.no_grad():
        reference = smaller(structure.example)
    if verify:
        _check(model, structure, kept, reference)
    training = {name: module.training for name, module in model.named_modules()}
    lost = lost_branches(structure, kept)
    own = _sliced_copy(model, structure, removed)
    for form in shortened(own, model, structure, lost) if own is not None else ():
        if _agrees(form, smaller, structure.example, reference) and (
            not lost or _is_as_small(form.module, smaller, structure.example)
        ):
            return form.module
    for name, module in smaller.named_modules():
        module.training = training.get(name, model.training)
    return smaller


def removed_graph(
    model: nn.Module, structure: Structure, kept: Mapping[str, Sequence[int]]
) -> nn.Module:
    """Return the captured graph with units and branches removed, unverified; see `remove`."""
    removed = removed_labels(structure, kept)
    trace = structure.trace
    skips = {branch.total: branch.skip for branch in lost_branches(structure, kept)}
    return rewritten(model, trace.graph, trace, removed, skips=skips)


def _sliced_copy(model: nn.Module, structure: Structure, removed: Tensor) -> nn.Module | None:
    """Copy the model, slice its tensors and adapt its attributes; None if it cannot be copied."""
    sliced = sliced_state(structure.trace, removed, named_state(model))
    originals = named_state(model)
    memo: dict[int, object] = {}
    for name, tensor in sliced.items():
        original = originals[name]
        if isinstance(original, nn.Parameter):
            memo[id(original)] = nn.Parameter(tensor.clone(), original.requires_grad)
        else:
            memo[id(original)] = tensor.clone()
    try:
        own = copy.deepcopy(model, memo)
    except Exception:
        # A model may hold anything; one that cannot be copied is rebuilt from its graph.
        return None
    fit_attributes(own, structure, removed)
    return own


def _agrees(form: Shortened, graph: nn.Module, example: Inputs, reference: Tensor) -> bool:
    """Compare two removed models: as they are, and with parameters at which each branch matters.

    A branch whose scale is still zero, or nearly so, would hide that its code is wrong.
    """
    own, names = form.module, form.names
    other = _perturbed(own)
    try:
        with torch.no_grad():
            output = own(example)
            moved = call_with(own, other, example)
    except Exception:
        # Sizes that the code holds show as errors of any kind; the graph is used instead.
        return False
    # Parameters that the forward pass never reads are not part of the graph.
    known = named_state(graph)
    read = {names[name]: tensor for name, tensor in other.items() if names[name] in known}
    with torch.no_grad():
        expected: Tensor = call_with(graph, read, example)
    pairs = ((output, reference), (moved, expected))
    return all(isinstance(a, Tensor) and difference(a, b) < TOLERANCE for a, b in pairs)


def _is_as_small(form: nn.Module, graph: nn.Module, example: Inputs) -> bool:
    """Compare what two models cost: a form may hold, or compute with zeros, what should be gone."""
    own, least = WholeCost(form, example).dense, WholeCost(graph, example).dense
    return own.params <= least.params and own.macs <= least.macs


def _perturbed(model: nn.Module, *, seed: int = 0) -> dict[str, Tensor]:
    """Return parameters by name with noise added that keeps activations in their range."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, item in model.named_parameters():
        fan_in = max(1, item.numel() // max(1, item.shape[0])) if item.dim() > 1 else 1
        noise = torch.randn(item.shape, generator=generator) * 0.3 * fan_in**-0.5
        found[name] = item.detach() + noise.to(item)
    return found


def difference(output: Tensor, reference: Tensor) -> float:
    """Return the largest difference relative to the largest magnitude of the reference."""
    if output.shape != reference.shape:
        return float("inf")
    output, reference = output.detach(), reference.detach()
    scale = float(reference.abs().max().clamp_min(1e-12))
    return float((output - reference).abs().max()) / scale


def edited_outputs(
    model: nn.Module, structure: Structure, kept: Mapping[str, Sequence[int]]
) -> Tensor:
    """Run the whole model on the example with the consumers' columns zeroed."""
    state = named_state(model)
    edit: dict[str, Tensor] = {}
    for group_id, removed in removed_units(structure, kept).items():
        if bool(removed.any()):
            edit |= consumer_edit(structure.group(group_id), removed, {**state, **edit})
    with torch.no_grad():
        result: Tensor = call_with(model, edit, structure.example)
    return result


def _check(
    model: nn.Module,
    structure: Structure,
    kept: Mapping[str, Sequence[int]],
    reference: Tensor,
) -> None:
    if not all(structure.group(group_id).exact for group_id in kept):
        return
    distance = difference(reference, edited_outputs(model, structure, kept))
    if not distance < TOLERANCE:
        raise PruneScopeError(
            f"removing units of {', '.join(sorted(kept))} changes the outputs by {distance:.2g} "
            "against the masked model; please report this model"
        )
