"""What the evaluation of a plan says: records for pages, command line and export."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from analysis.records.answers import Answers
from analysis.records.codec import Count, PositiveCount, Seconds, Share
from analysis.records.plan import Plan
from analysis.records.record import NO_REPAIR, UNWRITTEN, Document, Record, Recovered
from analysis.records.sums import Sums
from analysis.sentences import plural

if TYPE_CHECKING:
    from analysis.records.probe import Change
else:
    # Of arrays, which no document holds.
    Change = Any

DENSE, MASKED, REMOVED, INT8 = "dense", "masked", "removed", "int8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(Record):
    """How long one forward pass takes.

    Attributes:
        median: Median seconds per batch.
        p90: 90th percentile, seconds per batch.
        repeats: All measured passes, seconds, in order.
        batch: Samples per pass.
        device: Where it ran, with the processor's thread count told apart in ``threads``.
        threads: Threads of the CPU.
        warmup: Passes before the first measured one.
    """

    median: Seconds
    p90: Seconds
    repeats: tuple[Seconds, ...]
    batch: PositiveCount
    device: str
    threads: PositiveCount
    warmup: Count

    @property
    def least(self) -> float:
        """Seconds of the fastest pass: what other programs on the machine disturb least."""
        return min(self.repeats)

    @property
    def text(self) -> str:
        """How it was measured, for a caption."""
        where = f"{self.device}, {plural(self.threads, 'thread')}"
        return (
            f"batch {self.batch}, {where}, {len(self.repeats)} passes after {self.warmup} to warm "
            "up"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredModel(Record):
    """One form of the model, measured.

    Attributes:
        name: ``dense``, ``masked`` or ``removed``.
        sums: Counts and sums over the evaluated samples.
        accuracy: The task's score: of classification the fraction right (without labels: same
            answer as dense).
        low: Lower end of its interval.
        high: Upper end.
        drop: Score lost against dense on the same samples.
        drop_low: Lower end of its paired interval.
        drop_high: Upper end.
        params: Parameters of the model as stored.
        nonzero: Parameters that are not zero.
        macs: MACs per sample.
        file_bytes: Size of the weights as a safetensors file.
        latency: Measured latency; None where it was not measured.
    """

    name: str
    sums: Sums
    accuracy: float
    low: float
    high: float
    drop: float
    drop_low: float
    drop_high: float
    params: Count
    nonzero: Count
    macs: Count
    file_bytes: Count
    latency: Latency | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedModel(Record):
    """A model as a file of a runtime, measured there.

    Attributes:
        name: ``dense``, ``removed`` or ``int8``.
        sums: Counts and sums over the evaluated samples.
        accuracy: The task's score.
        low: Lower end of its interval.
        high: Upper end.
        drop: Score lost against the dense model in PyTorch on the same samples.
        drop_low: Lower end of its paired interval.
        drop_high: Upper end.
        file_bytes: Size of the file.
        gzip_bytes: Size of the file compressed by gzip: zeros and repeated values take little.
        zeros: Weights that are zero in the file.
        latency: Measured there, on the processor; None where it was not measured.
    """

    name: str
    sums: Sums
    accuracy: float
    low: float
    high: float
    drop: float
    drop_low: float
    drop_high: float
    file_bytes: Count
    gzip_bytes: Count
    zeros: Count
    latency: Latency | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment(Record):
    """A pruned model in 8 bits, beside what it was made of, all in one runtime.

    Attributes:
        runtime: What ran them, with its version: ``onnxruntime 1.32.0``.
        calibration: Samples that ranges of activations are of; none of them was evaluated.
        dense: The model as it was, float32.
        removed: The physically smaller model, float32.
        int8: The physically smaller model in 8 bits.
        same_answers: Samples to which ``int8`` and ``removed`` give the same answer.
        difference: Largest difference of their outputs, relative to the largest output.
        agreement: Share of answers - of samples, tokens or pixels - that both give; None where
            answers are numbers.
    """

    runtime: str
    calibration: Count
    dense: DeployedModel
    removed: DeployedModel
    int8: DeployedModel
    same_answers: Count
    difference: float
    agreement: float | None = None

    @property
    def models(self) -> tuple[DeployedModel, ...]:
        """All three, the dense one first."""
        return self.dense, self.removed, self.int8


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeScore(Record):
    """A score that hangs on all samples at once, and is no function of sums over them.

    Attributes:
        label: Its name, such as ``mAP``.
        dense: Of the dense model, a fraction.
        pruned: Of the pruned model.
        drop: dense - pruned.
        drop_low: Lower end of its interval.
        drop_high: Upper end.
        method: How the interval came about.
    """

    label: str
    dense: float
    pruned: float
    drop: float
    drop_low: float
    drop_high: float
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassChange(Record):
    """What pruning does to one class.

    Attributes:
        class_name: Its name.
        samples: Samples of the class (without labels: that dense answers so); of segmentation,
            its pixels.
        dense: Accuracy of the dense model; of segmentation, IoU.
        pruned: That of the pruned model.
        change: pruned - dense, as a fraction.
        change_low: Lower end of its paired interval.
        change_high: Upper end.
        clear: The interval excludes 0.
    """

    class_name: str
    samples: Count
    dense: Share
    pruned: Share
    change: float
    change_low: float
    change_high: float
    clear: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation(Recovered, Document):
    """A plan, measured.

    Attributes:
        samples: Samples evaluated.
        labelled: Whether labels exist; without them answers are compared with dense.
        dense: The model as it was.
        masked: The model with what the plan removes set to zero; None where zeroing is not the
            same as removing (a norm mixes the channels).
        removed: The physically smaller model.
        classes: Change of each class, of the removed model.
        answers: Which answers the removed model changes; None where none are classes.
        same_answers: Samples with the same answer from the masked and the removed model; None
            without a masked one.
        largest_difference: Largest difference of their outputs, relative to the largest output.
        notes: What a reader must know.
        repair: How masked and removed were repaired; ``none`` if they were not.
        trained: How they were trained, for a person; empty if they were not.
        whole: Scores of the removed model that hang on all samples at once.
        deployment: The removed model in 8 bits beside float32, in a runtime; None where that was
            not measured.
        change: What the plan changes of the first outputs, which teaches predictions; None where
            the task keeps none, and of an evaluation that was read: it is not written.
    """

    samples: Count
    labelled: bool
    dense: MeasuredModel
    removed: MeasuredModel
    masked: MeasuredModel | None = None
    classes: tuple[ClassChange, ...] = ()
    answers: Answers | None = None
    same_answers: Count | None = None
    largest_difference: float | None = None
    notes: tuple[str, ...] = ()
    repair: str = NO_REPAIR
    trained: str = ""
    whole: tuple[WholeScore, ...] = ()
    deployment: Deployment | None = None
    change: Change | None = field(default=None, compare=False, repr=False, metadata=UNWRITTEN)

    @property
    def params_left(self) -> float:
        """Fraction of the dense model's parameters that stays."""
        return self.removed.params / max(self.dense.params, 1)

    @property
    def is_dense(self) -> bool:
        """Whether nothing was removed: the removed model is as large as the dense one."""
        dense, removed = self.dense, self.removed
        sizes = (dense.params, dense.macs, dense.nonzero)
        return sizes == (removed.params, removed.macs, removed.nonzero)

    @property
    def macs_left(self) -> float:
        """Fraction of its MACs that stays."""
        return self.removed.macs / max(self.dense.macs, 1)

    @property
    def agrees(self) -> bool | None:
        """Whether masked and removed give the same answer to every sample; None if unknown."""
        return None if self.same_answers is None else self.same_answers == self.samples


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEvaluation:
    """An evaluation of the workspace.

    Attributes:
        plan: What was evaluated: with its subject and its repair.
        evaluation: What was found.
        changed: When, Unix time.
    """

    plan: Plan
    evaluation: Evaluation
    changed: float
