"""Exact sweep against the plain loop: prune, run the whole eager model, restore, point by point.

Both sides run in this process with the same threads, batch by batch in turns, over the same points
of the same evaluation subset. Prints a table and one JSON line.

    python -m benchmarks.exact_sweep --subject sample:resnet20 --samples 2000
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from analysis.edits import SubjectContext, kept_units, open_context, scores, targets
from analysis.ratios import parse_ratios
from analysis.records import PointKey, SubjectSpec, Sums, SweepSpec
from analysis.subject import load_subject
from analysis.sweep import SweepUpdate, iter_sweep, plan_sweep
from pruners.layers import find_layer, native_weight, to_native
from pruners.removal import remove


@dataclass
class Plain:
    """Counts and time of the plain loop."""

    correct: dict[PointKey, int] = field(default_factory=dict)
    samples: int = 0
    seconds: float = 0.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subject", default="sample:resnet20")
    parser.add_argument("--data", default="sample:fashion-mnist")
    parser.add_argument("--criteria", default="l1,fpgm,taylor")
    parser.add_argument("--granularity", default="channel")
    parser.add_argument("--ratios", default="0.1:0.9:0.1")
    parser.add_argument("--layers", default="*")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=250)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--plain-batches",
        type=int,
        default=None,
        help="time the plain loop on the first batches only and scale (default: all)",
    )
    return parser.parse_args()


def masks_of(context: SubjectContext, points: tuple[PointKey, ...]) -> dict[PointKey, Tensor]:
    """Choose what each point keeps; both sides are handed their masks, so this is not timed."""
    found = {(item.layer, item.group): item for item in targets(context, points[0].granularity)}
    return {
        key: kept_units(
            scores(context, found[key.layer, key.group], key.criterion),
            key.kept,
            granularity=key.granularity,
        )
        for key in points
    }


@torch.no_grad()
def plain_batch(
    context: SubjectContext,
    masks: dict[PointKey, Tensor],
    inputs: Tensor,
    labels: Tensor,
    models: dict[PointKey, nn.Module],
    plain: Plain,
) -> None:
    """Add one batch of every point; removed models are made before the clock starts."""
    start = time.perf_counter()
    for key, mask in masks.items():
        if key.group is not None:
            right = (models[key](inputs).argmax(1) == labels).sum()
        else:
            module = find_layer(context.model, key.layer)
            weight = native_weight(module)
            saved = weight.detach().clone()
            weight.data.mul_(to_native(mask, module))
            right = (context.model(inputs).argmax(1) == labels).sum()
            weight.data.copy_(saved)
        plain.correct[key] = plain.correct.get(key, 0) + int(right)
    plain.seconds += time.perf_counter() - start
    plain.samples += len(labels)


def removed_models(
    context: SubjectContext, masks: dict[PointKey, Tensor]
) -> dict[PointKey, nn.Module]:
    structure = context.require_structure()
    return {
        key: remove(context.model, structure, {key.group: mask.nonzero().flatten().tolist()}).eval()
        for key, mask in masks.items()
        if key.group is not None
    }


def compare(context: SubjectContext, spec: SweepSpec, limit: int | None) -> dict[str, object]:
    points = plan_sweep(context, spec)
    context.prepare(spec.criteria)
    masks = masks_of(context, points)
    models = removed_models(context, masks)
    plain = Plain()
    counts: dict[PointKey, int] = {}
    before: dict[PointKey, Sums] = {}
    update: SweepUpdate | None = None
    engine = 0.0
    updates = iter_sweep(context, spec)
    assert context.subject.evaluation is not None
    for number, (inputs, labels) in enumerate(
        context.subject.evaluation.batches(spec.subject.batch_size)
    ):
        start = time.perf_counter()
        update = next(updates)
        engine += time.perf_counter() - start
        if limit is None or number < limit:
            assert labels is not None
            plain_batch(context, masks, inputs, labels, models, plain)
            before = dict(update.sums)
            counts = {key: sums.correct for key, sums in before.items()}
    assert update is not None
    differing = sum(counts[key] != plain.correct[key] for key in counts)
    flips = sum(abs(counts[key] - plain.correct[key]) for key in counts)
    scale = update.samples / plain.samples
    return {
        "points": len(points),
        "failed": len(update.failed),
        "samples": update.samples,
        "plain_samples": plain.samples,
        "engine_seconds": round(engine, 2),
        "plain_seconds": round(plain.seconds * scale, 2),
        "speedup": round(plain.seconds * scale / engine, 2),
        "points_with_other_counts": differing,
        "flips": flips,
        "answers": plain.samples * len(counts),
    }


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    subject = SubjectSpec(
        model=options.subject,
        data=options.data,
        samples=options.samples,
        batch_size=options.batch_size,
        device=options.device,
    )
    spec = SweepSpec(
        subject=subject,
        criteria=tuple(options.criteria.split(",")),
        granularity=options.granularity,
        ratios=parse_ratios(options.ratios),
        layers=options.layers,
    )
    start = time.perf_counter()
    context = open_context(load_subject(subject))
    opened = time.perf_counter() - start
    result = {
        "benchmark": "exact_sweep",
        "subject": options.subject,
        "criteria": options.criteria,
        "granularity": options.granularity,
        "ratios": options.ratios,
        **compare(context, spec, options.plain_batches),
        "open_seconds": round(opened, 2),
        "incremental": context.evaluator.is_incremental,
        "threads": options.threads,
        "device": options.device,
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
    }
    for name, value in result.items():
        print(f"{name:26} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
