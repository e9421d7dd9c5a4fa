"""Scores of sequences, of which each position counts: perplexity, and the share of right tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping

from analysis.tasks.meanings.grouped import Floats, Totals, ends_of
from analysis.tasks.meanings.ratios import SumRatio, divided
from analysis.tasks.scoring import Metric, Words

# Losses of more nats a token are no numbers that anybody compares.
MOST_NATS = 700.0
_METRICS: Mapping[str, Metric] = {
    "loss": Metric("loss", "loss_low", "loss_high", "loss of a token", "nats", 1.0),
    "loss_delta": Metric(
        "loss_delta",
        "loss_delta_low",
        "loss_delta_high",
        "loss increase",
        "nats",
        1.0,
        is_cost=True,
    ),
    "kl": Metric("kl", "kl_low", "kl_high", "KL divergence from dense", "nats", 1.0, is_cost=True),
    "agreement": Metric(
        "agreement", "agreement_low", "agreement_high", "same tokens as dense", "%", 100.0
    ),
}


class TokenScore(SumRatio):
    """What scores of sequences have in common.

    By group: positions with a target, right ones, and the sum of their losses in nats. Extras:
    positions answered as by the dense model, and the divergence from its answers.
    """

    has_positions = True
    answered = "tokens"
    shared = ("tokens",)
    own = ("right", "nats")
    extras: tuple[str, ...] = ("same_tokens", "kl")
    columns: tuple[str, ...] = ends_of("loss", "loss_delta", "kl", "agreement", "right_tokens")

    def further(self, totals: Totals, *, has_labels: bool) -> Mapping[str, Floats]:
        """Return loss, its increase, divergence, agreement and right answers of a token."""
        tokens = totals["tokens"]
        return {
            "loss": totals["nats"] / tokens,
            "loss_delta": (totals["nats"] - totals["dense_nats"]) / tokens,
            "kl": totals["kl"] / tokens,
            "agreement": totals["same_tokens"] / tokens,
            "right_tokens": totals["right"] / tokens,
        }


class Perplexity(TokenScore):
    """exp of the mean loss of a token; the drop is by which share it rises."""

    words = Words(
        label="perplexity",
        column="perplexity",
        drop_label="perplexity increase",
        drop_column="perplexity_increase",
        drop_unit="%",
        scale=-1.0,
        best=-1.0,
        drop_factor=100.0,
        is_relative=True,
        agreement="perplexity is that of the dense model's likeliest tokens",
    )
    metrics: Mapping[str, Metric] = {
        **_METRICS,
        "right_tokens": Metric(
            "right_tokens", "right_tokens_low", "right_tokens_high", "right tokens", "%", 100.0
        ),
    }

    def value(self, shared: Floats, own: Floats) -> Floats:
        """Return the mean loss of a token, negative."""
        return -divided(own[..., 1], shared[..., 1])

    def shown(self, value: float) -> float:
        """Return the perplexity, negative."""
        return -math.exp(min(-value, MOST_NATS))

    def lost(self, difference: float) -> float:
        """Return by which share the perplexity rises."""
        return math.expm1(min(difference, MOST_NATS))


class NextTokens(Perplexity):
    """Perplexity of a text; extra: the bytes of the text that its targets stand for, where known.

    Bits per byte do not hang on how a text is cut into tokens.
    """

    extras = (*TokenScore.extras, "bytes")
    columns = (*TokenScore.columns, *ends_of("bits_per_byte"))
    metrics: Mapping[str, Metric] = {
        **Perplexity.metrics,
        "bits_per_byte": Metric(
            "bits_per_byte", "bits_per_byte_low", "bits_per_byte_high", "bits per byte", "bits", 1.0
        ),
    }

    def further(self, totals: Totals, *, has_labels: bool) -> Mapping[str, Floats]:
        """Return what `TokenScore` does, and bits per byte of a text whose bytes are known."""
        found = super().further(totals, has_labels=has_labels)
        if not has_labels:
            return found
        return {**found, "bits_per_byte": divided(totals["nats"] / math.log(2), totals["bytes"])}


class RightTokens(TokenScore):
    """The share of positions with the right class; extras: entities, where labels name them.

    Those that are there, those that are given, and those given from the first token to the last.
    """

    words = Words(
        label="token accuracy",
        column="token_accuracy",
        drop_label="token accuracy drop",
        drop_column="token_accuracy_drop",
        unit="%",
        drop_unit="pp",
        scale=100.0,
        worst=0.0,
        best=1.0,
    )
    extras = (*TokenScore.extras, "entities", "given_entities", "right_entities")
    columns = ends_of("loss", "loss_delta", "kl", "agreement", "entity_f1")
    metrics: Mapping[str, Metric] = {
        **_METRICS,
        "entity_f1": Metric(
            "entity_f1", "entity_f1_low", "entity_f1_high", "entity F1", "%", 100.0
        ),
    }

    def value(self, shared: Floats, own: Floats) -> Floats:
        """Return the share."""
        return divided(own[..., 0], shared[..., 1])

    def further(self, totals: Totals, *, has_labels: bool) -> Mapping[str, Floats]:
        """Return loss, its increase, divergence and agreement of a token, and F1 of entities."""
        found = dict(super().further(totals, has_labels=has_labels))
        # The score itself.
        del found["right_tokens"]
        both = totals["entities"] + totals["given_entities"]
        return found | {"entity_f1": divided(2 * totals["right_entities"], both)}


PERPLEXITY, RIGHT_TOKENS = Perplexity(), RightTokens()
NEXT_TOKENS = NextTokens()
