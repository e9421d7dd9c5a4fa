"""One plan after another: layers before the first change are taken over, to the bit the same."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from analysis.edits import edit_for, targets
from analysis.edits.prepared import PreparedSubject
from analysis.plans.apply import mask_of_entry, start_plan
from analysis.plans.editing import set_ratio
from analysis.records.plan import Plan
from analysis.recovery import plan_repair
from analysis.recovery.kept import repair_key
from analysis.recovery.plan_repair import Recovery, Repairer, recover_plan
from analysis.repairs import point_repairer
from pruners.layers import native_weight
from pruners.reconstruction import layerwise
from pruners.reconstruction.known import KnownLayers
from pruners.reconstruction.layerwise import Repair, repair_layers
from pruners.selection.masks import keep_mask
from tests.helpers.contexts import sample_context
from tests.helpers.plans import at_ratio


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The layers that are fitted, as they are."""
    found: list[str] = []
    repair_one = layerwise.repair_one

    def counted(model: nn.Module, name: str, **options: object) -> object:
        found.append(name)
        return repair_one(model, name, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(layerwise, "repair_one", counted)
    return found


def start(prepared: PreparedSubject, ratio: float = 0.4) -> Plan:
    plan = start_plan(prepared, criterion="l1", granularity="channel")
    return at_ratio(plan, [entry.name for entry in plan.entries], ratio)


def assert_same(found: Recovery, expected: Recovery) -> None:
    assert found.plan == expected.plan
    assert found.layers == expected.layers
    assert found.skipped == expected.skipped
    assert dict(found.edit.kept) == dict(expected.edit.kept)
    assert found.edit.tensors.keys() == expected.edit.tensors.keys()
    for name, tensor in expected.edit.tensors.items():
        assert torch.equal(found.edit.tensors[name], tensor), name


@pytest.mark.parametrize(
    ("sample", "method"),
    [
        ("resnet20", "lsq"),
        ("resnet20", "obs"),
        ("resnet20", "bn"),
        ("vit_tiny", "lsq"),
        ("lenet5", "search"),
    ],
)
def test_plan_after_plan_is_as_from_scratch(sample: str, method: str) -> None:
    prepared = sample_context(sample)
    plan = start(prepared)
    names = [entry.name for entry in plan.entries]
    repairer = Repairer(prepared, method)
    edits = [plan, *(set_ratio(plan, names[at], 0.6) for at in (-1, 0))]
    for edited in edits:
        found = repairer.repair(edited)
        assert_same(found, recover_plan(prepared, edited, method=method))


def test_an_edit_repairs_the_layers_from_there_on(fitted: list[str]) -> None:
    prepared = sample_context("resnet20")
    plan, repairer = start(prepared), Repairer(prepared, "lsq")
    order = [item.layer for item in repairer.repair(plan).layers]
    assert fitted == order
    # What reads each group, in the order of execution: a block's inner channels have one reader.
    for name, first in [
        ("layer3.2.conv1", "layer3.2.conv2"),
        ("layer2.0.conv1", "layer2.0.conv2"),
        ("conv1", "layer1.0.conv1"),
    ]:
        fitted.clear()
        repairer.repair(set_ratio(plan, name, 0.6))
        assert fitted == order[order.index(first) :]
    fitted.clear()
    repairer.repair(plan)
    assert fitted == []


def test_what_does_not_fit_the_memory_is_repaired_again(fitted: list[str]) -> None:
    prepared = sample_context("resnet20")
    plan = start(prepared)
    sizes = [
        recovered.nbytes
        for name, recovered in recover_plan(prepared, plan, method="lsq").edit.tensors.items()
        if name.endswith("weight")
    ]
    repairer = Repairer(prepared, "lsq", max_bytes=sum(sizes) // 2)
    for edited in (plan, set_ratio(plan, "layer2.0.conv1", 0.6), plan):
        fitted.clear()
        found = repairer.repair(edited)
        assert 0 < len(fitted) <= len(found.layers)
        assert_same(found, recover_plan(prepared, edited, method="lsq"))


@pytest.mark.parametrize("method", ["sparsegpt-sequential", "wanda-sequential"])
def test_weights_that_removed_channels_take_too_count_among_those_that_are_asked_for(
    method: str,
) -> None:
    """The joint mask of both plans is the same, the number of weights to choose is not."""
    prepared = sample_context("lenet5")
    channels = set_ratio(start(prepared, 0.0), "fc1", 0.5)
    (entry,) = (item for item in channels.entries if item.layer == "fc1")
    _, units = mask_of_entry(prepared, entry, reduction=channels.reduction)
    elements = start_plan(prepared, criterion="l1", granularity="element")
    (whole,) = (item for item in elements.entries if item.layer == "fc2")
    read = units.expand(prepared.layer_shape("fc2"))
    some = torch.arange(whole.total).reshape(read.shape) % 7
    repairer = Repairer(prepared, method)
    for keep in (some == 0) | ~read, some == 0:
        places = tuple(keep.flatten().nonzero().flatten().tolist())
        chosen = dataclasses.replace(whole, kept=len(places), indices=places, ratio=0.9)
        plan = dataclasses.replace(channels, entries=(entry, chosen))
        assert_same(repairer.repair(plan), recover_plan(prepared, plan, method=method))


@pytest.mark.parametrize("method", ["tune", "search"])
def test_groups_are_tuned_in_one_order_however_a_plan_lists_them(method: str) -> None:
    """Both have one key among kept repairs."""
    prepared = sample_context("lenet5")
    plan = dataclasses.replace(start(prepared), repair=method)
    turned = dataclasses.replace(plan, entries=plan.entries[::-1])
    assert repair_key(prepared, turned) == repair_key(prepared, plan)
    found, expected = (
        recover_plan(prepared, item, method=method).edit.tensors for item in (turned, plan)
    )
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


class Recurrent(nn.Module):
    """Calls its first layer again behind its second."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.first(torch.relu(self.second(torch.relu(self.first(inputs)))))


class Tied(Recurrent):
    """Has a third layer with the weights of its first, before its second."""

    def __init__(self) -> None:
        super().__init__()
        self.third = nn.Linear(8, 8)
        self.third.weight = self.first.weight

    def forward(self, inputs: Tensor) -> Tensor:
        return self.second(torch.relu(self.third(torch.relu(self.first(inputs)))))


@pytest.mark.parametrize("kind", [Recurrent, Tied])
def test_layers_whose_past_is_not_what_stands_before_them_are_not_taken_over(
    kind: type[Recurrent],
) -> None:
    torch.manual_seed(0)
    model = kind().eval()
    batches = [(torch.randn(64, 8), None)]
    known = KnownLayers(max_bytes=2**20)

    def repaired(kept: int, known: KnownLayers | None) -> Repair:
        masks = {
            f"{name}.weight": keep_mask(native_weight(model.get_submodule(name)).abs(), count)
            for name, count in (("first", 48), ("second", kept))
        }
        state = dict(model.named_parameters(remove_duplicate=False))
        edit = {name: state[name].detach() * mask for name, mask in masks.items()}
        return repair_layers(model, batches, edit=edit, masks=masks, known=known)

    for kept in (40, 24, 40):
        found, expected = repaired(kept, known), repaired(kept, None)
        for name, tensor in expected.edit.items():
            assert torch.equal(found.edit[name], tensor), name
    assert known.nbytes == 0


def test_known_layers_keep_what_was_used_last() -> None:
    known = KnownLayers(max_bytes=2 * 40)
    item = layerwise.LayerRepair("layer", 1.0, 0.5)
    for key in (b"a", b"b", b"a", b"c"):
        if known.get(key) is None:
            known.put(key, ({"layer.weight": torch.zeros(10)}, item))
    assert known.nbytes == 80
    assert known.get(b"b") is None
    assert known.get(b"a") is not None
    assert known.get(b"c") is not None


def test_the_calibration_set_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared, reads = sample_context("lenet5"), []
    read = plan_repair.calibration_batches
    monkeypatch.setattr(
        plan_repair, "calibration_batches", lambda item: reads.append(item) or read(item)
    )
    repairer = Repairer(prepared, "lsq")
    for ratio in (0.2, 0.4):
        repairer.repair(start(prepared, ratio))
    assert len(reads) == 1


@pytest.mark.parametrize("method", ["lsq", "bn"])
def test_points_do_not_see_what_other_threads_run_meanwhile(method: str) -> None:
    """Hooks and norms in train mode are on modules of the repairer's own."""
    prepared = sample_context("resnet20")
    target = targets(prepared, "channel")[1]
    mask = keep_mask(torch.arange(float(target.total)), target.total // 2)
    edit = edit_for(prepared, target, mask)
    inputs = prepared.subject.example
    with torch.inference_mode():
        expected = prepared.model(inputs)

    alone = point_repairer(prepared, method).repaired(target, mask, edit, key="alone")
    runs = 0

    def run(module: nn.Module, _args: object, _output: object) -> None:
        nonlocal runs
        if isinstance(module, nn.Conv2d) and not runs:
            runs += 1
            with torch.inference_mode():
                assert torch.equal(prepared.model(inputs), expected)

    handle = nn.modules.module.register_module_forward_hook(run)
    try:
        found = point_repairer(prepared, method).repaired(target, mask, edit, key="beside")
    finally:
        handle.remove()
    assert runs
    assert found.tensors.keys() == alone.tensors.keys()
    for name, tensor in alone.tensors.items():
        assert torch.equal(found.tensors[name], tensor), name
