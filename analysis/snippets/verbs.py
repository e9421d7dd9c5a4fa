"""Each step of the work, as a command and as Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from analysis.records import REMOVED, Plan, SubjectSpec, SweepSpec
from analysis.snippets.commands import command, command_of
from analysis.snippets.source import source_of, store_of

PLAN_FILE, EXPORTED = "plan.json", "exported"
_LOADED = "from analysis.edits import prepare", "from analysis.subjects import load_subject"
_STORED = "from pathlib import Path", "from analysis.store import Store"


@dataclass(frozen=True, slots=True)
class Snippet:
    """One step of the work.

    Attributes:
        cli: Command lines for a shell.
        python: Source that does the same.
    """

    cli: str
    python: str


def inspect_subject(spec: SubjectSpec) -> Snippet:
    """Look at the layers and groups of a subject."""
    words = ["inspect", "--model", spec.model]
    words += [] if spec.data is None else ["--data", spec.data]
    words += [] if spec.device == "cpu" else ["--device", spec.device]
    return Snippet(
        command(words),
        _source(
            [
                "from analysis.records import SubjectSpec",
                "from analysis.subjects import inventory, load_subject",
            ],
            f"subject = load_subject({source_of(spec)})",
            "for layer in inventory(subject).layers:",
            "    print(layer.name, layer.params, layer.macs, layer.group, layer.reason)",
        ),
    )


def run_sweep(spec: SweepSpec, workspace: Path | None) -> Snippet:
    """Measure a sweep and keep it in a workspace."""
    place = "" if workspace is None else command((), workspace).removeprefix("prunescope")
    return Snippet(
        command_of(spec) + place,
        _source(
            [
                *_STORED,
                "from analysis.records import SubjectSpec, SweepSpec",
                "from analysis.worker import run_to_end",
            ],
            f"spec = {source_of(spec)}",
            f"store = {store_of(workspace)}",
            "run = run_to_end(store, store.runs.create(spec))",
            "points = store.points.table(run.run_id)",
        ),
    )


def read_curves(run_id: str, tolerance: float, workspace: Path | None) -> Snippet:
    """Read a run's points, and what each layer tolerates."""
    return Snippet(
        command(["runs", "show", run_id, "--out", "points.csv"], workspace),
        _source(
            [*_STORED, "from analysis.curves import tolerated"],
            f"points = {store_of(workspace)}.points.table({run_id!r})",
            f"print(tolerated(points, tolerance={tolerance:g}))",
        ),
    )


def compare_criteria(run_id: str, tolerance: float, workspace: Path | None) -> Snippet:
    """Read a run's points, and which criterion is best or tied where."""
    return Snippet(
        read_curves(run_id, tolerance, workspace).cli,
        _source(
            [*_STORED, "from analysis.comparison import summary, win_matrix"],
            f"points = {store_of(workspace)}.points.table({run_id!r})",
            f"print(win_matrix(points, tolerance={tolerance:g}))",
            f"print(summary(points, tolerance={tolerance:g}))",
        ),
    )


def take_plan(plan_id: str, workspace: Path | None) -> Snippet:
    """Take a saved plan out of a workspace."""
    return Snippet(
        _plan_file(plan_id, workspace),
        _source(
            [*_LOADED, *_STORED, "from analysis.plans import meter, write_plan"],
            *_plan(plan_id, workspace),
            "params, macs = meter(prepared).sizes(plan)",
            f"write_plan(plan, Path({PLAN_FILE!r}))",
        ),
    )


def evaluate_plan(
    plan_id: str, plan: Plan, workspace: Path | None, *, int8: bool = False
) -> Snippet:
    """Measure a saved plan beside the dense model, in 8 bits as well."""
    words = ["evaluate", "--plan", PLAN_FILE, *["--int8"] * int8]
    deployed = [
        f"in_8_bits = deploy_plan(prepared, plan{_recovered(plan)})",
        "print(in_8_bits.int8.accuracy, in_8_bits.int8.gzip_bytes, in_8_bits.int8.latency)",
    ]
    return Snippet(
        f"{_plan_file(plan_id, workspace)}\n{command(words, workspace)}",
        _source(
            [
                *_LOADED,
                *_STORED,
                f"from analysis.evaluation import {'deploy_plan, ' * int8}evaluate_plan",
                *_repair_import(plan),
            ],
            *_plan(plan_id, workspace),
            *_recovery(plan),
            f"found = evaluate_plan(prepared, plan{_recovered(plan)})",
            "print(found.dense.accuracy, found.removed.accuracy, found.removed.params)",
            *deployed * int8,
        ),
    )


