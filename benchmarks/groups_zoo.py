"""Groups and removal on the model zoo: torchvision's classifiers, and timm's where installed.

For each model, untrained with random norm statistics: groups, share of the parameters that can be
pruned, largest difference between masked and removed logits (each group alone at 0.5, all together
at 0.3 and 0.5), whether the predicted parameters and multiply-adds are those counted after
removal, seconds, and Torch-Pruning on the same model. Prints a table and one JSON line. With
``--out`` each model is a line of that file as soon as it is measured, and is not measured again.

    python -m benchmarks.groups_zoo --models resnet18,vit_b_16 --threads 2 --out zoo.jsonl
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from analysis.records import decode_json
from analysis.subjects.torchvision_import import torchvision
from pruners.capture import capture
from pruners.groups.cost import Cost, CostModel
from pruners.groups.groups import Structure, find_structure
from pruners.groups.removal import difference, edited_outputs, remove, removed_graph
from pruners.selection.masks import num_kept

# fmt: off
TORCHVISION = (
    "alexnet", "vgg11_bn", "resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2",
    "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "densenet121", "squeezenet1_0",
    "googlenet", "inception_v3", "efficientnet_b0", "efficientnet_v2_s", "shufflenet_v2_x1_0",
    "mnasnet1_0", "regnet_x_400mf", "regnet_y_400mf", "convnext_tiny", "vit_b_16", "swin_t",
    "swin_v2_t", "maxvit_t",
)
# fmt: on
# fmt: off
TIMM = (
    "resnetv2_50", "resnetv2_50x1_bit", "repvgg_a0", "ghostnet_100", "mixer_s32_224",
    "deit_tiny_patch16_224", "poolformer_s12",
)
# fmt: on

FIXED_SIZE = ("maxvit_t",)
TOLD_SIZE = ("vit_b_16", "mixer_s32_224", "deit_tiny_patch16_224")

PEER_SECONDS, PEER_BYTES = 60, 12 * 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What was measured on one model."""

    model: str
    groups: int
    prunable: int
    heads: int
    by_removal: int
    prunable_share: float
    alone: int
    difference: float
    predicted_right: bool
    own_class: bool
    capture_seconds: float
    find_seconds: float
    find_cpu_seconds: float
    torch_pruning_seconds: float | None
    torch_pruning: str


def build(name: str, *, size: int | None = None, seed: int = 0) -> tuple[nn.Module, Tensor]:
    """Return a model in eval mode with random norms, and an input batch.

    Args:
        name: Name of the model.
        size: Pixels a side where the model can be built for any; by default the usual ones.
        seed: Seed of parameters and inputs.
    """
    torch.manual_seed(seed)
    vision = torchvision()  # before timm, which imports it without the cure
    usual = 299 if name == "inception_v3" else 224
    size = usual if size is None or name in FIXED_SIZE else size
    if name in TIMM:
        import timm

        options = {"img_size": size} if name in TOLD_SIZE else {}
        model = timm.create_model(name, pretrained=False, **options)
    else:
        options = {"image_size": size} if name in TOLD_SIZE else {}
        if name in ("googlenet", "inception_v3"):
            options = {"aux_logits": False, "init_weights": False}
        model = vision.models.get_model(name, weights=None, **options)
    return randomized(model.eval()).requires_grad_(False), torch.randn(2, 3, size, size)


def randomized(model: nn.Module) -> nn.Module:
    """Give norms random statistics and affine parameters, so that a leak shows."""
    with torch.no_grad():
        for name, tensor in model.named_buffers():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif name.endswith("running_mean"):
                tensor.normal_(0, 0.3)
        for tensor in model.parameters():
            is_vector = tensor.numel() == max(tensor.shape, default=1)
            if is_vector:
                # Layer scales start so small that their branch would not show at all.
                base = 0.3 if float(tensor.abs().max()) < 0.01 else tensor
                tensor.copy_(base + 0.2 * torch.randn_like(tensor))
            elif not bool(tensor.any()):
                tensor.normal_(0, 0.05)
    return model


def kept_units(structure: Structure, ratio: float, *, exact: bool) -> dict[str, list[int]]:
    """Choose random units of every group."""
    generator = torch.Generator().manual_seed(0)
    kept = {}
    for group in structure.groups:
        if group.prunable and (group.exact or not exact):
            count = num_kept(ratio, group.units, keep_one=True)
            chosen = torch.randperm(group.units, generator=generator)[:count]
            kept[group.id] = sorted(chosen.tolist())
    return kept


