"""The Import page: a file, what it does not say, a look at it, and the run that it becomes."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from analysis.imports import (
    MAX_WEIGHTS,
    PLAN_FORMATS,
    QUESTIONS,
    RESULT_FORMATS,
    ImportedRun,
    ImportRequest,
    PlanFormat,
    PlanRequest,
    Question,
    RawResult,
    ResultFormat,
    format_of,
    imported_plan,
    imported_run,
    metric_of,
    open_questions,
    parse_renames,
    read_result,
)
from analysis.records import NO_MODEL, SubjectSpec
from analysis.sentences import capital, listed
from analysis.snippets import import_results
from analysis.tasks import scoring_of
from pages.components.state import Session, plan_state, session
from pages.components.widgets import code, formatting, go
from pruners.errors import InputError, PruneScopeError

CURVES_ALONE = "No model: curves alone"
PREVIEW = 200


def draw(current: Session) -> None:
    """Draw the page."""
    known = (*RESULT_FORMATS, *PLAN_FORMATS)
    suffixes = dict.fromkeys(end.lstrip(".") for item in known for end in item.suffixes)
    sent = st.file_uploader(
        "Results of Distiller, NNI, SparseML, PaddleSlim, AIMET or PruneScope, or a plan",
        type=list(suffixes),
        max_upload_size=MAX_WEIGHTS // 2**20,
        key="import_file",
        help="Nothing in the file is run: pickles are read as plain numbers and names.",
    )
    if sent is None:
        code.offer(import_results("sensitivity.csv", {}, session.named_workspace()))
        if current.spec is None:
            st.caption("With a model, layers get counts and groups, and plans are made from them.")
            if st.button("Go to setup", icon=":material/deployed_code:", key="import_setup"):
                go("Setup")
        return
    content = sent.getvalue()
    chosen = _format(content, sent.name)
    if chosen is None:
        return
    if isinstance(chosen, PlanFormat):
        _plan(current, sent.name, content, chosen)
        return
    raw = read_result(content, chosen, sent.name)
    metric = _metric(raw)
    model = _model(current)
    said = _answers(chosen, raw, metric)
    code.offer(import_results(sent.name, said, session.named_workspace()))
    missing = open_questions(raw, metric, said)
    if missing:
        names = listed([item.label.lower() for item in missing], most=len(missing))
        st.info(
            f"The file does not say it, and it is not guessed: {names}.", icon=":material/help:"
        )
        return
    request = ImportRequest(
        file=sent.name, content=content, said=said, metric=metric, renames=_renames()
    )
    _look(imported_run(request, chosen, raw))
    if st.button("Import", type="primary", icon=":material/move_to_inbox:", key="import_go"):
        _import(current, request, chosen, raw, model)


def _plan(current: Session, name: str, content: bytes, chosen: PlanFormat) -> None:
    """Ask what a plan does not say, and make it the session's plan."""
    spec = current.spec
    st.caption(f"A plan: {chosen.label}.")
    if spec is None or spec.model.startswith(NO_MODEL):
        st.info("Choose the model that it is for on Setup first.", icon=":material/help:")
        return
    st.markdown(f"For **{formatting.escaped(formatting.title_of_subject(spec))}**")
    said: dict[str, str] = {}
    if not chosen.is_own:
        with st.grid(3, min_column_width=240, gap="medium"):
            for question in ("granularity", "criterion"):
                if answer := _ask(QUESTIONS.get(question)):
                    said[question] = answer
    renames = _renames()
    if not st.button(
        "Import plan", type="primary", icon=":material/move_to_inbox:", key="import_go"
    ):
        return
    with st.spinner("Reading the plan"):
        subject = session.loaded(spec)
        request = PlanRequest(
            file=name,
            content=content,
            prepared=subject.prepared,
            criterion=said.get("criterion"),
            granularity=said.get("granularity"),
            renames=renames,
        )
        plan = imported_plan(request, chosen)
        plan_id = plan_state.save(plan)
    if plan.note:
        current.store.plans.annotate(plan_id, plan.note)
        st.toast(formatting.message(capital(plan.note)), icon=":material/info:", duration="long")
    plan_state.open_plan(plan_id)
    go("Plan")


def _format(content: bytes, name: str) -> ResultFormat | PlanFormat | None:
    """Return what wrote the file: told by its content, else asked."""
    try:
        return format_of(content, name)
    except InputError as error:
        st.warning(formatting.message(capital(str(error))), icon=":material/warning:")
        asked = st.selectbox(
            "Written by",
            [*RESULT_FORMATS.names(), *PLAN_FORMATS.names()],
            index=None,
            format_func=_label,
            key="import_format",
            width=380,
        )
        return None if asked is None else format_of(content, name, asked)


