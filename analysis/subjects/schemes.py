"""The registries of what addresses begin with: where models and data come from.

Names and help are known without torch: what opens an address is looked up when it does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from analysis.records import DEFAULT_TASK
from analysis.subjects import data, models
from analysis.subjects.fields import (
    BOS,
    CHANNELS,
    CLASSES,
    FACTORY,
    INPUT,
    KEY,
    MEAN,
    NAME,
    OUTPUT,
    RESIZE,
    ROOT,
    SIZE,
    SPLIT,
    STD,
    STRIDE,
    TOKENS,
    WEIGHTS,
    WINDOW,
    Field,
)
from pruners.registry import Registry

if TYPE_CHECKING:
    from analysis.subjects.address import Address
    from analysis.subjects.allowed_paths import Roots
    from analysis.subjects.data import LoadedData

T = TypeVar("T")
# A model and the shape of one input, if the source knows it.
Built = tuple[Any, tuple[int, ...] | None]
# What stands for a # in an address, and for itself, the longer the more often it was written so.
SHARP = re.compile("%((?:25)*)23")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme(Generic[T]):
    """A registered kind of address.

    Attributes:
        name: What the address begins with; of factories (``path/file.py:function``) only a name.
        label: Name on pages.
        help: What the address names, in plain words.
        form: How it is written.
        example: An address that shows the form.
        place: What follows the colon; of a factory, what stands before it.
        options: What may follow ``#``.
        is_factory: Whether the address is a place, a colon and a function.
        is_path: Whether what follows the scheme is a file or folder.
        is_trained: Whether models come with weights of their own.
        is_calibrated: Whether data come with a calibration set of their own.
        is_random: Whether weights are random unless the address names some.
        task: What models of such data answer, if that is plain from the address.
        open: Opens an address below the allowed folders (None: everywhere).
    """

    name: str
    label: str
    help: str
    form: str
    open: Callable[[Address, Roots], T]
    example: str
    place: Field = NAME
    options: tuple[Field, ...] = ()
    is_factory: bool = False
    is_path: bool = False
    is_trained: bool = False
    is_calibrated: bool = False
    is_random: bool = False
    task: Callable[[Address], str] = lambda _: DEFAULT_TASK

    @property
    def fields(self) -> tuple[Field, ...]:
        """All parts of an address of this kind, in the order in which they are written."""
        return (self.place, *((FACTORY,) if self.is_factory else ()), *self.options)

    def write(self, values: Mapping[str, str]) -> str:
        """Return the address with these values by field; empty ones are left out.

        What `analysis.subjects.parse_model` or `parse_data` reads of it are the values again.
        """
        given = {name: value.strip() for name, value in values.items()}
        place = _escaped_place(given.get(self.place.name, ""))
        head = (
            f"{place}:{given.get(FACTORY.name, '')}" if self.is_factory else f"{self.name}:{place}"
        )
        tail = [
            f"{item.name}={_escaped(given[item.name])}"
            for item in self.options
            if given.get(item.name)
        ]
        return f"{head}#{'&'.join(tail)}" if tail else head


def _escaped_place(place: str) -> str:
    """Write what would begin the options, and what would be read as that, by its number."""
    return SHARP.sub(r"%25\g<1>23", place).replace("#", "%23")


def plain_place(written: str) -> str:
    """Return a file or folder as it is called; in an address ``#`` is ``%23``, ``%23`` ``%2523``.

    >>> plain_place("imagefolder:shots %231"), plain_place("imagefolder:100% of %2523")
    ('imagefolder:shots #1', 'imagefolder:100% of %23')
    """
    return SHARP.sub(lambda found: f"%{found[1][2:]}23" if found[1] else "#", written)


def _escaped(value: str) -> str:
    """Write what would end an option by its number."""
    return value.replace("%", "%25").replace("&", "%26")


_ARCHITECTURE = "Architecture"
_FILE = Field(
    name="name",
    label="Python file",
    help="Its code runs, so it must lie below the folders that this server allows.",
    kind="file",
    suffixes=(".py",),
)
_MODULE = Field(name="name", label="Module", help="A module that Python can import.")
_NPZ = Field(
    name="name",
    label="File",
    help="Arrays images, and labels if there are any.",
    kind="file",
    suffixes=(".npz",),
    uploads=True,
)
_ORIGINALS = Field(
    name="name",
    label="Folder",
    help="Where the original files lie (*-ubyte.gz): that of Debian's dataset-fashion-mnist, or "
    "torchvision's root.",
    kind="folder",
)
_FOLDER = Field(name="name", label="Folder", help="One folder of images a class.", kind="folder")
_PRETRAINED = Field(
    name="name", label="Folder", help="It holds config.json and *.safetensors.", kind="folder"
)
_TEXT = Field(
    name="name",
    label="File",
    help="UTF-8; an empty line ends a document. A folder of *.txt files has one in each.",
    kind="file",
    suffixes=(".txt",),
    uploads=True,
)


MODEL_SCHEMES: Registry[Scheme[Built]] = Registry(
    "model address",
    (
        Scheme(
            name="sample",
            label="Sample",
            help="A small trained network that comes with PruneScope.",
            form="sample:NAME",
            example="sample:resnet20",
            place=Field(name="name", label="Network", help="", known=lambda: models.sample_names()),
            options=(WEIGHTS, KEY),
            is_trained=True,
            open=lambda *address: models.build_sample(*address),
        ),
        Scheme(
            name="torchvision",
            label="torchvision",
            help="A torchvision architecture with your weights: safetensors or a plain state dict.",
            form="torchvision:NAME#weights=FILE",
            example="torchvision:resnet18#weights=weights/resnet18.safetensors",
            place=Field(
                name="name",
                label=_ARCHITECTURE,
                help="As torchvision calls it.",
                known=lambda: models.torchvision_models(),
            ),
            options=(WEIGHTS, KEY, CLASSES, INPUT),
            is_random=True,
            open=lambda *address: models.build_torchvision(*address),
        ),
        Scheme(
            name="timm",
            label="timm",
            help="An architecture of timm.",
            form="timm:NAME#weights=FILE",
            example="timm:resnet18#weights=weights/model.safetensors",
            place=Field(
                name="name",
                label=_ARCHITECTURE,
                help="As timm calls it.",
                known=lambda: models.timm_models(),
            ),
            options=(WEIGHTS, KEY, CLASSES, INPUT),
            is_random=True,
            open=lambda *address: models.build_timm(*address),
        ),
        Scheme(
            name="hf",
            label="Transformers",
            help="A folder that save_pretrained wrote; nothing is downloaded, no code of it runs.",
            form="hf:FOLDER",
            example="hf:models/tiny-llama",
            place=_PRETRAINED,
            options=(INPUT, OUTPUT),
            is_path=True,
            is_trained=True,
            open=lambda *address: models.build_hugging_face(*address),
        ),
        Scheme(
            name="file",
            label="Python factory",
            help="A function that returns the module, in a file or as package.module:function. "
            "Its code runs, so the file must lie below the folders that this server allows.",
            form="path/file.py:factory#weights=FILE",
            example="path/model.py:build#weights=weights/model.safetensors",
            place=_FILE,
            options=(WEIGHTS, KEY, INPUT, OUTPUT),
            is_factory=True,
            is_path=True,
            open=lambda *address: models.build_by_factory(*address),
        ),
        Scheme(
            name="module",
            label="Python module",
            help="A function that returns the module, in an importable module.",
            form="package.module:factory#weights=FILE",
            example="models.net:build#weights=weights/model.safetensors",
            place=_MODULE,
            options=(WEIGHTS, KEY, INPUT, OUTPUT),
            is_factory=True,
            open=lambda *address: models.build_by_factory(*address),
        ),
    ),
)
DATA_SCHEMES: Registry[Scheme[LoadedData]] = Registry(
    "data address",
    (
        Scheme(
            name="sample",
            label="Sample",
            help="Data that come with PruneScope, each with a calibration set of its own.",
            form="sample:NAME",
            example="sample:fashion-mnist",
            is_calibrated=True,
            place=Field(name="name", label="Data set", help="", known=lambda: data.sample_sets()),
            task=lambda address: data.sample_task(address),
            open=lambda *address: data.open_sample(*address),
        ),
        Scheme(
            name="fashion-mnist",
            label="Fashion-MNIST",
            help="All of Fashion-MNIST from its original files: 10,000 test images, and 60,000 "
            "training images to calibrate and train on.",
            form="fashion-mnist:FOLDER",
            example="fashion-mnist:/usr/share/datasets/fashion-mnist",
            place=_ORIGINALS,
            options=(SPLIT,),
            is_path=True,
            is_calibrated=True,
            open=lambda *address: data.open_fashion_mnist(*address),
        ),
        Scheme(
            name="npz",
            label="NumPy file",
            help="An npz file with the arrays images and labels; mean and std normalise them.",
            form="npz:FILE#mean=..&std=..",
            example="npz:data/test.npz#mean=0.5&std=0.25",
            place=_NPZ,
            options=(MEAN, STD),
            is_path=True,
            open=lambda *address: data.open_npz_file(*address),
        ),
        Scheme(
            name="imagefolder",
            label="Image folder",
            help="A folder with one folder of images a class.",
            form="imagefolder:DIR#size=224&mean=..&std=..",
            example="imagefolder:data/val#size=224&mean=0.485,0.456,0.406&std=0.229,0.224,0.225",
            place=_FOLDER,
            options=(SIZE, RESIZE, CHANNELS, MEAN, STD),
            is_path=True,
            open=lambda *address: data.open_imagefolder(*address),
        ),
        Scheme(
            name="torchvision",
            label="torchvision",
            help="A torchvision data set on disk.",
            form="torchvision:NAME#root=DIR",
            example="torchvision:CIFAR10#root=data",
            place=Field(
                name="name",
                label="Data set",
                help="As torchvision calls it.",
                known=lambda: data.torchvision_sets(),
            ),
            options=(ROOT, SPLIT, SIZE, RESIZE, MEAN, STD),
            open=lambda *address: data.open_torchvision(*address),
        ),
        Scheme(
            name="text",
            label="Text",
            help="A text in windows of token numbers; the target is the token after each.",
            form="text:FILE#tokens=TOKENIZER",
            example="text:data/held-out.txt#tokens=models/tiny-llama&window=128&bos=1",
            place=_TEXT,
            options=(TOKENS, WINDOW, STRIDE, BOS),
            is_path=True,
            task=lambda _: "language_modelling",
            open=lambda *address: data.open_text_file(*address),
        ),
        Scheme(
            name="file",
            label="Python factory",
            help="A function that returns a map-style data set of (input, target).",
            form="path/file.py:factory",
            example="path/data.py:build",
            place=_FILE,
            is_factory=True,
            is_path=True,
            open=lambda *address: data.open_by_factory(*address),
        ),
        Scheme(
            name="module",
            label="Python module",
            help="A function that returns a map-style data set, in an importable module.",
            form="package.module:factory",
            example="data.images:build",
            place=_MODULE,
            is_factory=True,
            open=lambda *address: data.open_by_factory(*address),
        ),
    ),
)
