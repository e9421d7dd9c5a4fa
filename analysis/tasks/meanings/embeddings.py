"""How much embeddings turn away from those of the dense model."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.tasks.meanings.means import SampleMean
from analysis.tasks.scoring import Metric, Words


class Cosine(SampleMean):
    """The cosine between the embeddings of both models, the mean over samples; dense has 1."""

    words = Words(
        label="cosine to dense",
        column="cosine",
        drop_label="cosine drop",
        drop_column="cosine_drop",
        digits=4,
        worst=-1.0,
        best=1.0,
        agreement="the score is the cosine to the dense model's embeddings, with or without them",
    )
    extras = ("distance",)
    columns = ("distance",)
    metrics: Mapping[str, Metric] = {
        "distance": Metric("distance", "", "", "distance, relative to dense", "", 1.0)
    }


COSINE = Cosine()
