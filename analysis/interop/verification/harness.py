"""Runs the script of one verifier where its library is installed; imports nothing of PruneScope.

    python -I harness.py SCRIPT EXPORT REFERENCE ANSWER LIBRARY FILE

``EXPORT`` is the folder of an export, ``REFERENCE`` what `reference.write_reference` wrote. The
``FILE`` is the exported file that the script reads, if the script does not know it. The
answer is JSON: version of the library, comparisons, and why they ended early.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import json
import platform
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree


class Case:
    """What a script compares: the exported files with what is expected of them.

    Args:
        folder: The export.
        reference: Folder of the reference.
        file: Name of the exported file that is read.

    Attributes:
        folder: The export.
        file: Path of that file.
        facts: Content of ``reference.json``; ``entries`` has what is pruned.
        inputs: Batches of two sizes, then shorter texts where the model takes some; of each batch a
            tensor an input.
    """

    def __init__(self, folder: Path, reference: Path, file: str = "") -> None:
        self.folder, self.reference, self.file = folder, reference, folder / file
        self.facts: dict[str, Any] = json.loads((reference / "reference.json").read_text("utf-8"))
        self._tensors = safetensors.torch.load_file(reference / "tensors.safetensors")
        self.inputs = [
            [self._tensors[f"inputs.{at}.{number}"] for number in range(len(self.facts["inputs"]))]
            for at in range(len(self.facts["batches"]))
        ]

    def outputs(self, name: str, batches: Sequence[int] | None = None) -> list[Tensor]:
        """Return the expected outputs of the ``dense``, ``masked`` or ``smaller`` model.

        Args:
            name: The model.
            batches: Of which batches; of all by default.

        Raises:
            NotImplementedError: Masks cannot say this plan.
        """
        chosen = range(len(self.inputs)) if batches is None else batches
        keys = [f"{name}.{at}" for at in chosen]
        found = [self._tensors[key] for key in keys if key in self._tensors]
        if not found:
            raise NotImplementedError(self.facts["no_masks"])
        return found

    def named(self, batch: Sequence[Tensor]) -> dict[str, Any]:
        """Return a batch as arrays, by the names that inputs have in exported files."""
        return {name: part.numpy() for name, part in zip(self.facts["inputs"], batch, strict=True)}

    def given(self, batch: Sequence[Tensor]) -> Any:
        """Return a batch as the subject's own code takes it: a tensor, a tuple or a dict."""
        if self.facts["form"] is None:
            return batch[0] if len(batch) == 1 else tuple(batch)
        return pytree.tree_unflatten(batch, pytree.treespec_loads(self.facts["form"]))

    def answers(self, model: nn.Module) -> list[Tensor]:
        """Return what a model of the subject's own code gives for each batch.

        Raises:
            NotImplementedError: The task puts several outputs together.
        """
        with torch.no_grad():
            return [self.answer(model, batch) for batch in self.inputs]

    def answer(self, model: nn.Module, batch: Sequence[Tensor]) -> Tensor:
        """Return the output that is measured, of a model of the subject's own code.

        Raises:
            NotImplementedError: The task puts several outputs together.
        """
        if self.facts["packs"]:
            raise NotImplementedError(
                f"the task {self.facts['packs']} makes one tensor of the model's outputs, which "
                "only PruneScope does; export model or onnx"
            )
        found = _called(model, self.given(batch))
        if isinstance(found, Tensor):
            return found
        pairs = found.items() if isinstance(found, Mapping) else enumerate(found)
        known: dict[str, Tensor] = {str(name): item for name, item in pairs}
        asked = self.facts["output"]
        names = [asked] if asked else [*self.facts["usual_outputs"], *known]
        numbered = {str(at): item for at, item in enumerate(known.values())}
        return next({**numbered, **known}[name] for name in names if name in {**numbered, **known})

    def fitting(self, sizes: Sequence[Sequence[Any]]) -> list[int]:
        """Return which batches an exported file takes.

        Args:
            sizes: Of each input the sizes of its first dims; what is no number above 0 is free.
        """

        def fits(sizes: Sequence[Any], part: Tensor) -> bool:
            pairs = zip(sizes, part.shape, strict=False)
            return all(own == size for size, own in pairs if isinstance(size, int) and size > 0)

        return [
            at
            for at, batch in enumerate(self.inputs)
            if all(fits(item, part) for item, part in zip(sizes, batch, strict=True))
        ]

    def state(self, name: str) -> dict[str, Tensor]:
        """Return weights: ``dense``, ``full`` (dense shapes), ``masked`` or ``smaller``."""
        return safetensors.torch.load_file(self.reference / f"{name}.safetensors")

    def masks(self) -> dict[str, Tensor]:
        """Return the expected masks by parameter name, boolean, True = stays."""
        self.outputs("masked")
        found = safetensors.torch.load_file(self.reference / "masks.safetensors")
        return {name: item.bool() for name, item in found.items()}

    def model(self, state: str = "dense") -> nn.Module:
        """Return a new model by the subject's own code, in eval mode.

        Args:
            state: Which weights it gets: ``dense``, ``full`` (those of the plan, repaired or
                trained, nothing masked yet) or ``masked``.

        Raises:
            NotImplementedError: The code cannot be called here.
        """
        if "no_model" in self.facts:
            raise NotImplementedError(self.facts["no_model"])
        self.ready_torchvision()
        model = _built(self.facts["model"])
        model.load_state_dict(self.state(state))
        return model.eval().requires_grad_(False)

    def script(self, name: str) -> Any:
        """Return an exported script as a module."""
        return load(self.folder / name)

    def ready_torchvision(self) -> None:
        """Let libraries import torchvision where it was compiled for another torch.

        Its operators are missing then, which no script calls.
        """
        with contextlib.suppress(ImportError):
            try:
                importlib.import_module("torchvision")
            except RuntimeError:
                self._operators = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
                for name in ("nms", "qnms"):
                    schema = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                    self._operators.define(schema)  # type: ignore[no-untyped-call]

    def near(
        self, name: str, found: Sequence[Tensor], expected: Sequence[Tensor], limit: float
    ) -> dict[str, Any]:
        """Compare outputs: the largest difference relative to the largest expected value.

        Args:
            name: What is compared.
            found: One tensor a batch.
            expected: The same.
            limit: What passes: smaller differences, or none where it is 0.
        """
        if [item.shape for item in found] != [item.shape for item in expected]:
            shapes = [[list(item.shape) for item in part] for part in (found, expected)]
            return _check(name, False, f"shapes {shapes[0]}, expected {shapes[1]}")
        pairs = [(a.detach().double(), b.double()) for a, b in zip(found, expected, strict=True)]
        scale = max([float(b.abs().max()) for _, b in pairs] + [1e-12])
        difference = max(float((a - b).abs().max()) for a, b in pairs) / scale
        count = sum(item.numel() for item in expected)
        sizes = " and ".join(str(len(item)) for item in expected[:2])
        sizes += "".join(f", and {len(item)} shorter texts" for item in expected[2:])
        how = f"differ by {difference:.1e} of the largest" if difference else "are equal"
        return _check(
            name,
            difference < limit or difference == 0,
            f"{count} outputs of batches of {sizes} {how}",
            compared=count,
            difference=difference,
        )

    def same(
        self, name: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]
    ) -> dict[str, Any]:
        """Compare tensors bit for bit: names, shapes and values."""
        names = sorted(set(found) ^ set(expected))
        if names:
            return _check(name, False, f"not in both: {', '.join(names[:5])}")
        shapes = [key for key in expected if found[key].shape != expected[key].shape]
        if shapes:
            return _check(
                name,
                False,
                f"{shapes[0]} is {list(found[shapes[0]].shape)}, "
                f"expected {list(expected[shapes[0]].shape)} ({len(shapes)} such)",
            )
        count = sum(item.numel() for item in expected.values())
        unequal = sum(int((found[key] != expected[key]).sum()) for key in expected)
        return _check(
            name,
            unequal == 0,
            f"{unequal} of {count:,} numbers in {len(expected)} tensors differ",
            compared=count,
            unequal=unequal,
        )

    def same_answers(
        self, name: str, found: Sequence[Tensor], expected: Sequence[Tensor], share: float
    ) -> dict[str, Any]:
        """Count the samples whose largest output is the same one.

        Args:
            name: What is compared.
            found: Outputs ``(N, ...)``, one tensor a batch.
            expected: The same.
            share: How many of the answers have to be the same, 0 to 1.
        """
        pairs = zip(found, expected, strict=True)
        equal = torch.cat([a.flatten(1).argmax(1) == b.flatten(1).argmax(1) for a, b in pairs])
        same, total = int(equal.sum()), len(equal)
        return _check(
            name,
            same >= share * total,
            f"{same} of {total} are the same",
            compared=total,
            unequal=total - same,
        )

    def at_least(self, name: str, found: int, least: int) -> dict[str, Any]:
        """Compare a number of things, such as zeros, with the least that is expected."""
        return _check(name, found >= least, f"{found:,}, at least {least:,} expected", compared=1)

    def asked(self, recipe: str) -> dict[str, int]:
        """Return how much of each layer the tool keeps, by the table in a recipe's head."""
        lines = (self.folder / recipe).read_text("utf-8").splitlines()
        rows = [row for row in (line.lstrip("# ").split() for line in lines) if len(row) == 5]
        return {row[0]: int(row[3]) for row in rows if row[1].isdigit() and row[3].isdigit()}

    def kept(self, model: nn.Module, recipe: str) -> dict[str, Any]:
        """Compare the weights of each layer that are not zero with the table of a recipe."""
        weights = dict(model.named_parameters())
        weights |= {name.removesuffix(".weight"): item for name, item in weights.items()}
        expected = self.asked(recipe)
        found = {name: int((weights[name] != 0).sum()) for name in expected}
        return self.counts("kept", found, expected)

    def counts(
        self, name: str, found: Mapping[str, int], expected: Mapping[str, int]
    ) -> dict[str, Any]:
        """Compare whole numbers by name, such as kept channels or zeros."""
        wrong = [key for key in expected if found.get(key) != expected[key]]
        what = f"{len(expected)} counts are as asked"
        if wrong:
            what = f"{wrong[0]}: {found.get(wrong[0])}, asked for {expected[wrong[0]]}"
        return _check(name, not wrong, what, compared=len(expected), unequal=len(wrong))


