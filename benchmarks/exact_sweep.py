"""Exact sweep against the plain loop: prune, run the whole eager model, restore, point by point.

Both sides run in this process with the same threads, batch by batch in turns, over the same points
of the same evaluation subset. ``--plain masked`` is the loop of every known tool: pruned weights
are zeroed in place (at channel granularity the columns of the layers that read the channels), the
whole model runs, the weights are put back. ``--plain removed`` runs models from which the channels
were removed before the clock starts: the harder rival, and the oracle of the counts.

Speed-ups are given by the wall clock and by processor time; on a machine with other work the second
is the one to trust. The ideal is the arithmetic downstream of the edits alone, at the throughput of
this machine's best convolution.

    python -m benchmarks.exact_sweep --subject sample:resnet20 --samples 2000
    python -m benchmarks.exact_sweep --subject torchvision:mobilenet_v2 --criteria l1 --samples 16
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from analysis.edits.edit import edit_for
from analysis.edits.masks import kept_units, scores
from analysis.edits.prepared import PreparedSubject, prepare
from analysis.edits.target import targets
from analysis.engine.steps import Part
from analysis.records.subject import SubjectSpec
from analysis.records.sums import Sums
from analysis.records.sweep import PointKey, SweepSpec, SweepUpdate
from analysis.subjects.subject import load_subject
from analysis.sweeps.ratios import parse_ratios
from analysis.sweeps.sweep import iter_sweep, plan_sweep
from benchmarks.images import random_images
from pruners.capture import named_state
from pruners.groups.removal import remove


@dataclass
class Clock:
    """Wall and processor time of one side."""

    wall: float = 0.0
    cpu: float = 0.0

    def add(self, work: Callable[[], object]) -> None:
        """Do some work and add what it took."""
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu


@dataclass
class Plain:
    """Counts and time of the plain loop."""

    correct: dict[PointKey, int] = field(default_factory=dict)
    samples: int = 0
    clock: Clock = field(default_factory=Clock)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subject", default="sample:resnet20")
    parser.add_argument("--data", default=None, help="default: the samples' own, or random images")
    parser.add_argument("--criteria", default="l1,fpgm,taylor")
    parser.add_argument("--granularity", default="channel")
    parser.add_argument("--ratios", default="0.1:0.9:0.1")
    parser.add_argument("--layers", default="*")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=250)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--plain", choices=("masked", "removed"), default="masked")
    parser.add_argument(
        "--plain-batches",
        type=int,
        default=None,
        help="time the plain loop on the first batches only and scale (default: all)",
    )
    return parser.parse_args()


def masks_of(prepared: PreparedSubject, points: tuple[PointKey, ...]) -> dict[PointKey, Tensor]:
    """Choose what each point keeps; both sides are handed their masks, so this is not timed."""
    found = {(item.layer, item.group): item for item in targets(prepared, points[0].granularity)}
    return {
        key: kept_units(
            scores(prepared, found[key.layer, key.group], key.criterion),
            key.kept,
            granularity=key.granularity,
        )
        for key in points
    }


class PlainLoop:
    """Runs the whole eager model once a point and batch.

    Args:
        prepared: The subject; its model is masked in place and restored.
        masks: What each point keeps.
        removes: Whether channels are removed instead of masked. Where a norm mixes the channels
            they are removed in any case: nothing else gives the answer.
    """

    def __init__(
        self, prepared: PreparedSubject, masks: dict[PointKey, Tensor], *, removes: bool
    ) -> None:
        self._prepared = prepared
        self._state = named_state(prepared.model)
        found = {
            (item.layer, item.group): item
            for item in targets(prepared, next(iter(masks)).granularity)
        }
        self._edits = {
            key: edit_for(prepared, found[key.layer, key.group], mask)
            for key, mask in masks.items()
        }
        self._models: dict[PointKey, nn.Module] = {
            key: self._removed(key, mask)
            for key, mask in masks.items()
            if key.group is not None and (removes or self._edits[key].kept)
        }
        self.result = Plain()

    def _removed(self, key: PointKey, mask: Tensor) -> nn.Module:
        structure = self._prepared.require_structure()
        kept = {str(key.group): mask.nonzero().flatten().tolist()}
        return remove(self._prepared.model, structure, kept).eval()

    @torch.no_grad()
    def batch(self, inputs: Tensor, labels: Tensor) -> None:
        """Add one batch of every point."""
        for key in self._edits:
            self.result.clock.add(lambda key=key: self._point(key, inputs, labels))
        self.result.samples += len(labels)

    def _point(self, key: PointKey, inputs: Tensor, labels: Tensor) -> None:
        if key in self._models:
            logits = self._models[key](inputs)
        else:
            edit = self._edits[key].tensors
            saved = {name: self._state[name].detach().clone() for name in edit}
            for name, tensor in edit.items():
                self._state[name].data.copy_(tensor)
            logits = self._prepared.model(inputs)
            for name, tensor in saved.items():
                self._state[name].data.copy_(tensor)
        right = int((logits.argmax(1) == labels).sum())
        self.result.correct[key] = self.result.correct.get(key, 0) + right


def best_throughput() -> float:
    """Return the FLOP a second of processor time of the best convolution found here."""
    best = 0.0
    with torch.inference_mode():
        for channels, size, samples in ((64, 14, 64), (128, 14, 32), (256, 14, 16)):
            images = torch.randn(samples, channels, size, size).to(
                memory_format=torch.channels_last
            )
            weight = torch.randn(channels, channels, 3, 3).to(memory_format=torch.channels_last)
            flop = 2 * images.numel() * channels * 9
            for _ in range(12):
                clock = Clock()
                clock.add(lambda i=images, w=weight: torch.conv2d(i, w, padding=1))
                best = max(best, flop / clock.cpu)
    return best


def downstream_flop(
    prepared: PreparedSubject, spec: SweepSpec, points: tuple[PointKey, ...]
) -> tuple[float, float]:
    """Return the FLOP a sample downstream of the edits, equal masks counted once, and their share.

    The share is the mean over the edits of what lies downstream, of a dense pass. What is no
    convolution, linear layer or matrix product is not counted.
    """
    program = prepared.evaluator.program
    assert program is not None
    example = prepared.subject.example
    by_part: dict[tuple[int, ...], float] = {}
    with torch.inference_mode():
        start = program.prepare(example)
        known = {**start, **program.run(program.whole(), start)}

        def flop(part: Part) -> float:
            if part.steps not in by_part:
                with FlopCounterMode(display=False) as counter:
                    program.run(part, known)
                by_part[part.steps] = counter.get_total_flops() / len(example)
            return by_part[part.steps]

        items = plan_sweep(prepared, spec).grid.items
        total = sum(flop(program.part(i.names) if i.names else program.whole()) for i in items)
        return total, total / len(items) / flop(program.whole())


def compare(
    prepared: PreparedSubject, spec: SweepSpec, *, limit: int | None, removes: bool
) -> dict[str, object]:
    points = plan_sweep(prepared, spec).points
    prepared.prepare(spec.criteria)
    loop = PlainLoop(prepared, masks_of(prepared, points), removes=removes)
    engine, before = Clock(), dict[PointKey, Sums]()
    updates = iter_sweep(plan_sweep(prepared, spec))
    latest: list[SweepUpdate] = []
    assert prepared.subject.evaluation is not None
    batches = prepared.subject.evaluation.batches(spec.subject.batch_size)
    for number, (inputs, labels) in enumerate(batches):
        seen = loop.result.samples + len(inputs)
        while not latest or latest[-1].samples < min(
            (number + 1) * spec.subject.batch_size, len(prepared.subject.evaluation)
        ):
            engine.add(lambda: latest.append(next(updates)))
        if limit is None or number < limit:
            assert labels is not None
            loop.batch(inputs, labels)
            before = dict(latest[-1].sums)
            assert all(sums.samples == seen for sums in before.values())
    plain, update = loop.result, latest[-1]
    differences = [abs(before[key]["correct"] - plain.correct[key]) for key in before]
    scale = update.samples / plain.samples
    flop, share = downstream_flop(prepared, spec, points)
    ideal = flop * update.samples / best_throughput()
    return {
        "points": len(points),
        "failed": len(update.failed),
        "samples": update.samples,
        "plain_samples": plain.samples,
        "engine_seconds": round(engine.wall, 2),
        "plain_seconds": round(plain.clock.wall * scale, 2),
        "speedup_wall": round(plain.clock.wall * scale / engine.wall, 2),
        "engine_cpu_seconds": round(engine.cpu, 2),
        "plain_cpu_seconds": round(plain.clock.cpu * scale, 2),
        "speedup_cpu": round(plain.clock.cpu * scale / engine.cpu, 2),
        "downstream_share": round(share, 3),
        "ideal_cpu_seconds": round(ideal, 2),
        "share_of_ideal": round(ideal / engine.cpu, 2),
        "points_with_other_counts": sum(item > 0 for item in differences),
        "flips": sum(differences),
        "answers": plain.samples * len(before),
    }


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        data = options.data or (
            "sample:fashion-mnist"
            if options.subject.startswith("sample:")
            else random_images(Path(folder), samples=options.samples)
        )
        subject = SubjectSpec(
            model=options.subject,
            data=data,
            samples=options.samples,
            batch_size=min(options.batch_size, options.samples),
            device=options.device,
            calibration_samples=512 if data == "sample:fashion-mnist" else 8,
        )
        spec = SweepSpec(
            subject=subject,
            criteria=tuple(options.criteria.split(",")),
            granularity=options.granularity,
            ratios=parse_ratios(options.ratios),
            layers=options.layers,
            precision=options.precision,
        )
        start = time.perf_counter()
        prepared = prepare(load_subject(subject))
        opened = time.perf_counter() - start
        found = compare(
            prepared, spec, limit=options.plain_batches, removes=options.plain == "removed"
        )
    result = {
        "benchmark": "exact_sweep",
        "subject": options.subject,
        "criteria": options.criteria,
        "granularity": options.granularity,
        "ratios": options.ratios,
        "precision": options.precision,
        "plain": options.plain,
        **found,
        "open_seconds": round(opened, 2),
        "incremental": prepared.evaluator.is_incremental,
        "batch_size": subject.batch_size,
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
