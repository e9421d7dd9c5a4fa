"""A loaded subject with everything that is computed from it once: graph, groups, scores."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from analysis.edits.program import program_digest
from analysis.edits.statistics_cache import StatisticsCache
from analysis.engine import PRECISIONS, Evaluator
from analysis.memory import usual_limit
from analysis.records import Identity, Inventory, OnProgress, SubjectSpec, counting
from analysis.subjects import Subject, build_inventory, inventory
from pruners import statistics as calibration
from pruners.capture import Graph, capture
from pruners.criteria import CRITERIA, DATA_FREE, Level, group_scores, producer_scores, scores
from pruners.errors import CaptureError, InputError, UnsupportedError
from pruners.float32 import strict
from pruners.groups import CostModel, Group, Structure, WholeCost, find_structure
from pruners.layers import find_layer, layer_names, output_first_weight
from pruners.preserve import twin
from pruners.statistics import BRANCH_NEEDS, LayerData

CALIBRATION_BATCH = 64
# A CPU gains nothing from larger batches, and people see numbers after each.
CPU_BATCH = 250
# Other devices are kept busy by large ones only.
DEVICE_BATCH = 2**14
DEVICE_BATCH_BYTES = 2**29
# Outputs over a vocabulary are run in parts; a batch is at most so many of them.
OUTPUT_PARTS = 4
T = TypeVar("T")


def no_data(criteria: Iterable[str], spec: SubjectSpec) -> InputError:
    """Return the error of criteria that lack calibration data."""
    has_none_left = spec.data is not None and spec.calibration_samples > 0
    give = "give a data address and calibration samples above 0"
    give = "all of the data are evaluated: give more samples" if has_none_left else give
    return InputError(
        f"criteria {', '.join(sorted(criteria))} need calibration data; {give}, "
        "name calibration data, or choose criteria that read weights only"
    )


@dataclass(eq=False, slots=True)
class _Learned:
    """What the weights and the calibration samples told, for all who share both."""

    statistics: calibration.Statistics | None = None
    needs: set[str] = field(default_factory=set)
    # Scores, or why there are none, by level, layer and criterion.
    scores: dict[tuple[str, ...], Tensor | InputError] = field(default_factory=dict)


@dataclass(eq=False)
class PreparedSubject:
    """What sweep, live evaluation and plans share. Safe to use from several threads.

    Attributes:
        subject: The loaded subject; its model is never changed.
        graph: The captured model; None where it cannot be captured.
        structure: Layers and groups; None without a graph.
        evaluator: The incremental evaluator, or its fall-back.
        cost: Parameters and MACs after removal; without a graph, those of the dense model.
        capture_reason: Why there is no graph.
        program: Digest of what the model computes beside its weights, for keys of caches.
        cache_folder: Where calibration statistics are kept; None keeps them in memory only.
    """

    subject: Subject
    graph: Graph | None
    structure: Structure | None
    evaluator: Evaluator
    cost: CostModel | WholeCost
    capture_reason: str = ""
    program: str = ""
    cache_folder: Path | None = None
    _learned: _Learned = field(default_factory=_Learned)
    _evaluators: dict[str, Evaluator] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _built: dict[Hashable, Any] = field(default_factory=dict, init=False)

    @property
    def model(self) -> nn.Module:
        """The dense model."""
        return self.subject.model

    @property
    def identity(self) -> Identity:
        """What all numbers of the subject depend on."""
        return Identity(
            weights=self.subject.fingerprint,
            data=self.subject.data_fingerprint,
            program=f"{torch.__version__}:{self.program}",
        )

    @property
    def batch_size(self) -> int:
        """Samples a batch: as the specification says, or what suits the device.

        Where a batch ends is kept with the points of a sweep, so it must not hang on what memory
        happens to be free; what does not fit is run in parts.
        """
        if self.subject.spec.batch_size is not None:
            return self.subject.spec.batch_size
        example = self.subject.example
        most = OUTPUT_PARTS * self.subject.output_samples
        if example.device.type == "cpu":
            return min(CPU_BATCH, most)
        sample = max(1, example.nbytes // len(example))
        return max(1, min(DEVICE_BATCH, DEVICE_BATCH_BYTES // sample, most))

    def once(self, key: Hashable, build: Callable[[], T]) -> T:
        """Return what was built for a key before, else build it: for what hangs on this alone."""
        with self._lock:
            if key not in self._built:
                self._built[key] = build()
            found: T = self._built[key]
        return found

    @property
    def inventory(self) -> Inventory:
        """Layers and groups with their sizes."""
        return self.once("inventory", self._take_inventory)

    def _take_inventory(self) -> Inventory:
        if self.structure is None:
            return inventory(self.subject)
        return build_inventory(self.model, self.structure)

    def evaluator_at(self, precision: str) -> Evaluator:
        """Return the evaluator for one of `analysis.engine.PRECISIONS`, built when first used.

        Raises:
            UnknownNameError: No such precision.
            UnsupportedError: The model does not run in it.
        """
        open_evaluator = PRECISIONS.get(precision).open
        with self._lock:
            if precision not in self._evaluators:
                self._evaluators[precision] = open_evaluator(
                    self.evaluator,
                    self.graph,
                    self.subject.example,
                    gaps=self.subject.task.gaps,
                )
            return self._evaluators[precision]

    def layers(self) -> tuple[str, ...]:
        """Return the names of the layers with a prunable weight, in execution order if known."""
        known = layer_names(self.model)
        if self.structure is None:
            return known
        ordered = [layer.name for layer in self.structure.layers if layer.executed]
        return tuple(name for name in ordered if name in set(known))

    def layer_shape(self, layer: str) -> torch.Size:
        """Return the shape of a layer's weight, output channels first."""
        return output_first_weight(find_layer(self.model, layer), name=layer).shape

    def group(self, name: str) -> Group:
        """Return a group by its id.

        Raises:
            UnsupportedError: The model could not be captured, so it has no groups.
        """
        return self.require_structure().group(name)

    def require_structure(self) -> Structure:
        """Return layers and groups.

        Raises:
            UnsupportedError: The model could not be captured.
        """
        if self.structure is None:
            raise UnsupportedError(
                "channels, heads, branches and layers need the model's graph, which could not be "
                f"captured ({self.capture_reason}); granularity element works without it"
            )
        return self.structure

    def prepare(self, criteria: Iterable[str], *, progress: OnProgress | None = None) -> None:
        """Collect the calibration statistics of several criteria in one pass.

        What was collected before is not collected again.

        Raises:
            UnknownNameError: No such criterion.
            InputError: A criterion needs calibration data and the subject has none.
        """
        entries = [CRITERIA.get(name) for name in criteria]
        needs = frozenset().union(*(entry.needs for entry in entries)) - {"seed", *BRANCH_NEEDS}
        with self._lock:
            missing = self._not_cached(frozenset(needs - self._learned.needs))
            if not missing:
                return
            split = self.subject.calibration
            if split is None and missing <= DATA_FREE:
                self._note(
                    self._collect([(self.subject.example, None)], missing, progress), missing
                )
                return
            if split is None:
                lacking = (item.name for item in entries if item.needs & missing)
                raise no_data(lacking, self.subject.spec)
            found = self._collect(list(split.batches(CALIBRATION_BATCH)), missing, progress)
            self._note(found, missing)
            if cache := self._cache():
                for need in sorted(missing):
                    cache.save(need, found)

    def use_cache(self, folder: Path) -> None:
        """Keep calibration statistics in a folder, and take them from there."""
        self.cache_folder = folder

    def _cache(self) -> StatisticsCache | None:
        subject = self.subject
        if self.cache_folder is None or subject.calibration is None:
            return None
        return StatisticsCache(
            self.cache_folder,
            {
                "weights": subject.fingerprint,
                "program": self.program,
                "calibration": subject.calibration_fingerprint,
                "seed": subject.spec.seed,
                "batch": CALIBRATION_BATCH,
            },
        )

    def _not_cached(self, needs: frozenset[str]) -> frozenset[str]:
        """Take statistics from the cache; return those that it does not have."""
        cache = self._cache() if needs else None
        if cache is None:
            return needs
        missing = set()
        for need in sorted(needs):
            found = cache.load(need, device=self.subject.example.device)
            if found is None or not set(self.layers()) <= set(found.layers):
                missing.add(need)
            else:
                self._note(found, frozenset({need}))
        return frozenset(missing)

    def _collect(
        self,
        batches: list[calibration.Batch],
        needs: frozenset[str],
        progress: OnProgress | None,
    ) -> calibration.Statistics:
        return calibration.collect(
            twin(self.model),
            batches,
            layers=self.layers(),
            needs=needs,
            seed=self.subject.spec.seed,
            progress=counting(progress, "batches"),
            max_samples=self._samples_at_a_time(),
            loss=self.subject.task.loss,
            draw=self.subject.task.drawn,
        )

    def _samples_at_a_time(self) -> int:
        """Return how many samples' activations and outputs fit the memory limit."""
        size, limit = self.evaluator.values_bytes(1), self.evaluator.memory_limit
        most = self.subject.output_samples
        return most if size is None or limit is None else max(1, min(most, limit // max(size, 1)))

    def _note(self, found: calibration.Statistics, needs: frozenset[str]) -> None:
        self._learned.statistics = _merged(self._learned.statistics, found)
        self._learned.needs |= needs

    def layer_scores(self, layer: str, criterion: str, level: Level) -> Tensor:
        """Return the scores of one layer, computed once.

        Args:
            layer: Module name.
            criterion: Registered name.
            level: ``element`` (shape of the output-first weight) or ``channel`` (``(O,)``).

        Raises:
            UnsupportedError: The criterion does not apply to the layer.
            InputError: The scores are not finite, or data is missing.
        """
        self.prepare([criterion])
        key = (level, layer, criterion)
        with self._lock:
            known = self._learned.scores
            if key not in known:
                known[key] = self._computed(layer, criterion, level)
            found = known[key]
        if isinstance(found, InputError):
            raise found
        return found

    def of(self, subject: Subject) -> PreparedSubject:
        """Return the same model with other samples, or a twin of the model.

        What the calibration told is shared where the calibration samples are the same.

        Args:
            subject: Of the same weights and seed.
        """
        is_same = subject.calibration is self.subject.calibration
        learned = self._learned if is_same else _Learned()
        return dataclasses.replace(self, subject=subject, _learned=learned)

    def layer_data(self, layer: str, criterion: str) -> LayerData:
        """Return a layer with what a criterion reads.

        Raises:
            InputError: Data is missing.
        """
        self.prepare([criterion])
        return calibration.layer_data(
            self.model, layer, statistics=self._learned.statistics, seed=self.subject.spec.seed
        )

    def _computed(self, layer: str, criterion: str, level: Level) -> Tensor | InputError:
        data = self.layer_data(layer, criterion)
        try:
            with torch.no_grad():
                return scores(criterion, data, level=level)
        except InputError as error:
            return error

    def channel_scores(
        self, group: Group, criterion: str, *, reduction: str = "mean", scaled: bool = True
    ) -> Tensor:
        """Return the scores ``(units,)`` of a group's units; see `group_scores`.

        Raises:
            UnsupportedError: The criterion applies to none of the group's producers.
        """
        found = producer_scores(
            group,
            lambda layer: self.layer_scores(layer, criterion, "channel"),
            reduction=reduction,
        )
        return group_scores(group, found, reduction=reduction, scaled=scaled)


def _merged(
    old: calibration.Statistics | None, new: calibration.Statistics
) -> calibration.Statistics:
    if old is None:
        return new
    return dataclasses.replace(
        new,
        layers={name: {**old.layers.get(name, {}), **new.layers[name]} for name in new.layers},
        reasons={
            name: {**old.reasons.get(name, {}), **new.reasons.get(name, {})}
            for name in {**old.reasons, **new.reasons}
        },
    )


@strict
def prepare(subject: Subject) -> PreparedSubject:
    """Capture a subject's model, find its groups and build its evaluator.

    Args:
        subject: The loaded subject; its specification limits the evaluator's memory.
    """
    graph: Graph | None = None
    reason = ""
    try:
        graph = capture(subject.model, subject.example)
    except CaptureError as error:
        reason = str(error)
    structure = None if graph is None else find_structure(subject.model, graph, subject.example)
    limit = subject.spec.memory_limit
    if limit is None:
        limit = usual_limit(str(subject.example.device))
    evaluator = Evaluator(
        subject.model,
        graph,
        example=subject.example,
        fallback_reason=reason,
        memory_limit=limit,
    )
    cost = WholeCost(subject.model, subject.example) if structure is None else CostModel(structure)
    return PreparedSubject(
        subject=subject,
        graph=graph,
        structure=structure,
        evaluator=evaluator,
        cost=cost,
        capture_reason=reason,
        program=program_digest(subject, graph),
    )
