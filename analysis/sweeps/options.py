"""The options of a sweep, each declared once: for the command line, the form, the docs.

Types and defaults are those of the fields of `SweepSpec` and `SubjectSpec` with the same name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Any, get_origin, get_type_hints

from analysis.devices import parse_devices
from analysis.engine import PRECISIONS
from analysis.memory import AUTO, parse_count, parse_limit
from analysis.records import SubjectSpec, SweepSpec
from analysis.repairs import REPAIRS, sweep_repairs
from analysis.sweeps.executors import EXECUTORS
from analysis.sweeps.modes import MODES
from analysis.sweeps.ratios import parse_ratios
from analysis.tasks import TASKS
from pruners.errors import UnknownNameError
from pruners.granularity import ROUNDINGS, forms
from pruners.reductions import REDUCTIONS
from pruners.registry import Entry, Registry, described, joined
from pruners.semantics import SEMANTICS
from pruners.user_code import resolved

_DEFAULTS = SweepSpec(subject=SubjectSpec(model=""))
_REQUIRED = ("model", "data")


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option.

    Attributes:
        name: Field of `SweepSpec` or `SubjectSpec`.
        label: Name on pages.
        help: What it is, in plain words.
        metavar: What a value is called on the command line.
        written: Default as people write it, where that is not the field's value.
        unset: What happens without a value.
        form: How values are written; empty where choices or words say it.
        choices: Returns the entries to choose from; None where any value may be given.
        explained_in: Page of the docs with what the choices are, where that takes more words.
        parse: From what people write to the field's value.
        is_required: Whether it must be given; a resumed sweep needs none.
        least: Smallest value; None where the record checks it.
    """

    name: str
    label: str
    help: str
    metavar: str
    written: str | None = None
    unset: str = ""
    form: str = ""
    choices: Callable[[], Iterable[Entry]] | None = None
    explained_in: str = ""
    parse: Callable[[Any], Any] = _same
    is_required: bool = False
    least: int | None = None

    @property
    def is_of_subject(self) -> bool:
        """Whether it is a field of `SubjectSpec`."""
        return any(field.name == self.name for field in dataclasses.fields(SubjectSpec))

    @property
    def default(self) -> Any:
        """The default as people write it; None for what must be given or may be left out."""
        if self.written is not None:
            return self.written
        value = self.value_in(_DEFAULTS)
        if self.name in _REQUIRED or self.unset or value == ():
            return None
        return ",".join(value) if isinstance(value, tuple) else value

    @property
    def type(self) -> Any:
        """The type of what people write."""
        if self.default is not None:
            return type(self.default)
        record = SubjectSpec if self.is_of_subject else SweepSpec
        field = get_type_hints(record)[self.name]
        return list[Path] | None if get_origin(field) is tuple else field | None

    @property
    def text(self) -> str:
        """Help with what can be chosen, for the command line and the docs."""
        if self.choices is not None and self.explained_in:
            names = joined(entry.name for entry in self.choices())
            return f"{self.help}: {names}; see {self.explained_in}."
        if self.choices is not None:
            return f"{self.help}. {described(self.choices())}."
        return f"{self.help}: {self.form}." if self.form else f"{self.help}."

    @property
    def flag(self) -> str:
        """The option on the command line; a list is given by repeating it."""
        name = self.name.removesuffix("s") if self.name == "criterion_files" else self.name
        return f"--{name.replace('_', '-')}"

    def value_in(self, spec: SweepSpec) -> Any:
        """Return the value that a sweep has."""
        return getattr(spec.subject if self.is_of_subject else spec, self.name)

    def words(self, value: Any) -> list[str]:
        """Return the words of a command line that give a value."""
        if get_origin(self.type) is UnionType and isinstance(value, tuple):
            return [word for item in value for word in (self.flag, str(item))]
        return [self.flag, ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]

    def check(self, value: Any) -> None:
        """Check that a value is one of the choices.

        Raises:
            UnknownNameError: It is none of them.
        """
        if self.choices is not None:
            known = [entry.name for entry in self.choices()]
            if value not in known:
                raise UnknownNameError(self.name, value, known)


