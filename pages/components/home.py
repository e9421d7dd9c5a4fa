"""The home page: what this is for, the demo one click away, where the work stands."""

from __future__ import annotations

import streamlit as st

from analysis.records import RunRow, SubjectSpec
from analysis.snippets import inspect_subject
from pages.components.plan import goal
from pages.components.setup import form
from pages.components.state import DEMO, SAMPLE_SUBJECTS, Session, session, url_state
from pages.components.widgets import code, formatting, go, guarded, job
from pruners.criteria import label_of

STEPS = (
    (
        "show_chart",
        "Measure",
        "Every layer loses 10 to 90 % of its channels, by several criteria, on your data. "
        "Curves sharpen while they are measured, each with its interval.",
    ),
    (
        "tune",
        "Decide",
        "A ratio and a criterion per layer. Size is exact at once, accuracy is measured live, "
        "beside what the curves predicted.",
    ),
    (
        "ios_share",
        "Deliver",
        "A physically smaller model with a script that rebuilds it with PyTorch alone, "
        "the plan as JSON, the points as CSV.",
    ),
)


def draw(current: Session) -> None:
    """Draw the page."""
    st.title("Which layers can lose how much?", anchor=False)
    st.markdown(
        "PruneScope measures how each layer of a trained PyTorch network reacts to pruning, "
        "compares pruning criteria, and lets you choose, check and export a smaller model.",
        width=760,
    )
    _goal(current)
    with st.container(horizontal=True):
        if st.button(
            "Try the demo",
            icon=":material/rocket_launch:",
            key="home_demo",
            help="ResNet-20 on 2,000 Fashion-MNIST images; both come with PruneScope.",
        ):
            _open(DEMO)
        if st.button("Set up your own model", icon=":material/deployed_code:", key="home_setup"):
            form.begin_own(current.spec)
            go("Setup")
        if st.button(
            "Import results",
            icon=":material/move_to_inbox:",
            key="home_import",
            help="Sensitivity curves of Distiller, NNI, SparseML, PaddleSlim or AIMET.",
        ):
            go("Import")
    _samples()
    st.space("small")
    with st.grid(3, min_column_width=260, gap="medium"):
        for icon, title, about in STEPS:
            with st.container(border=True, height="stretch"):
                st.subheader(f":material/{icon}: {title}", anchor=False)
                st.markdown(about)
    _recent(current)
    code.offer(inspect_subject(current.spec or DEMO))


def _open(spec: SubjectSpec) -> None:
    session.start_fresh()
    session.choose_subject(spec)
    go("Setup")


def _samples() -> None:
    """Offer subjects of other kinds than the demo's."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Other samples", width="content")
        for sample in SAMPLE_SUBJECTS:
            if st.button(
                sample.label,
                icon=f":material/{sample.icon}:",
                type="tertiary",
                key=f"home_{sample.spec.model}",
                help=sample.about,
            ):
                _open(sample.spec)


def _goal(current: Session) -> None:
    """Draw the first thing that there is to do: say what the smaller model should be."""
    with st.container(border=True):
        subjects = list(dict.fromkeys(filter(None, (current.spec, DEMO))))
        spec = subjects[0]
        st.subheader(":material/bolt: Say what you want, get a smaller model", anchor=False)
        if len(subjects) > 1:
            spec = st.selectbox(
                "Of",
                subjects,
                format_func=_named,
                key="home_subject",
                width=420,
                help="Any model and data: set up your own below.",
            )
        else:
            st.markdown(f"Of **{_named(spec)}**:")
        goal.ask(spec, label="")
    with guarded("The search cannot be shown"):
        goal.follow(current, goal.current_job(current.spec))


def _named(spec: SubjectSpec) -> str:
    title = formatting.title_of_subject(spec)
    return f"{title} (the demo)" if spec == DEMO else title


def _details(row: RunRow) -> str:
    """Return what tells a run from others."""
    parts = [f"`{row.run_id}`", formatting.when(row.created)]
    parts += [formatting.escaped(item) for item in (row.name, formatting.settings_of(row.spec))]
    return " \N{MIDDLE DOT} ".join(filter(None, parts))


def _data(row: RunRow) -> str:
    """Return what a run was measured on; curves that were imported alone were so elsewhere."""
    data = row.spec.subject.data
    if data is None and row.source is not None:
        return ""
    return f"on {formatting.escaped(formatting.title_of(data or 'no data'))} "


def _recent(current: Session) -> None:
    rows = current.store.runs.all()[:5]
    if not rows:
        return
    st.subheader("Recent runs", anchor=False)
    for row in rows:
        spec = row.spec
        criteria = formatting.listed([label_of(name) for name in spec.criteria])
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"**{formatting.escaped(formatting.title_of(spec.subject.model))}** {_data(row)}"
                f"\N{MIDDLE DOT} {formatting.escaped(criteria)} "
                f"\N{MIDDLE DOT} {spec.granularity} "
                f"{job.badge(row)}  \n"
                f":small[{_details(row)}]",
                width="stretch",
            )
            if st.button("Open", key=f"home_open_{row.run_id}", icon=":material/folder_open:"):
                url_state.put("plan", None)
                session.open_run(row.run_id)
                session.choose_subject(spec.subject)
                go("Sweep" if row.is_live else "Curves")
