"""Models of Transformers and text from local files: what is read, told, measured and refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F

from analysis.edits import Edit, prepare
from analysis.measuring import Slices, measure
from analysis.records import SubjectSpec
from analysis.subjects import load_subject, stamp, subject, torchvision
from analysis.subjects.data import load_data
from analysis.subjects.data.text import Windows
from analysis.subjects.parsing import parse_data
from analysis.tasks import LANGUAGE_MODELLING
from pruners.errors import AddressError, InputError
from pruners.groups import removed_graph

tokenizers = pytest.importorskip("tokenizers", reason="needs the extra hf")
WORDS = [*"abcdefghijklmno"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 of 30 tokens with random weights, its tokenizer, and a text of three documents."""
    torchvision()
    transformers = pytest.importorskip("transformers", reason="needs the extra hf")
    place = tmp_path_factory.mktemp("hf")
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=30, n_embd=16, n_layer=1, n_head=2, n_positions=32, bos_token_id=0,
        eos_token_id=0,
    )  # fmt: skip
    transformers.utils.logging.disable_progress_bar()
    transformers.GPT2LMHeadModel(config).save_pretrained(place / "gpt2")
    vocabulary = {word: number for number, word in enumerate(["<s>", *WORDS])}
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<s>"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.save(str(place / "gpt2" / "tokenizer.json"))
    text = [" ".join(WORDS[at * step % 15] for at in range(90)) for step in (1, 2, 4)]
    (place / "t.txt").write_text("\n\n".join(text))
    return place


def spec(folder: Path, options: str = "&window=8&bos=1") -> SubjectSpec:
    return SubjectSpec(
        model=f"hf:{folder / 'gpt2'}",
        data=f"text:{folder / 't.txt'}#tokens={folder / 'gpt2'}{options}",
        task="language_modelling",
        samples=20,
        calibration_samples=8,
    )


def test_few_documents_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interval by documents hangs on how many there are."""
    told = "The 20 samples are of 3 documents: intervals go by documents"
    assert any(note.startswith(told) for note in load_subject(spec(folder)).notes)
    monkeypatch.setattr("analysis.subjects.subject.FEW_DOCUMENTS", 3)
    assert not any("documents" in note for note in load_subject(spec(folder)).notes)


def test_texts_that_do_not_fit_are_refused_by_number(folder: Path) -> None:
    """Found by a newcomer: an IndexError, and a smaller window for a text of nothing."""
    with pytest.raises(InputError, match=r"it has 32 positions: take shorter .*&window=32\)"):
        load_subject(spec(folder, "&window=40"))
    (folder / "none.txt").write_text(" \n")
    nothing = replace(spec(folder), data=f"text:{folder / 'none.txt'}#tokens={folder / 'gpt2'}")
    with pytest.raises(InputError, match="2 bytes of text fill no window of 128 tokens"):
        load_subject(nothing)


def test_a_folder_and_a_text_are_measured_as_transformers_does(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Perplexity by Transformers' own loss; in parts, the same sums."""
    import transformers

    loaded = load_subject(spec(folder))
    assert any("windows of 8 tokens" in note and "token 0 before" in note for note in loaded.notes)
    own = transformers.GPT2LMHeadModel.from_pretrained(folder / "gpt2").eval()
    assert loaded.evaluation is not None
    inputs, targets = loaded.evaluation.part(0, 20)
    assert inputs.dtype == torch.int64
    assert bool((inputs[:, 0] == 0).all())
    with torch.no_grad():
        logits = own(inputs).logits
    torch.testing.assert_close(loaded.model(inputs), logits)
    prepared = prepare(loaded)
    assert prepared.evaluator.is_incremental, prepared.evaluator.fallback_reason
    name = "transformer.h.0.mlp.c_proj.weight"
    edit = Edit({name: loaded.model.state_dict()[name] * 0.5})
    whole = next(measure(prepared, {"e": edit}, Slices(loaded.evaluation, 20), loaded.task))
    nats = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
    assert prepared.batch_size == 250
    told = abs(loaded.task.score(whole.baseline))
    assert told == pytest.approx(float(torch.exp(nats / 160)), rel=1e-4)
    monkeypatch.setattr(subject, "OUTPUT_BYTES", 3 * 8 * 30 * 4)
    parts = next(measure(prepared, {"e": edit}, Slices(loaded.evaluation, 20), loaded.task))
    assert loaded.output_samples == 3
    # Nothing of 64 windows was shown or kept before the last one.
    assert prepared.batch_size == 4 * 3
    same, other = (loaded.task.score(found.sums["e"]) for found in (whole, parts))
    assert other == pytest.approx(same, rel=1e-5)
    small = removed_graph(loaded.model, prepared.structure, {"transformer.h.0.mlp.c_fc": range(20)})
    assert small(inputs[:3, :5]).shape == (3, 5, 30)