OPTIONS = Registry(
    "option",
    (
        Option(name="model", label="Model", help="Model address", metavar="ADDRESS"),
        Option(name="data", label="Data", help="Data address", metavar="ADDRESS"),
        Option(
            name="task",
            label="Task",
            help="What the model answers",
            metavar="NAME",
            choices=lambda: TASKS,
            unset="what the data are for, else classification",
        ),
        Option(
            name="criteria",
            label="Criteria",
            help="How the importance of a channel or weight is judged",
            form="names joined by commas, or all; `prunescope criteria` lists them",
            metavar="NAMES",
            parse=lambda text: tuple(filter(None, map(str.strip, text.split(",")))),
        ),
        Option(
            name="granularity",
            label="Granularity",
            help="What one pruning decision removes",
            form=forms(),
            metavar="NAME",
        ),
        Option(
            name="ratios",
            label="Ratios removed",
            help="Fractions of the original",
            form="first:last:step, or numbers joined by commas",
            metavar="LIST",
            written="0.1:0.9:0.1",
            parse=parse_ratios,
        ),
        Option(
            name="rounding",
            label="Ratios round",
            help="How a ratio becomes a number of removed channels or weights",
            metavar="NAME",
            choices=lambda: ROUNDINGS,
        ),
        Option(
            name="layers",
            label="Layers",
            help="Only layers and groups whose name fits, such as layer3.* or conv1,layer3.*; "
            "* takes all",
            metavar="GLOBS",
        ),
        Option(
            name="samples",
            label="Evaluation samples",
            help="Size of the evaluation subset",
            metavar="N",
            unset="all samples",
        ),
        Option(
            name="calibration_samples",
            label="Calibration samples",
            help="Size of the calibration set, which is never evaluated",
            metavar="N",
            unset=f"{_DEFAULTS.subject.calibration_samples}, of text and of tasks with an answer "
            "at each pixel 128, and 0 where nothing needs them and they would have to be taken "
            "from the samples to evaluate",
        ),
        Option(
            name="calibration_data",
            label="Calibration data",
            help="Data address of samples for calibration alone: none are taken from --data",
            metavar="ADDRESS",
            unset="the data's own calibration set, else samples of --data",
        ),
        Option(
            name="batch_size",
            label="Batch size",
            help="Samples per batch, or auto: what suits the device",
            metavar="B",
            written=AUTO,
            parse=parse_count,
        ),
        Option(name="seed", label="Seed", help="Chooses subsets and random scores", metavar="S"),
        Option(
            name="mode",
            label="Effort",
            help="How much is measured",
            metavar="NAME",
            choices=lambda: MODES,
        ),
        Option(
            name="tolerance",
            label="Tolerance",
            help="Drop that adaptive mode decides on; of accuracy 0.01 is 1 pp",
            metavar="X",
            unset="0.01, or what the task says",
        ),
        Option(
            name="confidence",
            label="Confidence",
            help="Confidence of adaptive decisions and of the intervals",
            metavar="X",
        ),
        Option(
            name="repair",
            label="Repair of each point",
            help="Recovery of each point without training, on the calibration set",
            metavar="NAME",
            choices=lambda: map(REPAIRS.get, sweep_repairs()),
        ),
        Option(
            name="semantics",
            label="A pruned channel is",
            help="What a pruned channel means",
            metavar="NAME",
            choices=lambda: SEMANTICS,
            explained_in="docs/criteria.md",
        ),
        Option(
            name="reduction",
            label="Layers of a group join by",
            help="How the scores of coupled layers become one score per channel",
            metavar="NAME",
            choices=lambda: REDUCTIONS,
            explained_in="docs/criteria.md",
        ),
        Option(
            name="precision",
            label="Precision",
            help="In what points are computed",
            metavar="NAME",
            choices=lambda: PRECISIONS,
        ),
        Option(
            name="probe",
            label="Probe samples",
            help="The first evaluation samples of which is kept what each point changes in the "
            "outputs: what plans are predicted from; 0 keeps nothing, auto up to 2,048 whose "
            "changes take 32 MiB, but at least 512",
            metavar="N",
            written=AUTO,
            parse=partial(parse_count, least=0),
        ),
        Option(
            name="criterion_files",
            label="Criterion files",
            help="Python file with criteria of your own; repeatable. It is run: use what you trust",
            metavar="FILE",
            parse=lambda paths: tuple(str(resolved(path)) for path in paths),
        ),
        Option(
            name="executor",
            label="Executor",
            help="Who measures",
            metavar="NAME",
            choices=lambda: EXECUTORS,
        ),
        Option(
            name="ray_address",
            label="Ray cluster",
            help="The Ray cluster; auto takes RAY_ADDRESS or one on this machine",
            metavar="ADDRESS",
        ),
        Option(
            name="device",
            label="Device",
            help="cpu, cuda, cuda:1, mps or xpu; several joined by commas share a sweep, all takes "
            "every accelerator",
            metavar="NAMES",
            parse=parse_devices,
        ),
        Option(
            name="memory_limit",
            label="Memory limit",
            help="Memory for the values kept of a batch; what does not fit is measured in parts. "
            "auto: 1 GiB of a processor's memory, half of what is free elsewhere",
            metavar="SIZE",
            written=AUTO,
            parse=parse_limit,
        ),
    ),
)
