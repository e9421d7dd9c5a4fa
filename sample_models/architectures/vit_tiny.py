"""A tiny vision transformer: multi-head attention and layer normalization."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head self-attention with one fused query-key-value projection.

    Args:
        dim: Width of a token.
        num_heads: Number of heads; must divide `dim`.
    """

    def __init__(self, dim: int, *, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return the attended tokens, in the shape of the input (N, tokens, dim)."""
        batch, tokens = x.shape[0], x.shape[1]
        # The head width is left open, so that heads can be removed from qkv and proj.
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        out = F.scaled_dot_product_attention(query, key, value)
        merged: Tensor = self.proj(out.transpose(1, 2).reshape(batch, tokens, -1))
        return merged


class Block(nn.Module):
    """Pre-norm transformer block: attention and a GELU perceptron, each added to its input.

    Args:
        dim: Width of a token.
        num_heads: Number of heads.
        hidden: Width of the perceptron.
    """

    def __init__(self, dim: int, *, num_heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = Attention(dim, num_heads=num_heads)
        self.norm2 = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return the tokens, in the shape of the input."""
        x = x + self.attn(self.norm1(x))
        out: Tensor = x + self.fc2(F.gelu(self.fc1(self.norm2(x))))
        return out


class ViTTiny(nn.Module):
    """Vision transformer on 49 patches of 4x4 pixels, mean-pooled.

    A. Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at
    Scale", ICLR 2021, arXiv:2010.11929; mean pooling in place of the class token as in L. Beyer,
    X. Zhai, A. Kolesnikov, "Better plain ViT baselines for ImageNet-1k", arXiv:2205.01580.

    Topology: attention. Whole heads can be removed from a block's fused projection, hidden units
    from its perceptron; the token width is one residual sum through the whole network, read by
    layer normalizations that mix all of it.

    Args:
        num_classes: Number of outputs.
        dim: Width of a token.
        depth: Number of blocks.
        num_heads: Heads of each block.
    """

    def __init__(
        self, *, num_classes: int = 10, dim: int = 64, depth: int = 5, num_heads: int = 4
    ) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(1, dim, 4, 4)
        self.pos_embed = nn.Parameter(torch.empty(1, 49, dim))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.blocks = nn.Sequential(
            *(Block(dim, num_heads=num_heads, hidden=2 * dim) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of a normalized batch of shape (N, 1, 28, 28)."""
        x = self.patch_embed(x).flatten(2).transpose(1, 2) + self.pos_embed
        x = self.norm(self.blocks(x)).mean(1)
        logits: Tensor = self.head(x)
        return logits
