"""What the Setup page finds: checklist, baseline with its interval, what the network is fed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import streamlit as st

from analysis.edits import PreparedSubject
from analysis.evaluation import Doubt, LoadedSubject
from analysis.records import SubjectSpec
from analysis.sentences import capital
from analysis.snippets import inspect_subject
from analysis.subjects import RANDOM_WEIGHTS
from pages.components.setup import model_map, thumbnails
from pages.components.state import DEMO, Session, check, session, subjects
from pages.components.widgets import code, formatting, go, guarded
from pruners.batches import parts_of
from pruners.errors import PruneScopeError
from pruners.groups import Group
from pruners.tracing import OUTPUT_REASON

Kind = Literal["fine", "info", "doubt", "bad"]
ICONS: dict[Kind, str] = {
    "fine": ":green[:material/check_circle:]",
    "info": ":blue[:material/info:]",
    "doubt": ":orange[:material/warning:]",
    "bad": ":red[:material/cancel:]",
}
# What makes all numbers meaningless, and what only has to be known.
DOUBTS: dict[str, Kind] = {
    "random weights": "bad",
    "chance level": "bad",
    "no labels": "info",
    "left out": "info",
}
GROUPS_HELP = (
    "Channels of several layers that can only be removed together: layers that are added to each "
    "other, or a layer and its norm."
)


def draw(current: Session, sent: SubjectSpec | None) -> None:
    """Draw what is below the form: the check that was asked for, or the subject in use.

    Args:
        current: The session.
        sent: The subject of the form, when it was sent.
    """
    last = check.last()
    if sent is not None:
        check.begin(sent)
    elif last is not None and last.state == "checking":
        # Something was clicked while the check was under way.
        sent = last.spec
    spec = sent or current.spec
    code.offer(inspect_subject(spec or DEMO))
    if sent is None and last is not None and last.state == "failed":
        _failed(current, last)
        return
    if spec is None:
        first_use()
        return
    with guarded("The subject cannot be used"):
        is_new = subjects().peek(spec) is None
        subject = _checked(spec)
        if sent is not None or last is not None:
            session.choose_subject(spec)
            check.end()
        if sent is not None or last is not None or is_new:
            # The sidebar was drawn before.
            st.rerun()
        _overview(current, subject)
    # What was not foreseen has been shown; nothing is under way any more.
    if (last := check.last()) is not None and last.state == "checking":
        check.end()


def _checked(spec: SubjectSpec) -> LoadedSubject:
    """Run the checklist; a subject that cannot be used is noted, and the page drawn anew."""
    try:
        return checklist(spec)
    except PruneScopeError as error:
        check.fail(spec, str(error))
        st.rerun()


def _failed(current: Session, last: check.Check) -> None:
    """Say why the last check failed, and which subject all other pages work on."""
    assert last.spec is not None
    st.error(
        formatting.message(capital(last.reason)),
        title=f"{formatting.escaped(formatting.title_of_subject(last.spec))} cannot be used",
        icon=":material/error:",
    )
    other = current.spec is not None and current.spec != last.spec
    with st.container(horizontal=True, vertical_alignment="center"):
        if other and current.spec is not None:
            st.markdown(
                f":orange[:material/warning:] Still in use, here and on all other pages: "
                f"**{formatting.escaped(formatting.title_of_subject(current.spec))}**.",
                width="content",
            )
        st.button(
            "Back to it" if other else "Try again",
            icon=":material/undo:" if other else ":material/refresh:",
            on_click=check.end,
            key="setup_failed_end",
        )


def _overview(current: Session, subject: LoadedSubject) -> None:
    next_step(current)
    thumbnails.draw(subject)
    model_map.draw(subject)


def first_use() -> None:
    """Say what to do when nothing was chosen yet."""
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(
            "**First time here?** The demo subject is ResNet-20 on 2,000 Fashion-MNIST images; "
            "both come with PruneScope and load in seconds.",
            width="stretch",
        )
        st.button(
            "Use the demo subject",
            icon=":material/rocket_launch:",
            on_click=session.choose_subject,
            args=(DEMO,),
            key="setup_demo",
        )


def checklist(spec: SubjectSpec) -> LoadedSubject:
    """Load the subject step by step, ticking off what holds.

    Raises:
        PruneScopeError: A step failed.
    """
    with st.container(border=True, gap="xsmall"):
        st.markdown("**Checklist**")
        with st.spinner("Loading model and data, capturing the graph", show_time=True):
            subject = session.loaded(spec)
        _loaded(subject.prepared)
        _traced(subject.prepared)
        _baseline(subject)
        for doubt in subject.doubts():
            text = formatting.message(doubt.text)
            tick(f"**{doubt.kind.capitalize()}.** {text}", DOUBTS.get(doubt.kind, "doubt"))
        said = (RANDOM_WEIGHTS, subject.prepared.subject.task.words.without_labels)
        for note in subject.prepared.subject.notes:
            if note not in said:
                tick(formatting.message(note), "info")
    return subject


def tick(line: str, kind: Kind = "fine", *, help: str | None = None) -> None:
    """Write one line of the checklist."""
    st.markdown(f"{ICONS[kind]} {line}", help=help)


def _loaded(prepared: PreparedSubject) -> None:
    subject = prepared.subject
    shapes = (tuple(part.shape[1:]) for part in parts_of(subject.example))
    shape = " and ".join(" x ".join(map(str, sizes)) for sizes in shapes)
    classes = formatting.plural(subject.num_classes, "class", "classes")
    tick(f"Loads and answers: input {shape}" + (f", {classes}" if subject.num_classes else ""))
    for name, split in (("Evaluation", subject.evaluation), ("Calibration", subject.calibration)):
        if split is None:
            tick(f"No {name.lower()} data: what needs it is not offered", "doubt")
        else:
            tick(f"{name}: {formatting.plural(len(split), 'sample')}")


def _traced(prepared: PreparedSubject) -> None:
    if prepared.structure is None:
        tick(
            f"Not captured ({prepared.capture_reason}). Granularity element works, with full "
            "forward passes; channels and heads do not.",
            "doubt",
        )
        return
    groups = prepared.structure.groups
    tick(f"{formatting.plural(len(groups), 'group')} of coupled channels traced", help=GROUPS_HELP)
    whole = [group.kind for group in prepared.structure.depth if group.prunable]
    if whole:
        branches = formatting.plural(whole.count("branch"), "residual branch", "residual branches")
        layers = formatting.plural(whole.count("layer"), "layer")
        tick(f"{branches} and {layers} can go as a whole")
    _fixed([group for group in groups if group.kept_whole])
    mixed = [group.id for group in groups if not group.kept_whole and not group.exact]
    if mixed:
        names = formatting.code_list(mixed)
        tick(f"{len(mixed)} mixed by a norm or mean, evaluated by physical removal ({names})")
    if not prepared.evaluator.is_incremental:
        tick(f"Full forward passes: {prepared.evaluator.fallback_reason}", "doubt")


def _fixed(groups: Sequence[Group]) -> None:
    """Name the groups that nothing can be removed from; that the output stays is no wonder."""
    for kind, found in (
        ("info", [group for group in groups if group.kept_whole == OUTPUT_REASON]),
        ("doubt", [group for group in groups if group.kept_whole != OUTPUT_REASON]),
    ):
        if found:
            names = formatting.code_list([group.layer for group in found])
            reason = f": {found[0].kept_whole}" if len(found) == 1 else ", reasons below"
            tick(f"{len(found)} not prunable ({names}{reason})", kind)  # type: ignore[arg-type]


def _baseline(subject: LoadedSubject) -> None:
    evaluation = subject.prepared.subject.evaluation
    if evaluation is None:
        return
    result = subject.baseline()
    if not evaluation.has_labels:
        tick(
            f"Reference: the dense model's own answers on "
            f"{formatting.plural(result.samples, 'sample')}",
            "info",
        )
        return
    task = subject.prepared.subject.task
    interval = task.score_interval(result.sums)
    tick(
        f"Baseline {task.words.label} **{formatting.score(result.accuracy, task.words)}** "
        f"({task.evidence(result.sums)}, 95 % interval "
        f"{formatting.score_range(interval.low, interval.high, task.words)})",
        "doubt" if _is_meaningless(subject.doubts()) else "fine",
    )


def _is_meaningless(doubts: Sequence[Doubt]) -> bool:
    return any(DOUBTS.get(doubt.kind) == "bad" for doubt in doubts)


def next_step(current: Session) -> None:
    """Lead on to the sweep."""
    if (current.run is None or current.is_stale) and st.button(
        "Plan a sweep", type="primary", icon=":material/arrow_forward:", key="setup_next"
    ):
        go("Sweep")