def run(model: nn.Module, example: Tensor) -> Tensor:
    with torch.no_grad():
        return model(example)


def all_together(model: nn.Module, structure: Structure, costs: CostModel) -> tuple[Findings, bool]:
    """Remove from all groups at once at 0.3 and 0.5; say as well whether the class stayed."""
    found, own = Findings(), True
    for ratio in (0.3, 0.5):
        kept = kept_units(structure, ratio, exact=False)
        smaller = remove(model, structure, kept)
        own &= isinstance(smaller, type(model))
        cost, _ = counted(smaller, structure.example)
        found.note(predicted_right=costs.predict(kept) == cost)
        exact = kept_units(structure, ratio, exact=True)
        if exact:
            removed = run(removed_graph(model, structure, exact), structure.example)
            found.note(distance=difference(removed, edited_outputs(model, structure, exact)))
    return found, own


def one_at_a_time(model: nn.Module, structure: Structure, costs: CostModel) -> Findings:
    """Remove half of each group alone."""
    found = Findings()
    for group_id, units in kept_units(structure, 0.5, exact=False).items():
        kept = {group_id: units}
        cost, removed = counted(removed_graph(model, structure, kept), structure.example)
        found.note(predicted_right=costs.predict(kept) == cost)
        if structure.group(group_id).exact:
            found.note(distance=difference(removed, edited_outputs(model, structure, kept)))
        found.alone += 1
    return found


@dataclass
class Findings:
    """Largest difference of masked and removed logits, and whether all predictions were right."""

    distance: float = 0.0
    predicted_right: bool = True
    alone: int = 0

    def note(self, *, distance: float = 0.0, predicted_right: bool = True) -> None:
        """Add one finding."""
        # A difference that is not a number must not pass for a small one.
        self.distance = max(self.distance, distance if distance == distance else float("inf"))
        self.predicted_right &= predicted_right


