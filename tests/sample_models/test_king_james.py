"""Windows of the King James Bible: each token is a target once, after those before it."""

from __future__ import annotations

import pytest
import torch

import sample_models
from pruners.capture import capture
from pruners.groups import find_structure
from sample_models.architectures.llama_tiny import LlamaTiny
from sample_models.king_james import BOS, IGNORED, TOKENIZER_FILE, VOCABULARY


def test_each_token_follows_those_before_it_and_chapters_are_documents() -> None:
    data = sample_models.DATA_SETS["king-james"]
    ids, targets = data.load("test")
    assert data.documents is not None
    chapters = data.documents("test")
    assert ids.shape == targets.shape == (546, 128)
    assert chapters.bincount().shape == (59,)
    assert int(ids.max()) < VOCABULARY
    starts = torch.cat([torch.tensor([True]), chapters.diff() > 0])
    assert bool((ids[:, 0] == BOS).eq(starts).all())
    for chapter in (0, 58):
        read, said = ids[chapters == chapter].flatten(), targets[chapters == chapter].flatten()
        length = int((said != IGNORED).sum())
        assert torch.equal(read[1:length], said[: length - 1])
        assert bool((said[length:] == IGNORED).all())
    assert int((targets != IGNORED).sum()) == 66_581


def test_bytes_of_tokens_are_those_of_the_text() -> None:
    """Bits per byte."""
    tokenizers = pytest.importorskip("tokenizers", reason="needs the extra hf")
    data = sample_models.DATA_SETS["king-james"]
    assert data.token_bytes is not None
    known = [item for item in data.load("test")[1].flatten().tolist() if item != IGNORED]
    text = tokenizers.Tokenizer.from_file(str(TOKENIZER_FILE)).decode(known)
    assert int(data.token_bytes()[known].sum()) == len(text.encode())


def test_a_head_of_keys_goes_with_its_query_heads() -> None:
    """The rotary positions hold no channel: both groups of each attention can be removed."""
    torch.manual_seed(0)
    model = LlamaTiny(vocabulary=50, dim=32, depth=1, hidden=24).eval()
    ids = torch.zeros(2, 9, dtype=torch.int64)
    structure = find_structure(model, capture(model, ids), ids)
    (heads,) = (group for group in structure.groups if group.kind == "head")
    assert (heads.units, heads.kept_whole) == (2, "")