def _label(name: str) -> str:
    return (RESULT_FORMATS if name in RESULT_FORMATS else PLAN_FORMATS).get(name).label


def _metric(raw: RawResult) -> str:
    if len(raw.metrics) < 2:
        return metric_of(raw, None)
    chosen = st.segmented_control(
        "Numbers to read",
        list(raw.metrics),
        default=metric_of(raw, None),
        required=True,
        key="import_metric",
    )
    return str(chosen)


def _model(current: Session) -> SubjectSpec | None:
    """Ask whose layers they are."""
    spec = current.spec
    if spec is None or spec.model.startswith(NO_MODEL):
        st.caption(
            "Curves alone: choose a model on Setup first to get counts, groups and plans from them."
        )
        return None
    with_model = formatting.escaped(formatting.title_of_subject(spec))
    chosen = st.radio(
        "Layers of",
        [with_model, CURVES_ALONE],
        key="import_model",
        horizontal=True,
        help="With a model, layers are found by name, and levels become counts.",
    )
    return spec if chosen == with_model else None


def _answers(chosen: ResultFormat, raw: RawResult, metric: str) -> dict[str, str]:
    """Ask what the file does not say, each question as soon as it is one."""
    known = {**raw.known, **raw.metrics[metric]}
    if raw.table is None:
        facts = formatting.escaped(formatting.imported_answers(known))
        st.caption(f"{chosen.label}{facts and f' says {facts}'}.")
    else:
        st.caption(f"{chosen.label} says all of it.")
    said: dict[str, str] = {}
    with st.grid(3, min_column_width=240, gap="medium"):
        for question in QUESTIONS:
            if question in open_questions(raw, metric, said):
                answer = _ask(question)
                if answer:
                    said[question.name] = answer
    return said


def _ask(question: Question) -> str:
    choices = {item.name: item for item in question.choices()}
    key = f"import_said_{question.name}"
    if not choices:
        return st.text_input(
            question.label, key=key, help=question.help, placeholder="such as 0.9241"
        ).strip()
    answer = st.selectbox(
        question.label,
        list(choices),
        index=None,
        format_func=lambda name: choices[name].label,
        key=key,
        placeholder="to be said",
        help="  \n".join(
            [question.help, *(f"**{item.label}**: {item.help}" for item in choices.values())]
            if len(choices) < 8
            else [question.help]
        ),
    )
    return answer or ""


def _renames() -> Mapping[str, str]:
    with st.expander("Names of layers", icon=":material/label:"):
        text = st.text_area(
            "OLD=NEW, one a line",
            key="import_renames",
            placeholder="conv2d_0.w_0=conv1",
            help="What the model calls a layer of the file. `module.` and `.weight` are left out "
            "without being told.",
        )
    return parse_renames([line.strip() for line in text.splitlines() if line.strip()])


def _look(found: ImportedRun) -> None:
    """Show what the file becomes."""
    words = scoring_of(found.source.quantity).words
    layers = list(dict.fromkeys(item.key.layer for item in found.points))
    st.subheader(
        f"{formatting.plural(len(found.points), 'point')} of "
        f"{formatting.plural(len(layers), 'layer')}",
        anchor=False,
    )
    for note in found.source.notes:
        st.caption(f":material/info: {formatting.message(note)}")
    rows = [
        {
            "layer": item.key.layer,
            "removed": item.key.ratio_requested * 100,
            "score": words.in_files(item.values["accuracy"]) * abs(words.scale),
            "drop": item.values["accuracy_drop"] * words.drop_scale,
        }
        for item in found.points[:PREVIEW]
        if not item.failure
    ]
    number = f"%.{words.digits}f"
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height=280,
        key="import_preview",
        column_config={
            "layer": st.column_config.TextColumn("Layer", pinned=True),
            "removed": st.column_config.NumberColumn("Removed", format="%.1f %%"),
            "score": st.column_config.NumberColumn(
                f"{capital(words.label)} {words.unit}".strip(), format=number
            ),
            "drop": st.column_config.NumberColumn(
                f"{capital(words.drop_label)} {words.drop_unit}".strip(), format=number
            ),
        },
        alt="The first points as they will be imported",
    )


def _import(
    current: Session,
    request: ImportRequest,
    chosen: ResultFormat,
    raw: RawResult,
    model: SubjectSpec | None,
) -> None:
    try:
        prepared = None
        if model is not None:
            with st.spinner("Loading the model"):
                prepared = session.loaded(model).prepared
        run_id = imported_run(request.of(prepared), chosen, raw).save(current.store)
        if prepared is not None:
            current.store.inventories.keep(prepared.identity, prepared.inventory)
    except PruneScopeError as error:
        st.error(formatting.message(capital(str(error))), icon=":material/error:")
        return
    session.open_run(run_id)
    go("Curves")
