"""The registries of what addresses begin with: where models and data come from.

Names and help are known without torch: what opens an address is looked up when it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from analysis.subjects import data, models
from pruners.registry import Registry

if TYPE_CHECKING:
    from analysis.subjects.address import Address
    from analysis.subjects.allowed_paths import Roots
    from analysis.subjects.data import LoadedData

T = TypeVar("T")
# A model and the shape of one input, if the source knows it.
Built = tuple[Any, tuple[int, ...] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme(Generic[T]):
    """A registered kind of address.

    Attributes:
        name: What the address begins with; of factories (``path/file.py:function``) only a name.
        label: Name on pages.
        help: What the address names, in plain words.
        form: How it is written.
        example: An address for pages; empty where another scheme's covers it.
        options: What may follow ``#``.
        required: Options that must be given: what they name.
        is_factory: Whether the address is a place, a colon and a function.
        is_path: Whether what follows the scheme is a file or folder.
        is_trained: Whether models come with weights of their own.
        is_calibrated: Whether data come with a calibration set of their own.
        is_random: Whether weights are random unless the address names some.
        open: Opens an address below the allowed folders (None: everywhere).
    """

    name: str
    label: str
    help: str
    form: str
    open: Callable[[Address, Roots], T]
    example: str = ""
    options: tuple[str, ...] = ()
    required: Mapping[str, str] = field(default_factory=dict)
    is_factory: bool = False
    is_path: bool = False
    is_trained: bool = False
    is_calibrated: bool = False
    is_random: bool = False


MODEL_SCHEMES: Registry[Scheme[Built]] = Registry(
    "model address",
    (
        Scheme(
            name="sample",
            label="Sample",
            help="A small trained network that comes with PruneScope.",
            form="sample:NAME",
            example="sample:resnet20",
            options=("weights", "key"),
            is_trained=True,
            open=lambda *address: models.build_sample(*address),
        ),
        Scheme(
            name="torchvision",
            label="torchvision",
            help="A torchvision architecture with your weights: safetensors or a plain state dict.",
            form="torchvision:NAME#weights=FILE",
            example="torchvision:resnet18#weights=weights/resnet18.safetensors",
            options=("weights", "key", "classes", "input"),
            is_random=True,
            open=lambda *address: models.build_torchvision(*address),
        ),
        Scheme(
            name="timm",
            label="timm",
            help="An architecture of timm.",
            form="timm:NAME#weights=FILE",
            example="timm:resnet18#weights=weights/model.safetensors",
            options=("weights", "key", "classes", "input"),
            is_random=True,
            open=lambda *address: models.build_timm(*address),
        ),
        Scheme(
            name="file",
            label="Python factory",
            help="A function that returns the module, in a file or as package.module:function. "
            "Its code runs, so the file must lie below the folders that this server allows.",
            form="path/file.py:factory#weights=FILE",
            example="path/model.py:build#weights=weights/model.safetensors",
            options=("weights", "key", "input"),
            is_factory=True,
            is_path=True,
            open=lambda *address: models.build_by_factory(*address),
        ),
        Scheme(
            name="module",
            label="Python module",
            help="A function that returns the module, in an importable module.",
            form="package.module:factory#weights=FILE",
            options=("weights", "key", "input"),
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
            help="10,000 test images, 2,000 for calibration.",
            form="sample:fashion-mnist",
            example="sample:fashion-mnist",
            is_calibrated=True,
            open=lambda *address: data.open_sample(*address),
        ),
        Scheme(
            name="npz",
            label="NumPy file",
            help="An npz file with the arrays images and labels; mean and std normalise them.",
            form="npz:FILE#mean=..&std=..",
            example="npz:data/test.npz#mean=0.5&std=0.25",
            options=("mean", "std"),
            is_path=True,
            open=lambda *address: data.open_npz_file(*address),
        ),
        Scheme(
            name="imagefolder",
            label="Image folder",
            help="A folder with one folder of images a class.",
            form="imagefolder:DIR#size=224&mean=..&std=..",
            example="imagefolder:data/val#size=224&mean=0.485,0.456,0.406&std=0.229,0.224,0.225",
            options=("size", "resize", "channels", "mean", "std"),
            is_path=True,
            open=lambda *address: data.open_imagefolder(*address),
        ),
        Scheme(
            name="torchvision",
            label="torchvision",
            help="A torchvision data set on disk.",
            form="torchvision:NAME#root=DIR",
            example="torchvision:CIFAR10#root=data",
            options=("root", "split", "size", "resize", "mean", "std"),
            required={"root": "the folder of the data set"},
            open=lambda *address: data.open_torchvision(*address),
        ),
        Scheme(
            name="file",
            label="Python factory",
            help="A function that returns a map-style data set of (input, target).",
            form="path/file.py:factory",
            example="path/data.py:build",
            is_factory=True,
            is_path=True,
            open=lambda *address: data.open_by_factory(*address),
        ),
        Scheme(
            name="module",
            label="Python module",
            help="A function that returns a map-style data set, in an importable module.",
            form="package.module:factory",
            is_factory=True,
            open=lambda *address: data.open_by_factory(*address),
        ),
    ),
)