def _check(name: str, passed: bool, text: str, **numbers: float) -> dict[str, Any]:
    return {"name": name, "passed": passed, "text": text, **numbers}


def _called(model: nn.Module, given: Any) -> Any:
    if isinstance(given, dict):
        return model(**given)
    return model(*given) if isinstance(given, tuple) else model(given)


def _built(how: Mapping[str, Any]) -> nn.Module:
    """Build a model by the code that built it for PruneScope."""
    build = getattr(_module(how), how["function"])
    if how["config"]:
        library = importlib.import_module("transformers")
        config = library.AutoConfig.from_pretrained(how["config"], local_files_only=True)
        config.use_cache = False
        built: nn.Module = build(config)
    else:
        classes = {} if how["classes"] is None else {"num_classes": how["classes"]}
        built = build(*how["arguments"], **classes)
    return built


def _module(how: Mapping[str, Any]) -> ModuleType:
    """Import the module of a factory, from its file where it has one."""
    if how["folder"]:
        sys.path.insert(0, how["folder"])
        file = Path(how["folder"], f"{how['module']}.py")
        if file.is_file():
            return load(file)
    return importlib.import_module(how["module"])


def load(path: Path) -> ModuleType:
    """Import a Python file."""
    # A script may have the name of the library that it imports.
    name = f"loaded_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Classes look their module up, as dataclasses do.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def main(
    script: str, folder: str, reference: str, answer: str, library: str, file: str = ""
) -> None:
    """Run a script and write its answer."""
    found: dict[str, Any] = {"version": "", "python": platform.python_version(), "checks": []}
    try:
        found["version"] = importlib.metadata.version(library)
        case = Case(Path(folder), Path(reference), file)
        torch.set_num_threads(case.facts["threads"])
        for check in load(Path(script)).check(case):
            found["checks"].append(check)
    except importlib.metadata.PackageNotFoundError:
        found["missing"] = library
    except NotImplementedError as error:
        found["refused"] = str(error)
    except Exception as error:
        traceback.print_exc()
        found["failed"] = f"{type(error).__name__}: {error}".splitlines()[0]
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
