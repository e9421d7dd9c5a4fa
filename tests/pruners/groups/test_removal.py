"""Physical removal: equal to masking, exact in size, an ordinary module."""

from __future__ import annotations

import copy

import pytest
import safetensors.torch
import torch
from torch import Tensor, fx, nn

from pruners.batches import Tensors
from pruners.capture import capture, named_state
from pruners.errors import InputError, PruneScopeError, UnsupportedError
from pruners.groups.edits import consumer_edit
from pruners.groups.groups import Structure, find_structure
from pruners.groups.removal import difference, edited_outputs, remove, removed_graph
from pruners.preserve import checksum
from tests.pruners.groups.test_groups import MODELS, SAMPLES, prunable, traced

# Models whose Python code holds sizes that no attribute tells: they come back as graphs.
AS_GRAPH = ("split", "multi_head", "baked_in", "key_widths", "hidden_heads", "in_place")
AS_GRAPH += ("one_key", "partly_repeated")


def keep_share(
    structure: Structure, share: float, *, exact_only: bool = False
) -> dict[str, list[int]]:
    generator = torch.Generator().manual_seed(1)
    kept = {}
    for group in prunable(structure):
        if group.exact or not exact_only:
            count = max(1, round(group.units * share))
            chosen = torch.randperm(group.units, generator=generator)[:count]
            kept[group.id] = sorted(chosen.tolist())
    return kept


