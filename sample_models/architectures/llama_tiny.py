"""A tiny Llama: grouped-query attention, rotary positions, SwiGLU and tied embeddings."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def rotate(x: Tensor, speeds: Tensor) -> Tensor:
    """Turn pairs of features by angles that grow with the position.

    Args:
        x: Queries or keys (N, heads, tokens, width) with an even width; feature i is paired with
            feature i + width / 2.
        speeds: Angle by which each pair is turned from a token to the next, (width / 2).

    Returns:
        A tensor of the same shape.
    """
    angles = torch.arange(x.shape[-2], device=x.device, dtype=x.dtype)[:, None] * speeds
    cosine, sine = angles.cos(), angles.sin()
    left, right = x.chunk(2, -1)
    return torch.cat([left * cosine - right * sine, right * cosine + left * sine], -1)


class GroupedAttention(nn.Module):
    """Causal attention in which several query heads share one head of keys and values.

    Args:
        dim: Width of a token.
        heads: Number of query heads.
        kv_heads: Number of key and value heads; must divide `heads`.
        base: Ratio of the slowest turn of positions to the fastest.
    """

    speeds: Tensor

    def __init__(self, dim: int, *, heads: int, kv_heads: int, base: float = 10_000.0) -> None:
        super().__init__()
        self.width = dim // heads
        half = self.width // 2
        self.register_buffer("speeds", base ** (-torch.arange(half, dtype=torch.float32) / half))
        self.shared = heads // kv_heads
        self.q_proj = nn.Linear(dim, heads * self.width, bias=False)
        self.k_proj = nn.Linear(dim, kv_heads * self.width, bias=False)
        self.v_proj = nn.Linear(dim, kv_heads * self.width, bias=False)
        self.o_proj = nn.Linear(heads * self.width, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the attended tokens, in the shape of the input (N, tokens, dim)."""
        batch, tokens = x.shape[0], x.shape[1]

        # The number of heads is left open, so that groups of heads can be removed.
        def heads(projected: Tensor) -> Tensor:
            return projected.reshape(batch, tokens, -1, self.width).transpose(1, 2)

        query = rotate(heads(self.q_proj(x)), self.speeds)
        key = rotate(heads(self.k_proj(x)), self.speeds)
        key = key.repeat_interleave(self.shared, 1)
        value = heads(self.v_proj(x)).repeat_interleave(self.shared, 1)
        out = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        merged: Tensor = self.o_proj(out.transpose(1, 2).reshape(batch, tokens, -1))
        return merged


class DecoderLayer(nn.Module):
    """Attention and a SwiGLU perceptron, each behind its own norm and added to its input.

    Args:
        dim: Width of a token.
        heads: Number of query heads.
        kv_heads: Number of key and value heads.
        hidden: Width of the perceptron.
    """

    def __init__(self, dim: int, *, heads: int, kv_heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.RMSNorm(dim, eps=1e-5)
        self.attn = GroupedAttention(dim, heads=heads, kv_heads=kv_heads)
        self.norm2 = nn.RMSNorm(dim, eps=1e-5)
        self.gate_proj = nn.Linear(dim, hidden, bias=False)
        self.up_proj = nn.Linear(dim, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the tokens, in the shape of the input."""
        x = x + self.attn(self.norm1(x))
        inner = self.norm2(x)
        out: Tensor = x + self.down_proj(F.silu(self.gate_proj(inner)) * self.up_proj(inner))
        return out


class LlamaTiny(nn.Module):
    """A causal language model of Llama's form on a vocabulary of about a thousand pieces.

    H. Touvron et al., "LLaMA: Open and Efficient Foundation Language Models", arXiv:2302.13971;
    grouped queries as in J. Ainslie et al., arXiv:2305.13245, tied embeddings as in O. Press,
    L. Wolf, arXiv:1608.05859.

    Topology: grouped-query attention. A key-value head can only go together with its query heads;
    gate, up and down projection share the hidden units of a SwiGLU perceptron; the token width is
    one residual sum through the whole network, which the embedding writes and, as the output
    layer, reads again.

    Args:
        vocabulary: Number of token ids.
        dim: Width of a token.
        depth: Number of layers.
        heads: Query heads of each layer.
        kv_heads: Key and value heads of each layer.
        hidden: Width of each perceptron.
    """

    def __init__(
        self,
        *,
        vocabulary: int = 1024,
        dim: int = 128,
        depth: int = 4,
        heads: int = 4,
        kv_heads: int = 2,
        hidden: int = 352,
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, dim)
        self.layers = nn.Sequential(
            *(
                DecoderLayer(dim, heads=heads, kv_heads=kv_heads, hidden=hidden)
                for _ in range(depth)
            )
        )
        self.norm = nn.RMSNorm(dim, eps=1e-5)
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                # What adds to the residual sum starts smaller, the deeper the network is.
                is_branch_end = name.endswith(("o_proj.weight", "down_proj.weight"))
                scale = (2 * depth) ** -0.5 if is_branch_end else 1.0
                nn.init.normal_(parameter, std=0.02 * scale)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the logits (N, tokens, vocabulary) of token ids (N, tokens)."""
        x = self.norm(self.layers(self.embed(ids)))
        return F.linear(x, self.embed.weight)
