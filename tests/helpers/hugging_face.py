"""Tiny random models of transformers, one for each architecture; no file is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from analysis.subjects.torchvision_import import torchvision

VOCABULARY = 40
ENCODER = {"num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 24}
DECODER = {
    **ENCODER,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 32,
    "head_dim": 4,
    "use_cache": False,
}


@dataclass(frozen=True)
class Tiny:
    """One architecture.

    Attributes:
        model: Name of its class.
        config: Name of the class of its configuration, and what it is told.
        heads: Units of its attention.
        width: Units of its residual stream.
        takes_images: Whether it reads images, not token ids.
        wrap: Makes a module of one input and one output from it.
    """

    model: str
    config: dict[str, Any]
    heads: int = 4
    width: int = 16
    takes_images: bool = False
    wrap: Callable[[nn.Module], nn.Module] | None = None

    def example(self, *, samples: int = 3, tokens: int = 9) -> Tensor:
        """Return an input batch; images have one size."""
        generator = torch.Generator().manual_seed(1)
        if self.takes_images:
            return torch.randn(samples, 3, 16, 16, generator=generator)
        return torch.randint(1, VOCABULARY, (samples, tokens), generator=generator)


class Logits(nn.Module):
    """Returns the logits alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(x).logits
        return logits


class MeanOfTokens(nn.Module):
    """Sentence embedding as MiniLM's: the mean over tokens that are no padding."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        mask = x != 0
        tokens = self.model(x, attention_mask=mask.long()).last_hidden_state
        weights = mask[..., None].to(tokens.dtype)
        mean: Tensor = (tokens * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return mean


TEXT = {"vocab_size": VOCABULARY, "max_position_embeddings": 32}
MODELS = {
    "minilm": Tiny("BertModel", {"hidden_size": 16, **ENCODER, **TEXT}, wrap=MeanOfTokens),
    "bert": Tiny("BertForSequenceClassification", {"hidden_size": 16, **ENCODER, **TEXT}),
    "distilbert": Tiny(
        "DistilBertForSequenceClassification",
        {"dim": 16, "n_layers": 1, "n_heads": 4, "hidden_dim": 24, **TEXT},
    ),
    "gpt2": Tiny(
        "GPT2LMHeadModel",
        {
            "vocab_size": VOCABULARY, "n_embd": 16, "n_layer": 1, "n_head": 4, "n_positions": 32,
            "use_cache": False, "bos_token_id": 0, "eos_token_id": 0,
        },
    ),
    "llama": Tiny("LlamaForCausalLM", {"hidden_size": 16, **DECODER}),
    "llama_tied": Tiny(
        "LlamaForCausalLM",
        {"hidden_size": 16, **DECODER, "num_key_value_heads": 2, "tie_word_embeddings": True},
        heads=2,
    ),
    # One key head for all: query heads are units, the key head stays.
    "llama_mqa": Tiny("LlamaForCausalLM", {"hidden_size": 16, **DECODER, "num_key_value_heads": 1}),
    "qwen2": Tiny(
        "Qwen2ForCausalLM", {"hidden_size": 16, **DECODER, "num_key_value_heads": 2}, heads=2
    ),
    "mistral": Tiny(
        "MistralForCausalLM",
        {"hidden_size": 16, **DECODER, "num_key_value_heads": 2, "sliding_window": 4},
        heads=2,
    ),
    "vit": Tiny(
        "ViTForImageClassification",
        {"hidden_size": 16, **ENCODER, "image_size": 16, "patch_size": 4},
        takes_images=True,
    ),
    "swin": Tiny(
        "SwinForImageClassification",
        {
            "image_size": 16, "patch_size": 2, "embed_dim": 16, "depths": [2], "num_heads": [4],
            "window_size": 4,
        },
        takes_images=True,
    ),
}  # fmt: skip


def build(name: str, **changes: Any) -> tuple[nn.Module, Tensor]:
    """Return a model in eval mode, every parameter random, and an input batch.

    Args:
        name: One of `MODELS`.
        changes: What its configuration is told otherwise.
    """
    torchvision()
    transformers = pytest.importorskip("transformers")
    tiny = MODELS[name]
    torch.manual_seed(0)
    kind = getattr(transformers, tiny.model)
    inner = kind(kind.config_class(**{**tiny.config, **changes}))
    model = (tiny.wrap or Logits)(inner).eval()
    with torch.no_grad():
        for item in model.parameters():
            item.add_(torch.randn_like(item), alpha=0.2 if item.dim() > 1 else 0.1)
    return model, tiny.example()
