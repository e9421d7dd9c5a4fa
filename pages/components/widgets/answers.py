"""What pruning changes in the answers: the samples that flip, and which classes are confused."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from analysis.evaluation import LoadedSubject
from analysis.records import CHANGED, GAINED, LOST, Answers, Flip
from pages.components.widgets import formatting, pictures
from pruners.batches import parts_of

# So many are shown.
SHOWN = 24
ICONS = {LOST: ":red[:material/close:]", GAINED: ":green[:material/check:]", CHANGED: ""}
HEADINGS = {LOST: "Lost", GAINED: "Gained", CHANGED: "Wrong before and after"}


def draw(found: Answers, subject: LoadedSubject, *, is_labelled: bool, is_same: bool) -> None:
    """Draw both.

    Args:
        found: What the evaluation kept.
        subject: Has the samples.
        is_labelled: Whether labels exist.
        is_same: Whether plan and subject are still those that were evaluated.
    """
    if not found.total:
        st.caption("No sample of the evaluation gets another answer.")
        return
    st.subheader("Samples that flip", anchor=False)
    st.caption(_summary(found, is_labelled=is_labelled))
    if is_same:
        _flips(found, subject)
    else:
        st.caption("The samples are shown once the plan is evaluated again.")
    if found.confusion:
        with st.columns(2)[0]:
            _confusion(found, is_labelled=is_labelled)


def _summary(found: Answers, *, is_labelled: bool) -> str:
    if not is_labelled:
        return f"{formatting.plural(found.total, 'sample')} with another answer than dense."
    return (
        f"{formatting.plural(found.lost, 'right answer')} lost, "
        f"{formatting.thousands(found.gained)} gained, "
        f"{formatting.thousands(found.changed)} wrong before and after in another way. "
        "With the share that the softmax gives to the answer."
    )


def _flips(found: Answers, subject: LoadedSubject) -> None:
    split = subject.prepared.subject.evaluation
    assert split is not None
    for kind in (LOST, GAINED, CHANGED):
        flips = [flip for flip in found.flips if flip.kind == kind]
        shown = flips[: SHOWN if kind == LOST else SHOWN // 2]
        if not shown or (kind == CHANGED and found.lost + found.gained):
            continue
        total = {LOST: found.lost, GAINED: found.gained, CHANGED: found.changed}[kind]
        st.markdown(
            f"**{HEADINGS[kind] if shown[0].label else 'Changed'}**"
            + (f" :small[(first {len(shown)} of {total})]" if len(shown) < total else "")
        )
        inputs = [parts_of(split.part(at.place, at.place + 1)[0])[0][0].cpu() for at in shown]
        texts = [_said(flip) for flip in shown]
        if not pictures.show(inputs, texts, width=128):
            st.markdown("  \n".join(f"Sample {flip.place}: {_said(flip)}" for flip in shown))


def _said(flip: Flip) -> str:
    """Return label, both answers and how sure the model was of each."""
    before = f"{formatting.escaped(flip.dense)} {_share(flip.dense_confidence)}"
    after = f"{formatting.escaped(flip.pruned)} {_share(flip.pruned_confidence)}"
    label = f"**{formatting.escaped(flip.label)}**  \n" if flip.label else ""
    return f":small[{label}dense: {before}  \npruned: {ICONS[flip.kind]} {after}]"


def _share(value: float) -> str:
    return formatting.percent(value, digits=0)


def _confusion(found: Answers, *, is_labelled: bool) -> None:
    rows = [item.to_dict() for item in found.confusion]
    table = pd.DataFrame(rows, columns=["label", "answer", "change"])
    st.subheader("Confusion that changed", anchor=False)
    st.caption(
        ("Samples of a class that are answered as another one: " if is_labelled else "")
        + "pruned minus dense, the largest changes first."
    )
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "label": "Class" if is_labelled else "Dense answers",
            "answer": "Answered as" if is_labelled else "Pruned answers",
            "change": st.column_config.NumberColumn("More samples", format="%+d"),
        },
        height="content" if len(table) <= 12 else 460,
        key="evaluate_confusion",
        alt="Cells of the confusion matrix that pruning changes",
    )