def run(model: nn.Module, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        return model(inputs)


@pytest.mark.parametrize("name", MODELS)
def test_each_group_removed_equals_masked(name: str) -> None:
    model, example, structure = traced(name)
    dense, changes = run(model, example), []
    for group_id, indices in keep_share(structure, 0.5).items():
        kept, is_exact = {group_id: indices}, structure.group(group_id).exact
        # What is compared below need not be compared twice.
        smaller = remove(model, structure, kept, verify=not is_exact)
        if is_exact:
            masked = edited_outputs(model, structure, kept)
            assert difference(run(smaller, example), masked) < 1e-5, group_id
            changes.append(difference(dense, masked))
    assert not changes or max(changes) > 1e-3


@pytest.mark.parametrize("share", [0.7, 0.5])
@pytest.mark.parametrize("name", MODELS)
def test_all_groups_removed_equal_masked(name: str, share: float) -> None:
    model, example, structure = traced(name)
    kept = keep_share(structure, share, exact_only=True)
    smaller = remove(model, structure, kept)
    assert difference(run(smaller, example), edited_outputs(model, structure, kept)) < 1e-5


@pytest.mark.parametrize("name", MODELS)
def test_sliced_modules_and_rewritten_graph_agree(name: str) -> None:
    """Two ways of removal; for groups that a norm mixes, masking is no reference."""
    model, example, structure = traced(name)
    kept = keep_share(structure, 0.5)
    smaller = remove(model, structure, kept)
    assert isinstance(smaller, type(model)) == (name not in AS_GRAPH)
    graph = removed_graph(model, structure, kept)
    assert difference(run(graph, example), run(smaller, example)) < 1e-5
    assert smaller.state_dict().keys() <= model.state_dict().keys()


@pytest.mark.parametrize("name", MODELS)
def test_removed_batch_size_is_free(name: str) -> None:
    model, example, structure = traced(name)
    smaller = remove(model, structure, keep_share(structure, 0.5))
    inputs = torch.randn(5, *example.shape[1:])
    whole = run(smaller, inputs)
    assert difference(torch.cat([run(smaller, inputs[:1]), run(smaller, inputs[1:])]), whole) < 1e-5


@pytest.mark.parametrize("name", SAMPLES)
def test_sizes_are_those_that_are_kept(name: str) -> None:
    model, _, structure = traced(name)
    kept = keep_share(structure, 0.3)
    state = named_state(remove(model, structure, kept))
    for group_id, indices in kept.items():
        for member in structure.group(group_id).members:
            inside = member.index >= 0
            stays = torch.isin(member.index[inside], torch.tensor(indices)).sum()
            if bool(inside.all()):
                assert state[member.name].shape[member.dim] == stays, member.name


@pytest.mark.parametrize("name", MODELS)
def test_keeping_everything_changes_nothing(name: str) -> None:
    model, example, structure = traced(name)
    before = checksum(model)
    same = remove(model, structure, {g.id: range(g.units) for g in structure.groups})
    assert torch.equal(run(same, example), run(model, example))
    assert checksum(model) == before == checksum(same)


def test_model_is_left_as_found() -> None:
    model, _, structure = traced("resnet20")
    before, reference = checksum(model), copy.deepcopy(model.state_dict())
    remove(model, structure, keep_share(structure, 0.5))
    assert checksum(model) == before
    assert all(torch.equal(item, model.state_dict()[name]) for name, item in reference.items())


@pytest.mark.parametrize("name", ["resnet20", "vit_tiny", "multi_head", "shared"])
def test_result_is_an_ordinary_module(name: str, tmp_path: object) -> None:
    """It can be saved without pickle, loaded, captured again, trained and moved."""
    model, example, structure = traced(name)
    smaller = remove(model, structure, keep_share(structure, 0.5))
    saved = {key: value.clone() for key, value in named_state(smaller).items()}
    loaded = safetensors.torch.load(safetensors.torch.save(saved))
    other = copy.deepcopy(smaller)
    for tensor in other.parameters():
        nn.init.zeros_(tensor)
    other.load_state_dict(loaded, strict=False)
    assert torch.equal(run(other, example), run(smaller, example))
    assert capture(smaller.eval(), example).output
    other.double().requires_grad_(True).train()
    other(example.double()).square().sum().backward()
    assert all(item.grad is not None for item in other.parameters())


def test_edit_takes_numbers_or_a_mask() -> None:
    model, _, structure = traced("flattened")
    group = structure.group("conv")
    mask = torch.zeros(8, dtype=torch.bool)
    mask[[1, 4]] = True
    state = named_state(model)
    first = consumer_edit(group, mask, state)
    second = consumer_edit(group, torch.tensor([1, 4]), state)
    assert first.keys() == second.keys() == {"fc1.weight"}
    assert torch.equal(first["fc1.weight"], second["fc1.weight"])
    zeros = (first["fc1.weight"] == 0).all(0).nonzero().reshape(-1)
    assert zeros.tolist() == [*range(9, 18), *range(36, 45)]


@pytest.mark.parametrize(
    ("kept", "error", "text"),
    [
        ({"conv": []}, InputError, "at least one of its 8 units stays"),
        ({"conv": [0, 8]}, InputError, "kept units 8 does not fit"),
        ({"conv": [1, 1]}, InputError, "units 0 to 7"),
        ({"fc2": [0]}, UnsupportedError, "is the network's output"),
        ({"none": [0]}, InputError, "unknown group"),
    ],
)
def test_bad_requests_are_one_line(
    kept: dict[str, list[int]], error: type[Exception], text: str
) -> None:
    model, _, structure = traced("flattened")
    with pytest.raises(error, match=text):
        remove(model, structure, kept)


def test_mask_of_a_group_that_cannot_be_pruned_is_an_error() -> None:
    model, _, structure = traced("flattened")
    with pytest.raises(UnsupportedError, match="cannot be pruned"):
        consumer_edit(structure.group("fc2"), torch.tensor([0]), named_state(model))


def test_wrong_removal_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _, structure = traced("flattened")
    monkeypatch.setattr(
        "pruners.groups.removal.edited_outputs", lambda *_: torch.ones(2, 5), raising=True
    )
    with pytest.raises(PruneScopeError, match="changes the outputs"):
        remove(model, structure, {"conv": [0, 1]})


class ByName(nn.Module):
    """Takes one tensor by its name, and halves what is pruned: its graph has to be rewritten."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(6, 8), nn.Linear(4, 3)

    def forward(self, inputs: Tensors) -> Tensor:
        gate, value = self.first(inputs.parts[0]).split(4, -1)
        return self.out(torch.sigmoid(gate) * value)


def test_a_rewritten_graph_takes_one_input_by_name() -> None:
    """Samples such as ``({"ids": x}, y)`` ended in a traceback of torch."""
    torch.manual_seed(0)
    model, example = ByName().eval(), Tensors([torch.randn(5, 6)])
    structure = find_structure(model, capture(model, example), example)
    (group,) = (item for item in structure.groups if item.prunable)
    kept = {group.id: range(0, group.units, 2)}
    smaller = remove(model, structure, kept)
    assert isinstance(smaller, fx.GraphModule)
    masked = edited_outputs(model, structure, kept)
    assert difference(smaller(example), masked) < 1e-5
