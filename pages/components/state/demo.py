"""The subject of the demo, and others that come with PruneScope."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analysis.records import SubjectSpec
from analysis.subjects import usual_subject

DEMO = replace(
    usual_subject("sample:resnet20", "sample:fashion-mnist"), samples=2000, batch_size=100
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
        spec=replace(
            usual_subject("sample:llama_tiny", "sample:king-james"), samples=128, batch_size=32
        ),
    ),
    SampleSubject(
        label="Scenes",
        icon="image_search",
        about="A U-Net that names the garment at each pixel; 300 scenes made of Fashion-MNIST "
        "images.",
        spec=replace(
            usual_subject("sample:unet_small", "sample:scenes"), samples=300, batch_size=50
        ),
    ),
    SampleSubject(
        label="Spoken keywords",
        icon="mic",
        about="A network of 1-D convolutions that tells ten spoken words apart; 1,040 words of "
        "voices that it never heard.",
        spec=replace(usual_subject("sample:kws_conv1d", "sample:keywords"), batch_size=104),
    ),
)
