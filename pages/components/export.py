"""The Export page: what will be written, notes, files to download, round-trip check."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from analysis import interop
from analysis.evaluation import LoadedSubject
from analysis.interop import FORMS, Exported, ExportRequest, Format, RoundTrip, Verification
from analysis.plans import to_json
from analysis.records import REMOVED, Evaluation, Plan
from analysis.recovery import Recovery, repaired_plan
from analysis.sentences import capital
from analysis.snippets import export_plan
from pages.components import report
from pages.components.state import Session, evaluations, session, tolerance, url_state
from pages.components.widgets import code, formatting, go, ribbon

BUILT = "exports"
CHECKED = "round_trip"
VERIFIED = "verification"
# Icon and colour of a result.
RESULTS = {
    "passed": ":green[:material/check_circle:]",
    "failed": ":red[:material/cancel:]",
    "refused": ":orange[:material/block:]",
    "not installed": ":gray[:material/download:]",
}
PREVIEW_BYTES = 20_000
TEXT_TYPES = {".json": "json", ".py": "python", ".csv": None, ".md": "markdown", ".txt": None}


@dataclass(frozen=True, slots=True)
class File:
    """An exported file in memory.

    Attributes:
        name: File name.
        about: What is inside.
        content: Its bytes.
    """

    name: str
    about: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Built:
    """An export in memory, and which model it holds; see `_exported`."""

    model: Hashable
    files: tuple[File, ...]
    notes: tuple[str, ...]


def draw(current: Session, plan: Plan) -> None:
    """Draw the page."""
    request = _request(current, plan, Path())
    _evaluation_hint(current, plan)
    for note in interop.problems(request):
        st.caption(f":material/info: {formatting.message(capital(note))}.")
    chosen = _format()
    name, request = chosen.name, _with_options(request, chosen)
    built: dict[str, Built] = st.session_state.setdefault(BUILT, {})
    _actions(request, chosen, built)
    _checked(request)
    _verified(request, name)
    if name in built:
        if built[name].model != _exported(request):
            ribbon(
                "The plan, its repair, the model's form or the subject has changed since; build "
                "the files again."
            )
        _files(built[name], name)
    if (plan_id := url_state.value("plan")) is not None:
        code.offer(
            export_plan(
                plan_id,
                name,
                plan,
                session.named_workspace(),
                form=request.form,
                sparse=request.sparse,
            )
        )


def _actions(request: ExportRequest, chosen: Format, built: dict[str, Built]) -> None:
    """Draw what the format is and the buttons, and do what was clicked."""
    name = chosen.name
    buttons = st.container(horizontal=True, vertical_alignment="center")
    # Below the buttons: one that moved while it is clicked would miss the click. Drawn before them:
    # it is read where an export is refused, too.
    st.caption(f"{chosen.help} {chosen.described}".rstrip())
    if chosen.target:
        st.caption(f"For {chosen.target}: {chosen.installing}")
    with buttons:
        if st.button(
            "Build the files", type="primary", icon=":material/build:", key="export_build"
        ):
            with st.spinner("Building and writing", show_time=True):
                built[name] = _build(request, name)
        if name not in built:
            return
        is_checked = st.button(
            "Check the round trip",
            icon=":material/published_with_changes:",
            key="export_check",
            help="Exports, reads everything back, rebuilds the model in another process with "
            "PyTorch alone, and compares.",
        )
        is_verified = bool(chosen.verify) and st.button(
            "Verify",
            icon=":material/verified:",
            key="export_verify",
            help="Exports, has the libraries that the format is for read the files in a "
            "process of their own, and compares numbers.",
        )
    if is_checked:
        _check(request, name)
    if is_verified:
        _verify(request, name)


def _request(current: Session, plan: Plan, directory: Path) -> ExportRequest:
    with st.spinner("Loading the subject", show_time=True):
        subject = session.loaded(current.chosen)
    run = current.run
    is_of_run = run is not None and run.predicts and not current.is_stale
    points = (
        session.points(run) if run is not None and is_of_run and plan.run == run.run_id else None
    )
    recovery = _recovery(subject, plan)
    return ExportRequest(
        prepared=subject.prepared,
        plan=plan,
        directory=directory,
        points=points,
        evaluation=_measured(plan),
        recovery=recovery,
    )


def _format() -> Format:
    name = st.segmented_control(
        "Format",
        interop.FORMATS.names(),
        default=interop.FORMATS.names()[0],
        required=True,
        format_func=lambda item: interop.FORMATS.get(item).label,
        key="export_format",
        persist_state="session",
    )
    assert name is not None
    return interop.FORMATS.get(name)


def _with_options(request: ExportRequest, chosen: Format) -> ExportRequest:
    """Ask for the options that a format has."""
    form: str | None = REMOVED
    sparse = False
    if not chosen.options:
        return request
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if "form" in chosen.options:
            form = st.segmented_control(
                "Model",
                list(FORMS),
                default=REMOVED,
                required=True,
                format_func=lambda item: capital(FORMS[item]),
                key="export_form",
                persist_state="session",
                help="The masked model is as large as the dense one; what the plan removes is "
                "zero.",
            )
        if "sparse" in chosen.options:
            sparse = st.toggle(
                "Store zeros sparsely",
                key="export_sparse",
                persist_state="session",
                help="Mostly zero weights are stored without their zeros, which ONNX Runtime "
                "reads and OpenVINO does not.",
            )
    assert form is not None
    return dataclasses.replace(request, form=form, sparse=sparse)


def _recovery(subject: LoadedSubject, plan: Plan) -> Recovery | None:
    """Return the plan recovered as it says: what Plan and Evaluate measure is what is exported."""
    if not plan.is_recovered:
        return None
    what = "Reading the trained weights" if plan.trained else f"Repairing by {plan.repair}"
    with st.spinner(what, show_time=True):
        return repaired_plan(subject.prepared, plan)


def _measured(plan: Plan) -> Evaluation | None:
    """Return what Evaluate showed of this plan."""
    last = evaluations.of(plan)
    return last.evaluation if last is not None and last.is_current else None


def _model(request: ExportRequest) -> Hashable:
    """Return what tells the exported model from others: subject, plan and repair."""
    return request.prepared.identity, to_json(request.plan), request.recovery_words


def _exported(request: ExportRequest) -> Hashable:
    """Return what tells it in its form from others, too."""
    return _model(request), request.form, request.sparse


def _evaluation_hint(current: Session, plan: Plan) -> None:
    found = _measured(plan)
    if found is not None:
        removed, words = found.removed, tolerance.words_of(plan.subject.task)
        st.markdown(
            f":green[:material/check_circle:] Evaluated "
            f"({formatting.escaped(found.recovery_words)}): "
            f"{words.label} **{formatting.score(removed.accuracy, words)}** on "
            f"{formatting.plural(found.samples, 'sample')}, "
            f"{formatting.si(removed.params)} parameters, "
            f"{formatting.si(removed.macs)} MACs. The files carry "
            "these weights and these numbers."
        )
        subject = session.loaded(plan.subject)
        report.offer(current, subject, plan, found, key="export_report")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            ":orange[:material/warning:] This plan was not evaluated yet; its weights are exported "
            f"{formatting.escaped(plan.recovery_words)}."
        )
        if st.button("Evaluate first", key="export_evaluate", icon=":material/fact_check:"):
            go("Evaluate")


def _build(request: ExportRequest, name: str) -> Built:
    with tempfile.TemporaryDirectory(prefix="prunescope-") as folder:
        placed = dataclasses.replace(request, directory=Path(folder))
        done: Exported = interop.export(name, placed)
        files = tuple(File(path.name, about, path.read_bytes()) for path, about in done.files)
    return Built(_exported(request), files, done.notes)


def _files(built: Built, name: str) -> None:
    for place, file in enumerate(built.files):
        with st.container(border=True):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(
                    f"**{file.name}** \N{MIDDLE DOT} {formatting.file_size(len(file.content))}  \n"
                    f":small[{file.about}]",
                    width="stretch",
                )
                st.download_button(
                    "Download",
                    file.content,
                    file_name=file.name,
                    icon=":material/download:",
                    on_click="ignore",
                    key=f"export_{name}_{place}",
                )
            _preview(file, f"export_preview_{name}_{place}")
    for note in built.notes:
        st.caption(f":material/info: {formatting.message(capital(note))}.")


def _preview(file: File, key: str) -> None:
    suffix = Path(file.name).suffix
    if suffix not in TEXT_TYPES:
        return
    with st.expander("Preview", key=key):
        content = file.content[:PREVIEW_BYTES].decode("utf-8", "replace")
        st.code(content, language=TEXT_TYPES[suffix], height=280)
        if len(file.content) > PREVIEW_BYTES:
            st.caption(f"The first {formatting.file_size(PREVIEW_BYTES)} are shown.")


def _check(request: ExportRequest, name: str) -> None:
    with st.spinner("Exporting, reading back and comparing", show_time=True):
        found = interop.round_trip(
            request.prepared,
            request.plan,
            recovery=request.recovery,
            with_onnx=name == interop.ONNX,
        )
    st.session_state[CHECKED] = (_model(request), found)


def _checked(request: ExportRequest) -> None:
    """Draw the last round trip, if it was that of this model."""
    last: tuple[Hashable, RoundTrip] | None = st.session_state.get(CHECKED)
    if last is None or last[0] != _model(request):
        return
    with st.container(border=True, gap="xsmall"):
        st.markdown("**Round trip**")
        for check in last[1].checks:
            icon = ":green[:material/check_circle:]" if check.passed else ":red[:material/cancel:]"
            st.markdown(f"{icon} {check.text}")


def _verify(request: ExportRequest, name: str) -> None:
    with (
        st.spinner("Exporting, reading in another process and comparing", show_time=True),
        tempfile.TemporaryDirectory(prefix="prunescope-") as folder,
    ):
        placed = dataclasses.replace(request, directory=Path(folder))
        interop.export(name, placed)
        found = interop.verify(placed, name)
    st.session_state[VERIFIED] = (_exported(request), found)


def _verified(request: ExportRequest, name: str) -> None:
    """Draw what the libraries said of this model in this format, if they were asked."""
    last: tuple[Hashable, Verification] | None = st.session_state.get(VERIFIED)
    if last is None or last[0] != _exported(request) or last[1].format != name:
        return
    with st.container(border=True, gap="xsmall"):
        st.markdown(f"**Verified** :small[{last[1].date[:16].replace('T', ' ')} UTC]")
        for target in last[1].targets:
            shown = f"{target.label} {target.version}".strip()
            st.markdown(f"{RESULTS[target.result]} **{shown}**: {target.result}")
            for check in target.checks:
                st.caption(formatting.escaped(f"{check.name}: {check.text}"))
            if target.text and not target.checks:
                st.caption(formatting.escaped(target.text))
        st.download_button(
            "verification.json",
            last[1].to_json(indent=1),
            file_name="verification.json",
            icon=":material/download:",
            on_click="ignore",
            key="export_verification",
        )