def export_plan(
    plan_id: str,
    format_name: str,
    plan: Plan,
    workspace: Path | None,
    *,
    form: str = REMOVED,
    sparse: bool = False,
) -> Snippet:
    """Write a saved plan, or its model in one of its forms, as files."""
    words = ["export", "--plan", PLAN_FILE, "--format", format_name]
    words += ["--form", form] * (form != REMOVED) + ["--sparse"] * sparse
    words += ["--out", EXPORTED]
    options = f", form={form!r}" * (form != REMOVED) + ", sparse=True" * sparse
    return Snippet(
        f"{_plan_file(plan_id, workspace)}\n{command(words, workspace)}",
        _source(
            [
                *_LOADED,
                *_STORED,
                "from analysis.interop import ExportRequest, export",
                *_repair_import(plan),
            ],
            *_plan(plan_id, workspace),
            "points = store.points.table(plan.run) if plan.run else None",
            *_recovery(plan),
            "request = ExportRequest(",
            f"    prepared=prepared, plan=plan, points=points, directory=Path({EXPORTED!r})"
            f"{_recovered(plan)}{options}",
            ")",
            f"print(export({format_name!r}, request).files)",
        ),
    )


def import_results(file: str, said: Mapping[str, str], workspace: Path | None) -> Snippet:
    """Read what another program measured, as a run."""
    words = [word for name, answer in said.items() for word in (f"--{name}", answer)]
    return Snippet(
        command(["import", file, *words], workspace),
        _source(
            [
                *_STORED,
                "from analysis.imports import ImportRequest, format_of, imported_run, read_result",
            ],
            f"content = Path({file!r}).read_bytes()",
            f"chosen = format_of(content, {file!r})",
            f"raw = read_result(content, chosen, {file!r})",
            f"request = ImportRequest(file={file!r}, content=content, said={dict(said)!r})",
            f"print(imported_run(request, chosen, raw).save({store_of(workspace)}))",
        ),
    )


def list_runs(workspace: Path | None) -> Snippet:
    """List what a workspace has measured."""
    return Snippet(
        command(["runs", "list"], workspace),
        _source(
            _STORED,
            f"for run in {store_of(workspace)}.runs.all():",
            "    print(run.run_id, run.state, run.spec.subject.model, run.spec.criteria)",
        ),
    )


def list_plans(workspace: Path | None) -> Snippet:
    """List the plans of a workspace, with what was measured of them."""
    return Snippet(
        command(["plans", "list"], workspace),
        _source(
            [*_STORED, "from analysis.evaluation import Known"],
            f"store = {store_of(workspace)}",
            "known = Known(store)",
            "for saved in store.plans.saved():",
            "    found = known.of(saved.plan)",
            "    print(saved.plan_id, saved.name, saved.macs_left)",
            "    if found is not None:",
            "        print(found.accuracy, found.drop)",
        ),
    )


def _source(imports: list[str] | tuple[str, ...], *lines: str) -> str:
    """Return source with its imports as people sort them: the standard library first."""
    own = sorted(item for item in imports if item.startswith("from analysis"))
    other = sorted(set(imports) - set(own))
    return "\n".join([*other, *([""] if other else []), *own, "", *lines])


def _plan_file(plan_id: str, workspace: Path | None) -> str:
    return command(["plans", "show", plan_id, "--out", PLAN_FILE], workspace)


def _plan(plan_id: str, workspace: Path | None) -> tuple[str, ...]:
    return (
        f"store = {store_of(workspace)}",
        f"plan = store.plans.get({plan_id!r})",
        "prepared = prepare(load_subject(plan.subject))",
    )


def _repair_import(plan: Plan) -> list[str]:
    return ["from analysis.recovery import repaired_plan"] if plan.is_recovered else []


def _recovery(plan: Plan) -> list[str]:
    # Trained weights are in the workspace, which a repair only makes faster.
    place = ["prepared.use_cache(store.statistics_folder)"] if plan.training else []
    return [*place, "recovery = repaired_plan(prepared, plan)"] if plan.is_recovered else []


def _recovered(plan: Plan) -> str:
    return ", recovery=recovery" if plan.is_recovered else ""
