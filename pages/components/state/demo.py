"""The subject of the demo, and others that come with PruneScope."""

from __future__ import annotations

from dataclasses import dataclass

from analysis import sweeps
from analysis.records import SubjectSpec

DEMO = SubjectSpec(
    model="sample:resnet20", data="sample:fashion-mnist", samples=2000, batch_size=100
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSubject:
    """A subject of another kind than the demo's, one click away.

    Attributes:
        label: Name on the home page.
        icon: Name of its Material symbol.
        about: What it is, in one sentence.
        spec: The subject.
    """

    label: str
    icon: str
    about: str
    spec: SubjectSpec


SAMPLE_SUBJECTS = (
    SampleSubject(
        label="King James text",
        icon="menu_book",
        about="A tiny Llama that continues the King James Bible; 128 windows of 128 tokens from "
        "chapters that it never read.",
        spec=SubjectSpec(
            model="sample:llama_tiny",
            data="sample:king-james",
            samples=128,
            calibration_samples=sweeps.calibration_of("language_modelling"),
            batch_size=32,
            task="language_modelling",
        ),
    ),
    SampleSubject(
        label="Scenes",
        icon="image_search",
        about="A U-Net that names the garment at each pixel; 300 scenes made of Fashion-MNIST "
        "images.",
        spec=SubjectSpec(
            model="sample:unet_small",
            data="sample:scenes",
            samples=300,
            calibration_samples=sweeps.calibration_of("segmentation"),
            batch_size=50,
            task="segmentation",
        ),
    ),
    SampleSubject(
        label="Spoken keywords",
        icon="mic",
        about="A network of 1-D convolutions that tells ten spoken words apart; 1,040 words of "
        "voices that it never heard.",
        spec=SubjectSpec(
            model="sample:kws_conv1d", data="sample:keywords", samples=None, batch_size=104
        ),
    ),
)