def counted(model: nn.Module, example: Tensor) -> tuple[Cost, Tensor]:
    """Count parameters and, with torch's own counter, multiply-adds of one sample; and run."""
    counter = FlopCounterMode(display=False)
    # The counter knows the plain attention kernel only.
    torch.backends.mha.set_fastpath_enabled(False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        logits = model(example)
    torch.backends.mha.set_fastpath_enabled(True)
    params = sum(item.numel() for item in model.parameters())
    return Cost(params=params, macs=counter.get_total_flops() // 2 // len(example)), logits


def prunable_share(model: nn.Module, structure: Structure) -> float:
    """Return the share of the parameters that some prunable group covers."""
    covered = {
        name: torch.zeros(item.shape, dtype=torch.bool) for name, item in model.named_parameters()
    }
    for group in structure.groups:
        for member in group.members:
            if group.prunable and member.name in covered:
                covered[member.name].movedim(member.dim, 0)[member.index >= 0] = True
    total = sum(mask.numel() for mask in covered.values())
    return sum(int(mask.sum()) for mask in covered.values()) / total


def peer_in_own_process(name: str) -> tuple[float | None, str]:
    """Run Torch-Pruning on a model where it can be stopped; it may take all time and memory."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.groups_zoo", "--peer", name]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PEER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return None, f"no answer in {PEER_SECONDS} s"
    if done.returncode:
        return None, "crashes (12 GiB of memory allowed)"
    return decode_json(tuple[float | None, str], done.stdout.splitlines()[-1], name="the answer")


def torch_pruning(model: nn.Module, example: Tensor) -> tuple[float | None, str]:
    """Let Torch-Pruning find the groups and prune half of each; say how that went."""
    try:
        import torch_pruning as tp
    except ImportError:
        return None, "not installed"
    last = [item for item in model.modules() if isinstance(item, nn.Linear | nn.Conv2d)][-1]
    for item in model.parameters():
        item.requires_grad_(True)
    seconds = None
    try:
        with quiet():
            start = time.perf_counter()
            graph = tp.DependencyGraph().build_dependency(model, example_inputs=example)
            list(graph.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear]))
            seconds = time.perf_counter() - start
            pruner = tp.pruner.BasePruner(
                model,
                example,
                importance=tp.importance.MagnitudeImportance(p=1),
                pruning_ratio=0.5,
                ignored_layers=[last],
            )
            pruner.step()
            run(model, example)
    except Exception as error:
        return seconds, f"fails: {type(error).__name__}"
    return seconds, "works"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def timed(function: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return a result, wall seconds and processor seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def measure(name: str, *, size: int | None = None, singles: bool = True, peer: bool = True) -> Row:
    """Measure one model."""
    model, example = build(name, size=size)
    graph, capture_seconds, _ = timed(lambda: capture(model, example))
    structure, wall, cpu = timed(lambda: find_structure(model, graph, example))
    costs = CostModel(structure)
    right = costs.dense == counted(model, example)[0]
    found, own = all_together(model, structure, costs)
    alone = one_at_a_time(model, structure, costs) if singles else Findings()
    prunable = [group for group in structure.groups if group.prunable]
    share = prunable_share(model, structure)
    seconds, verdict = peer_in_own_process(name) if peer else (None, "not run")
    return Row(
        model=name,
        groups=len(structure.groups),
        prunable=len(prunable),
        heads=sum(group.kind == "head" for group in prunable),
        by_removal=sum(not group.exact for group in prunable),
        prunable_share=round(share, 4),
        alone=alone.alone,
        difference=max(found.distance, alone.distance),
        predicted_right=right and found.predicted_right and alone.predicted_right,
        own_class=own,
        capture_seconds=round(capture_seconds, 2),
        find_seconds=round(wall, 2),
        find_cpu_seconds=round(cpu, 2),
        torch_pruning_seconds=None if seconds is None else round(seconds, 2),
        torch_pruning=verdict,
    )


HEAD = (
    f"{'model':24}{'groups':>7}{'prunable':>9}{'heads':>6}{'norm':>5}{'params':>8}{'alone':>6}"
    f"{'difference':>11}{'cost':>6}{'class':>6}{'capture':>8}{'find':>6}{'cpu':>6}{'TP':>7}  TP"
)


def line(row: Row) -> str:
    peer = "-" if row.torch_pruning_seconds is None else f"{row.torch_pruning_seconds:.1f}"
    return (
        f"{row.model:24}{row.groups:7}{row.prunable:9}{row.heads:6}{row.by_removal:5}"
        f"{row.prunable_share:8.1%}{row.alone:6}{row.difference:11.1e}"
        f"{'ok' if row.predicted_right else 'WRONG':>6}{'own' if row.own_class else 'graph':>6}"
        f"{row.capture_seconds:8.1f}{row.find_seconds:6.1f}{row.find_cpu_seconds:6.1f}{peer:>7}"
        f"  {row.torch_pruning}"
    )


def earlier(path: Path | None) -> list[Row]:
    """Read the models that an earlier, perhaps interrupted, run measured."""
    if path is None or not path.exists():
        return []
    return [decode_json(Row, item, name=str(path)) for item in path.read_text().splitlines()]


def append(path: Path | None, row: Row) -> None:
    if path is not None:
        with path.open("a") as file:
            print(json.dumps(asdict(row)), file=file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join((*TORCHVISION, *TIMM)))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--size", type=int, help="pixels a side, for models that take any")
    parser.add_argument("--no-singles", action="store_true", help="all groups together only")
    parser.add_argument("--no-peer", action="store_true", help="leave Torch-Pruning out")
    parser.add_argument("--out", type=Path, help="JSON lines: measured models are kept and skipped")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peer:
        resource.setrlimit(resource.RLIMIT_AS, (PEER_BYTES, PEER_BYTES))
        print(json.dumps(torch_pruning(*build(options.peer))))
        return
    rows, failed = {row.model: row for row in earlier(options.out)}, {}
    print(HEAD, flush=True)
    for name in options.models.split(","):
        try:
            if name not in rows:
                rows[name] = measure(
                    name,
                    size=options.size,
                    singles=not options.no_singles,
                    peer=not options.no_peer,
                )
                append(options.out, rows[name])
            print(line(rows[name]), flush=True)
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}".splitlines()[0]
            print(f"{name:24}{failed[name]}", flush=True)
        gc.collect()
    summary = {
        "benchmark": "groups_zoo",
        "models": len(rows),
        "failed": failed,
        "largest_difference": max((row.difference for row in rows.values()), default=None),
        "largest_find_seconds": max((row.find_seconds for row in rows.values()), default=None),
        "rows": [asdict(row) for row in rows.values()],
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
