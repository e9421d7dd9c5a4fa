"""How long a model takes with one group made smaller: a table, measured once a machine.

Groups interact in time as in multiply-adds: what two of them remove of one layer is saved once. The
table is of single groups; for several, the multiply-adds that were counted twice are given back at
the table's own rate of seconds per multiply-add. The table is PyTorch's; one model with all groups
made smaller, measured by a runtime, says how much of that the runtime saves. That is an estimate:
the model that is chosen by it has to be measured.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from analysis.edits import Edit, PreparedSubject, edited_model
from analysis.files import write_text
from analysis.measuring.latency import compare_latency
from analysis.measuring.runtime import TORCH, Runtime
from analysis.records import Document, Record, Seconds
from pruners.batches import Inputs, shape_of
from pruners.errors import InputError
from pruners.groups import Parts

# Shares of a group's units that are kept; times between them are read linearly.
_SHARES = (0.75, 0.5, 0.25, 0.0)
_REPEATS, _WARMUP = 12, 2
# What a runtime saves of what the table says: a model that saves nothing says nothing.
_LEAST_SAVED, _MOST_SAVED = 0.1, 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeTimes(Record):
    """How the times of a runtime differ from those of a table.

    Attributes:
        dense: Seconds of the dense model.
        saved: What is saved, as a multiple of what the table says, both as shares of the dense.
        groups: The groups that were made smaller to see it, in the order of their names.
    """

    dense: Seconds
    saved: float
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyTable(Document):
    """Times of a forward pass.

    Attributes:
        batch: Samples of a pass.
        threads: Threads of the processor.
        dense: Seconds of the dense model.
        groups: Group id -> kept count, as text -> seconds with that group alone made smaller.
        runtimes: What is known of runtimes, by name.
    """

    batch: int
    threads: int
    dense: Seconds
    groups: dict[str, dict[str, Seconds]]
    runtimes: dict[str, RuntimeTimes] = field(default_factory=dict)

    def alone(self, group: str, units: int, kept: int) -> float:
        """Return the seconds that a group alone saves at a count, by the table."""
        row = self.groups.get(group, {})
        counts = sorted(map(int, row))
        times = [row[str(count)] for count in counts]
        time = np.interp(kept, [*counts, units], [*times, self.dense])
        return float(min(time, self.dense) - self.dense)


def latency_table(
    prepared: PreparedSubject, names: Sequence[str], runtime: Runtime = TORCH
) -> LatencyTable:
    """Return the table of some groups; what the workspace keeps of it is not measured again.

    Args:
        prepared: The subject.
        names: Group ids.
        runtime: What its `estimated` times are of.

    Raises:
        InputError: There is no data to run the model on.
    """
    inputs = _inputs(prepared)
    path = _path(prepared, len(inputs))
    table = None
    if path is not None and path.exists():
        # A damaged file is measured anew.
        with contextlib.suppress(InputError):
            table = LatencyTable.from_json(path.read_bytes())
    if table is None:
        table = LatencyTable(
            batch=len(inputs), threads=torch.get_num_threads(), dense=0.0, groups={}
        )
        table = dataclasses.replace(table, dense=_dense_seconds(prepared, inputs))
    for name in names:
        if name not in table.groups:
            row = _measured(prepared, name, inputs, table.dense)
            table = dataclasses.replace(table, groups={**table.groups, name: row})
            _keep(table, path)
    known = table.runtimes.get(runtime.name)
    # What other groups save says little of these.
    if known is None or known.groups != tuple(sorted(names)):
        found = _runtime_times(table, prepared, names, runtime)
        table = dataclasses.replace(table, runtimes={**table.runtimes, runtime.name: found})
        _keep(table, path)
    return table


def _keep(table: LatencyTable, path: Path | None) -> None:
    if path is not None:
        # A folder that cannot be written only means that it is measured again.
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, table.to_json(indent=1))


def _runtime_times(
    table: LatencyTable, prepared: PreparedSubject, names: Sequence[str], runtime: Runtime
) -> RuntimeTimes:
    """Measure the model with half of the units of all groups, by the runtime."""
    kept = {name: (prepared.group(name).units + 1) // 2 for name in names}
    edit = Edit(kept={name: tuple(range(count)) for name, count in kept.items()})
    seconds, dense = measured_seconds(prepared, edited_model(prepared, edit), runtime)
    expected = 1 - _table_seconds(table, prepared)(kept) / table.dense
    saved = (1 - seconds / dense) / expected if expected > 0 else 1.0
    saved = min(max(saved, _LEAST_SAVED), _MOST_SAVED)
    return RuntimeTimes(dense=dense, saved=saved, groups=tuple(sorted(names)))


def measured_seconds(
    prepared: PreparedSubject, model: nn.Module, runtime: Runtime = TORCH
) -> tuple[float, float]:
    """Return the seconds that a model and the dense one take, measured in turn.

    Args:
        prepared: The subject.
        model: Another size of its model.
        runtime: Runs both.
    """
    models = {"dense": prepared.model, "small": model}
    found = compare_latency(models, _inputs(prepared), runtime=runtime)
    return found["small"].least, found["dense"].least


def estimated(
    table: LatencyTable, prepared: PreparedSubject, runtime: Runtime = TORCH
) -> tuple[Callable[[Mapping[str, int]], float], Callable[[Mapping[str, Sequence[int]]], Parts]]:
    """Return what estimates seconds: of kept counts, and as a sum of parts of few groups.

    Args:
        table: Knows the groups and the runtime.
        prepared: The subject.
        runtime: Whose seconds.
    """
    units = _units(prepared)
    rate = _rate(table, prepared, units)
    by_table, known = _table_seconds(table, prepared), table.runtimes[runtime.name]
    # Seconds of the runtime for a second of the table.
    scale = known.saved * known.dense / table.dense

    def amount(kept: Mapping[str, int]) -> float:
        return known.dense + scale * (by_table(kept) - table.dense)

    def parts(choices: Mapping[str, Sequence[int]]) -> Parts:
        _, macs = prepared.cost.parts(choices)
        found: dict[tuple[str, ...], Tensor] = {
            (name,): torch.tensor(
                [scale * table.alone(name, units[name], count) for count in counts],
                dtype=torch.float64,
            )
            for name, counts in choices.items()
        }
        return found | {
            scope: scale * rate * part for scope, part in macs.items() if len(scope) > 1
        }

    return amount, parts


def _table_seconds(
    table: LatencyTable, prepared: PreparedSubject
) -> Callable[[Mapping[str, int]], float]:
    units = _units(prepared)
    rate = _rate(table, prepared, units)

    def amount(kept: Mapping[str, int]) -> float:
        single = sum(table.alone(name, units[name], count) for name, count in kept.items())
        macs = prepared.cost.dense.macs
        alone = sum(
            prepared.cost.predict({name: count}).macs - macs for name, count in kept.items()
        )
        twice = prepared.cost.predict(kept).macs - macs - alone
        return table.dense + single + rate * twice

    return amount


def _units(prepared: PreparedSubject) -> dict[str, int]:
    return {group.id: group.units for group in prepared.require_structure().groups}


def _rate(table: LatencyTable, prepared: PreparedSubject, units: Mapping[str, int]) -> float:
    """Return the seconds that a multiply-add takes, by what single groups save (least squares)."""
    saved = [
        (
            prepared.cost.predict({name: int(count)}).macs - prepared.cost.dense.macs,
            table.alone(name, units[name], int(count)),
        )
        for name, row in table.groups.items()
        for count in row
        if int(count) < units[name]
    ]
    macs, seconds = np.array(saved, dtype=float).reshape(-1, 2).T
    return float(macs @ seconds / max(float(macs @ macs), 1e-300))


def _inputs(prepared: PreparedSubject) -> Inputs:
    split = prepared.subject.evaluation
    if split is None:
        raise InputError("a budget in latency runs the model on its data; give a data address")
    batch: Inputs = next(iter(split.batches(prepared.batch_size)))[0]
    return batch.to(prepared.subject.example.device)


def _dense_seconds(prepared: PreparedSubject, inputs: Inputs) -> float:
    return compare_latency({"dense": prepared.model}, inputs)["dense"].least


def _measured(
    prepared: PreparedSubject, name: str, inputs: Inputs, dense: float
) -> dict[str, float]:
    """Measure a group's row: each size in turn with the dense model, whose time is the unit."""
    units = prepared.group(name).units
    counts = sorted({max(1, round(units * share)) for share in _SHARES} - {units})
    models = {
        str(count): edited_model(prepared, Edit(kept={name: tuple(range(count))}))
        for count in counts
    }
    found = compare_latency(
        {"": prepared.model, **models}, inputs, repeats=_REPEATS, warmup=_WARMUP
    )
    return {count: dense * found[count].least / found[""].least for count in map(str, counts)}


def _path(prepared: PreparedSubject, batch: int) -> Path | None:
    """Return where the table is kept: by model, machine, threads and batch."""
    if prepared.cache_folder is None:
        return None
    content = (
        prepared.subject.fingerprint,
        prepared.program,
        platform.node(),
        platform.processor(),
        prepared.subject.example.device,
        torch.get_num_threads(),
        torch.__version__,
        shape_of(prepared.subject.example),
        batch,
    )
    name = hashlib.sha256("|".join(map(str, content)).encode()).hexdigest()[:16]
    return prepared.cache_folder / f"latency-{name}.json"
