"""How another process builds the dense model: the same code that built it here."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from pathlib import Path

import sample_models
from analysis.edits import PreparedSubject
from analysis.records import Document
from analysis.subjects import parse_model
from pruners.errors import UnsupportedError


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseModel(Document):
    """A call that builds an untrained model.

    Attributes:
        folder: What is put on the import path; empty for installed packages.
        module: The module of the function.
        function: The function.
        arguments: Its positional arguments.
        classes: Its argument ``num_classes``; None leaves that out.
        config: Folder of the configuration of Transformers that it takes; empty for none.
    """

    folder: str
    module: str
    function: str
    arguments: tuple[str, ...] = ()
    classes: int | None = None
    config: str = ""


def dense_model(prepared: PreparedSubject) -> DenseModel:
    """Say how the subject's model is built.

    Raises:
        UnsupportedError: Another process cannot build it.
    """
    address = parse_model(prepared.subject.spec.model)
    classes = address.number("classes")
    if address.scheme == "sample":
        folder = Path(inspect.getfile(sample_models)).parent.parent
        return DenseModel(
            folder=str(folder), module="sample_models", function="build", arguments=(address.name,)
        )
    if address.scheme in ("torchvision", "timm"):
        module, function = {
            "torchvision": ("torchvision.models", "get_model"),
            "timm": ("timm", "create_model"),
        }[address.scheme]
        return DenseModel(
            folder="",
            module=module,
            function=function,
            arguments=(address.name,),
            classes=classes,
        )
    if address.scheme == "hf":
        return DenseModel(
            folder="",
            module="transformers",
            function=type(prepared.model).__name__,
            config=str(Path(address.name).resolve()),
        )
    if address.is_path:
        path = Path(address.name).resolve()
        return DenseModel(folder=str(path.parent), module=path.stem, function=address.factory)
    if address.factory:
        file = importlib.import_module(address.name).__file__
        folders = Path(file or "").resolve().parents
        depth = address.name.count(".") + (Path(file or "").name == "__init__.py")
        return DenseModel(folder=str(folders[depth]), module=address.name, function=address.factory)
    raise UnsupportedError(
        f"another process cannot build {address.text}; name a factory, file.py:function"
    )
