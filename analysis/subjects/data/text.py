"""Text as windows of token numbers: all that a perplexity hangs on is said, and in the digest."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from analysis.sentences import plural
from analysis.subjects.address import Address
from analysis.subjects.allowed_paths import Roots, check_links, check_path, missing
from analysis.subjects.data.sources import ArraySource, as_given
from pruners.errors import AddressError, one_line

DEFAULT_WINDOW = 128
# Targets that no loss counts.
IGNORED = -100
# Documents in one file are apart by an empty line.
GAP = re.compile(r"\n[ \t\r]*\n\s*")
USUAL_STARTS = ("<s>", "<bos>", "<|begin_of_text|>", "<|endoftext|>")


@dataclass(frozen=True, slots=True)
class Windows:
    """How a text is cut.

    Attributes:
        window: Tokens that the model sees at a time.
        stride: Tokens from one window to the next.
        start: Number of the token that each window begins with; None for none.
    """

    window: int
    stride: int
    start: int | None = None

    def cut(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return inputs and targets ``(n, window)``, and where each window starts ``(n,)``.

        A target is the token after its position. With a first token, a window holds one token of
        the text less. Of windows that overlap, only what the last one had not is counted.

        Args:
            tokens: int64 ``(tokens,)``.
        """
        own = self.window + (self.start is None)
        count = max(0, (len(tokens) - own) // self.stride + 1) if len(tokens) >= own else 0
        starts = torch.arange(count) * self.stride
        rows = tokens[starts[:, None] + torch.arange(own)] if count else tokens.new_zeros(0, own)
        if self.start is None:
            inputs, targets = rows[:, :-1], rows[:, 1:].clone()
        else:
            first = rows.new_full((count, 1), self.start)
            inputs, targets = torch.cat([first, rows[:, :-1]], 1), rows.clone()
        targets[1:, : max(0, self.window - self.stride)] = IGNORED
        return inputs, targets, starts


def open_text(address: Address, *, roots: Roots = None) -> ArraySource:
    """Open a text file, or a folder of ``*.txt`` files, a document each.

    Raises:
        AddressError: A file or package is missing, an option is odd, or the text is too short.
    """
    path = check_path(Path(address.name), roots=roots)
    if not path.exists():
        raise AddressError(f"{address.text!r}: {missing(Path(address.name))}")
    if path.is_dir():
        check_links(path, roots=roots)
    files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    tokenizer, digest, folder = _tokenizer(address, roots)
    windows = _windows(address, tokenizer, folder)
    parts, documents, seen, left, size = [], [], 0, 0, 0
    for file in files:
        text = _text(address, file)
        found = tokenizer.encode(text, add_special_tokens=False)
        inputs, targets, starts = windows.cut(torch.tensor(found.ids, dtype=torch.int64))
        parts.append((inputs, targets))
        places = torch.tensor([0, *(gap.end() for gap in GAP.finditer(text.rstrip()))])
        begins = torch.tensor([found.offsets[at][0] for at in starts.tolist()], dtype=torch.int64)
        numbers = torch.searchsorted(places, begins, right=True) - 1
        documents.append(seen + numbers * (not path.is_dir()))
        seen += 1 if path.is_dir() else len(places)
        left += _left_out(len(found.ids), len(starts), windows)
        size += len(text.encode())
    if not parts or not sum(len(inputs) for inputs, _ in parts):
        raise AddressError(
            f"{address.text!r}: {plural(size, 'byte')} of text fill no window of {windows.window} "
            "tokens; take a smaller one with &window=, or more text"
        )
    recipe = f"text {digest} {windows.window} {windows.stride} {windows.start}"
    return ArraySource(
        address.text,
        inputs=torch.cat([inputs for inputs, _ in parts]),
        labels=torch.cat([targets for _, targets in parts]),
        prepare=as_given,
        recipe=recipe,
        documents=torch.cat(documents),
        token_bytes=_token_bytes(tokenizer),
        notes=(_said(windows, digest, size=size, left=left),),
    )


def _left_out(tokens: int, count: int, windows: Windows) -> int:
    """Return the tokens at the end that are in no window."""
    own = windows.window + (windows.start is None)
    return tokens - ((count - 1) * windows.stride + own if count else 0)


def _said(windows: Windows, digest: str, *, size: int, left: int) -> str:
    start = "none" if windows.start is None else f"token {windows.start} before each window"
    return (
        f"The text is {size:,} bytes in windows of {windows.window} tokens, {windows.stride} from "
        f"one to the next; first token: {start}; {left:,} tokens at ends left out; tokenizer "
        f"{digest[:12]}. A perplexity hangs on all of these."
    )


def _windows(address: Address, tokenizer: Any, folder: Path) -> Windows:
    window = address.number("window") or DEFAULT_WINDOW
    stride = address.number("stride") or window
    bos = address.options.get("bos", "0")
    if bos not in ("0", "1"):
        raise AddressError(f"{address.text!r}: bos is 0 or 1, found {bos!r}")
    if not window >= 2 or stride > window:
        raise AddressError(
            f"{address.text!r}: a window has at least 2 tokens, and the stride is at most the "
            f"window; found {window} and {stride}"
        )
    return Windows(window, stride, _start(address, tokenizer, folder) if bos == "1" else None)


def _start(address: Address, tokenizer: Any, folder: Path) -> int:
    """Return the number of the token that texts begin with, as the files beside it say."""
    named: Any = _entry(folder / "tokenizer_config.json", "bos_token")
    named = named.get("content") if isinstance(named, dict) else named
    for name in (named, *USUAL_STARTS):
        number = tokenizer.token_to_id(name) if isinstance(name, str) else None
        if number is not None:
            return int(number)
    number = _entry(folder / "config.json", "bos_token_id")
    if isinstance(number, int) and 0 <= number < tokenizer.get_vocab_size():
        return number
    raise AddressError(
        f"{address.text!r}: the tokenizer has no token that texts begin with; leave bos out"
    )


def _entry(file: Path, name: str) -> Any:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found.get(name) if isinstance(found, dict) else None


def _tokenizer(address: Address, roots: Roots) -> tuple[Any, str, Path]:
    """Return the tokenizer, the digest of its file, and the folder that it lies in."""
    file = check_path(address.path("tokens") or Path(), roots=roots)
    if file.is_dir():
        file = check_path(file / "tokenizer.json", roots=roots)
    if not file.is_file():
        raise AddressError(f"{address.text!r}: {missing(file, kind='tokenizer file')}")
    try:
        library = importlib.import_module("tokenizers")
    except ImportError as error:
        raise AddressError(
            f"{address.text!r} needs tokenizers ({error}): pip install 'prunescope[hf]'"
        ) from None
    content = file.read_bytes()
    try:
        tokenizer = library.Tokenizer.from_buffer(content)
    except Exception as error:
        # The library raises a bare Exception.
        raise AddressError(f"{file} is no tokenizer.json: {one_line(error)}") from None
    # What is cut to a length or filled up in training would be so here.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, hashlib.sha256(content).hexdigest(), file.parent


def _token_bytes(tokenizer: Any) -> Tensor | None:
    """Return how many bytes each token stands for; None unless tokens are made of bytes."""
    described = json.loads(tokenizer.to_str())
    if "ByteLevel" not in _types(described.get("decoder")):
        return None
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    # A token has one letter a byte; what was added to them is written as it is.
    added = {item["content"] for item in described.get("added_tokens", ())}
    sizes = torch.zeros(1 + max(vocabulary.values(), default=0), dtype=torch.int64)
    for token, number in vocabulary.items():
        sizes[number] = len(token.encode() if token in added else token)
    return sizes


def _types(part: Any) -> set[str]:
    """Return the types of a part of a tokenizer, which may be several in a row."""
    if not isinstance(part, dict):
        return set()
    return {part.get("type", "")}.union(*(_types(item) for item in part.get("decoders", ())))


def _text(address: Address, file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise AddressError(f"{address.text!r}: {file} is no text: {one_line(error)}") from None
