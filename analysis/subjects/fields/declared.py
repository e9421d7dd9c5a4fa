"""The fields that addresses have."""

from __future__ import annotations

from analysis.subjects.fields.field import Field

NAME = Field(name="name", label="Name", help="What follows the colon.")
FACTORY = Field(
    name="factory",
    label="Function",
    help="A function without arguments in that file or module. It is run: use what you trust.",
)
WEIGHTS = Field(
    name="weights",
    label="Weights",
    help="A safetensors file, or a state dict that torch.save wrote; nothing is unpickled.",
    kind="file",
    unset="as built",
    suffixes=(".safetensors", ".pt", ".pth", ".bin", ".ckpt"),
    uploads=True,
)
KEY = Field(
    name="key",
    label="Key",
    help="Which weights of a file that holds several, by the keys that lead there, joined by /.",
    unset="the only ones that fit",
)
CLASSES = Field(
    name="classes",
    label="Classes",
    help="How many classes the last layer tells apart.",
    kind="count",
    unset="as the architecture",
)
INPUT = Field(
    name="input",
    label="Input shape",
    help="Channels, height and width of one input; only needed without data.",
    kind="shape",
    unset="that of the data",
)
OUTPUT = Field(
    name="output",
    label="Output",
    help="Which output of several is measured: its name, such as logits, or its number.",
    unset="the only one",
)
TOKENS = Field(
    name="tokens",
    label="Tokenizer",
    help="A tokenizer.json, or the folder of a model that holds one.",
    kind="file",
    suffixes=(".json",),
    required="the tokenizer",
)
WINDOW = Field(
    name="window",
    label="Window (tokens)",
    help="Tokens that the model sees at a time.",
    kind="count",
    unset="128",
)
STRIDE = Field(
    name="stride",
    label="Stride (tokens)",
    help="Tokens from one window to the next; what windows share is counted once.",
    kind="count",
    unset="the window",
)
BOS = Field(
    name="bos",
    label="First token",
    help="1 begins each window with the tokenizer's first token.",
    unset="0: none",
)
MEAN = Field(
    name="mean",
    label="Mean",
    help="Is subtracted from values of 0 to 1: a number, or one a channel joined by commas. Take "
    "those of the training.",
    kind="numbers",
    unset="0: nothing",
)
STD = Field(
    name="std",
    label="Standard deviation",
    help="Values are divided by it after the mean was subtracted: a number, or one a channel.",
    kind="numbers",
    unset="1: nothing",
)
SIZE = Field(
    name="size",
    label="Size (pixels)",
    help="Height and width of the square that the network is fed.",
    kind="count",
)
RESIZE = Field(
    name="resize",
    label="Resize to (pixels)",
    help="Length of the shorter side before the centre is cropped to the size. Without it, images "
    "that have the size already stay as they are.",
    kind="count",
    unset="size / 0.875",
)
CHANNELS = Field(
    name="channels",
    label="Channels",
    help="1 reads images in grey, 3 in colour.",
    kind="count",
    unset="3",
)
SPLIT = Field(
    name="split", label="Part", help="Which part of the data set.", unset="what was held out"
)
ROOT = Field(
    name="root",
    label="Folder",
    help="Where the data set lies; nothing is downloaded.",
    kind="folder",
    required="the folder of the data set",
)
