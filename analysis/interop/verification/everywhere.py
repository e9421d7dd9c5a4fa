"""Verify every format on the sample models, each library in an environment of its own.

Run ``make verify-exports``, ``ONLY=nncf,modelopt`` for these verifiers alone. What ran replaces its
rows in the table of the page.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import re
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

import torch

from analysis import plans, runtimes
from analysis.edits import PreparedSubject, prepare
from analysis.files import write_text
from analysis.interop.registry import FORMATS, export
from analysis.interop.request import ExportRequest, Format
from analysis.interop.verification.records import (
    FAILED,
    MISSING,
    PASSED,
    REFUSED,
    Confirmation,
)
from analysis.interop.verification.reference import write_reference
from analysis.interop.verification.registry import VERIFIERS
from analysis.interop.verification.running import confirm, now
from analysis.interop.verification.verifier import Verifier
from analysis.records import Plan, SubjectSpec
from analysis.subjects import load_subject, torchvision
from pruners.errors import PruneScopeError, UnsupportedError

# A model of Transformers of the sizes of ViT-Tiny, with weights drawn at random.
OF_TRANSFORMERS = "vit_of_transformers"
MODELS = (
    "resnet20",
    "mobilenet_small",
    "densenet_small",
    "vit_tiny",
    "vgg_small",
    OF_TRANSFORMERS,
)
# AIMET refuses what the others are made of, and the format hf what is not of Transformers.
ONLY_FOR = {"vgg_small": ("aimet",), OF_TRANSFORMERS: ("hf",)}
# What is pruned where it is not a share of all channels and heads.
PRUNED = {
    "masks": ("", "block:1x4"),
    "sparseml": ("element",),
    "llm-compressor": ("element",),
    "neural-compressor": ("element",),
    "aimet": ("channel",),
}
CACHE = Path.home() / ".cache" / "prunescope" / "targets"
HEAD = (
    "| format | target | version | model | what was compared | result | date |",
    "|---|---|---|---|---|---|---|",
)
_TABLE = re.compile(re.escape("\n".join(HEAD)) + r"\n(?:\|.*\n)*")


def interpreter(verifier: Verifier, cache: Path) -> str:
    """Return a Python that has the library: this one, or that of an environment built for it.

    Args:
        verifier: The verifier.
        cache: Folder of the environments.

    Raises:
        subprocess.CalledProcessError: pip cannot install it.
    """
    first = verifier.packages[0] if verifier.packages else verifier.library
    name, _, version = first.partition("==")
    try:
        if version in ("", importlib.metadata.version(name)):
            return sys.executable
    except importlib.metadata.PackageNotFoundError:
        pass
    folder = cache / first
    python, complete = folder / "bin" / "python", folder / ".complete"
    if not complete.exists():
        venv.create(folder, with_pip=True, clear=True)
        (here,) = folder.glob("lib/python*/site-packages")
        # What is installed here counts as installed there: pip need not fetch torch again.
        (here / "base.pth").write_text(sysconfig.get_path("purelib") + "\n")
        pip = [str(python), "-m", "pip", "install", "-q", "--no-compile"]
        subprocess.run([*pip, *verifier.packages], check=True)
        complete.touch()
    return str(python)


def some_plan(prepared: PreparedSubject) -> Plan:
    """Return a plan that removes a third of all channels and a quarter of all heads."""
    plan = plans.start_plan(prepared, criterion="l1")
    assert prepared.structure is not None
    if any(group.kind == "head" for group in prepared.structure.groups):
        heads = plans.start_plan(prepared, criterion="l1", granularity="head")
        plan = dataclasses.replace(plan, entries=plan.entries + heads.entries)
    for entry in plan.entries:
        # What a norm mixes is no matter of masks.
        if prepared.group(entry.name).exact:
            ratio = 0.33 if entry.granularity == "channel" else 0.25
            plan = plans.set_ratio(plan, entry.name, ratio)
    return plans.resolve(prepared, plan)


def _opened(model: str, place: Path) -> PreparedSubject:
    """Open one of `MODELS`; that of Transformers is written to ``place``, where verifiers read it.

    Raises:
        UnsupportedError: It is of Transformers, which is not installed.
    """
    address = f"sample:{model}"
    if model == OF_TRANSFORMERS:
        _write_vit(place)
        address = f"hf:{place}"
    spec = SubjectSpec(
        model=address, data="sample:fashion-mnist", samples=100, calibration_samples=64
    )
    return prepare(load_subject(spec))


def _write_vit(folder: Path) -> None:
    torchvision()
    transformers = runtimes.require("transformers", extra="hf")
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=192,
        num_hidden_layers=12,
        num_attention_heads=3,
        intermediate_size=768,
        image_size=28,
        patch_size=7,
        num_channels=1,
        num_labels=10,
    )
    transformers.ViTForImageClassification(config).save_pretrained(folder)


def plan_within(request: ExportRequest, name: str, granularity: str) -> Plan:
    """Return a plan of one granularity without the layers that a format refuses.

    Where it refuses each of them, the plan has all, so that the refusal is told.
    """
    prepared = request.prepared
    whole = plans.start_plan(prepared, criterion="l1", granularity=granularity)
    plan = everything = whole
    for at, entry in enumerate(whole.entries):
        # Not one ratio for all, so that a list in the wrong order shows.
        ratio = 0.33 + 0.01 * (at % 7)
        everything = plans.set_ratio(everything, entry.name, ratio)
        alone = plans.resolve(prepared, plans.set_ratio(whole, entry.name, ratio))
        with tempfile.TemporaryDirectory() as place:
            asked = dataclasses.replace(request, plan=alone, directory=Path(place, "alone"))
            if _written(FORMATS.get(name), asked)[0] == PASSED:
                plan = plans.set_ratio(plan, entry.name, ratio)
    return plans.resolve(prepared, plan if plans.pruned_entries(plan) else everything)


def confirmations(
    model: str, chosen: tuple[str, ...], cache: Path
) -> Iterator[tuple[str, str, Confirmation]]:
    """Yield format, granularity and word of each verifier on one sample model.

    The granularity is empty where a share of all channels and heads is pruned.
    """
    with tempfile.TemporaryDirectory() as place:
        prepared = _opened(model, Path(place))
        request = ExportRequest(prepared=prepared, plan=some_plan(prepared), directory=Path())
        for entry in FORMATS:
            verifiers = [VERIFIERS.get(name) for name in entry.verify if name in chosen]
            if not verifiers or entry.name not in ONLY_FOR.get(model, (entry.name,)):
                continue
            for granularity in PRUNED.get(entry.name, ("",)):
                plan = (
                    plan_within(request, entry.name, granularity) if granularity else request.plan
                )
                asked = dataclasses.replace(request, plan=plan)
                for found in _confirmed(entry, asked, verifiers, cache):
                    yield entry.name, granularity, found


def _confirmed(
    entry: Format, request: ExportRequest, verifiers: list[Verifier], cache: Path
) -> Iterator[Confirmation]:
    """Yield the word of each verifier on one plan in one format."""
    with tempfile.TemporaryDirectory() as place:
        reference, folder = Path(place, "reference"), Path(place, entry.name)
        reference.mkdir()
        write_reference(request, reference)
        result, text = _written(entry, dataclasses.replace(request, directory=folder))
        for verifier in verifiers:
            if result == PASSED:
                python = interpreter(verifier, cache)
                yield confirm(verifier, folder, reference, python=python)[0]
            else:
                yield Confirmation(
                    verifier=verifier.name,
                    label=verifier.label,
                    version="",
                    result=result,
                    text=text,
                )


def _written(entry: Format, request: ExportRequest) -> tuple[str, str]:
    """Export; say whether it could be written, and why not."""
    try:
        entry.ready()
    except UnsupportedError as error:
        return MISSING, str(error)
    try:
        export(entry.name, request)
    except PruneScopeError as error:
        return REFUSED, str(error)
    return PASSED, ""


def row(format_name: str, model: str, granularity: str, found: Confirmation) -> str:
    """Return a row of the page's table."""
    model = ", ".join(filter(None, (model, granularity)))
    compared = "; ".join(f"{check.name}: {check.text}" for check in found.checks)
    result = found.result if found.passed else f"{found.result}: {found.text}"
    cells = (f"`{format_name}`", found.label, found.version, model, compared, result, now()[:10])
    return f"| {' | '.join(cells)} |"