def test_bits_per_byte_are_told_where_tokens_are_made_of_bytes(tmp_path: Path) -> None:
    """Each byte is a token here, also those of letters of several bytes."""
    parts = tokenizers.pre_tokenizers.ByteLevel
    letters = {letter: number for number, letter in enumerate(sorted(parts.alphabet()))}
    own = tokenizers.Tokenizer(tokenizers.models.BPE(letters, [], unk_token=None))
    own.pre_tokenizer = parts(add_prefix_space=False)
    own.decoder = tokenizers.decoders.ByteLevel()
    own.add_special_tokens(["<s>"])
    own.save(str(tmp_path / "tokenizer.json"))
    text = "Grüße, 猫! " * 40
    (tmp_path / "t.txt").write_text(text, "utf-8")
    data = f"text:{tmp_path / 't.txt'}#tokens={tmp_path}&window=16"
    source = load_data(parse_data(data), task=LANGUAGE_MODELLING).evaluation
    assert source.token_bytes is not None
    assert source.token_bytes.tolist() == [1] * 256 + [3]
    _, targets = source.read(range(len(source)))
    task = LANGUAGE_MODELLING.of_data((), source.token_bytes)
    outputs = torch.zeros(*targets.shape, 257)
    sums = task.sums(task.vector(outputs, outputs, targets).tolist())
    # The first byte is no target.
    assert sums["bytes/00"] == (len(text.encode()) - 1) // 16 * 16
    bits = task.values(sums, sums, has_labels=True)["bits_per_byte"]
    assert bits == pytest.approx(math.log2(257))


def test_all_that_a_perplexity_hangs_on_is_in_the_identity(folder: Path) -> None:
    first = load_subject(spec(folder))
    for options in ("&window=8", "&window=9&bos=1", "&window=8&stride=4&bos=1"):
        assert load_subject(spec(folder, options)).data_fingerprint != first.data_fingerprint
    weights, before_it = folder / "gpt2" / "model.safetensors", stamp(spec(folder))
    weights.write_bytes(weights.read_bytes())
    assert stamp(spec(folder)) != before_it
    path = folder / "gpt2" / "config.json"
    before = path.read_text()
    try:
        path.write_text(json.dumps({**json.loads(before), "n_head": 4}))
        assert load_subject(spec(folder)).fingerprint != first.fingerprint
    finally:
        path.write_text(before)


@pytest.mark.parametrize("start", [None, 0])
def test_windows_are_those_of_a_loop(start: int | None) -> None:
    tokens = torch.arange(100, 131)
    inputs, targets, starts = Windows(8, 5, start).cut(tokens)
    seen = set()
    for row, (given, wanted) in enumerate(zip(inputs.tolist(), targets.tolist(), strict=True)):
        at = 5 * row
        assert starts[row] == at
        text = tokens[at : at + 9].tolist()
        assert given == ([0, *text[:7]] if start == 0 else text[:8])
        for place, target in enumerate(wanted):
            real = text[place] if start == 0 else text[place + 1]
            assert target == (real if row == 0 or place >= 3 else -100)
            assert target == -100 or target not in seen
            seen.add(target)
    assert len(inputs) == 5


def test_folders_that_lack_something_are_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    def refused(match: str, **changes: str) -> None:
        with pytest.raises(AddressError, match=match) as told:
            load_subject(replace(spec(folder), **changes))
        assert "\n" not in str(told.value)

    refused("config.json and", model=f"hf:{tmp_path}")
    source = folder / "gpt2"
    config = json.loads((source / "config.json").read_text())
    weights = safetensors.torch.load_file(source / "model.safetensors")
    lost = weights.pop("transformer.h.0.mlp.c_fc.bias")
    assert lost is not None
    safetensors.torch.save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(config))
    refused(r"lack weights of GPT2LMHeadModel.*c_fc\.bias", model=f"hf:{tmp_path}")
    code = {"auto_map": {"AutoConfig": "own.Config"}, "model_type": "own", "architectures": ["Own"]}
    (tmp_path / "config.json").write_text(json.dumps({**config, **code}))
    (tmp_path / "own.py").write_text("raise SystemExit('run')")
    refused("Transformers cannot load it", model=f"hf:{tmp_path}")
    text = f"text:{folder / 't.txt'}"
    refused("needs the tokenizer", data=text)
    refused("no tokenizer.json", data=f"{text}#tokens={folder / 't.txt'}")
    refused(
        "541 bytes of text fill no window of 900 tokens", data=f"{text}#tokens={source}&window=900"
    )
    refused("stride is at most", data=f"{text}#tokens={source}&window=8&stride=9")