def with_rows(page: str, rows: list[str]) -> str:
    """Return the page with rows of a format, target and model in the place of their last ones."""
    table = _TABLE.search(page)
    if table is None:
        raise PruneScopeError("the page has no table of verified exports")
    old = table[0].splitlines()[len(HEAD) :]
    known = {_key(item): item for item in old} | {_key(item): item for item in rows}
    text = "\n".join([*HEAD, *(known[key] for key in sorted(known, key=_place))]) + "\n"
    return page.replace(table[0], text)


def _key(line: str) -> tuple[str, str, str]:
    cells = [cell.strip() for cell in line.split("|")]
    return cells[1], cells[2], cells[4]


def _place(key: tuple[str, str, str]) -> tuple[int, str, str, int]:
    names, (format_name, target, model) = FORMATS.names(), key
    sample, _, granularity = model.partition(", ")
    return names.index(format_name.strip("`")), target, granularity, MODELS.index(sample)


def main() -> int:
    """Run what is asked for; 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--only", default=",".join(VERIFIERS.names()))
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--cache", type=Path, default=CACHE)
    options = parser.parse_args()
    chosen = tuple(VERIFIERS.get(name).name for name in options.only.split(","))
    failed = False
    for model in options.models.split(","):
        for name, granularity, found in confirmations(model, chosen, options.cache):
            line = row(name, model, granularity, found)
            print(line, flush=True)
            failed |= found.result == FAILED
            page = options.page.read_text(encoding="utf-8")
            write_text(options.page, with_rows(page, [line]))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
