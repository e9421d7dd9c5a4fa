"""Images from images: denoising, super-resolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from analysis.tasks.kinds.adding import MeanTask, checked, close, reduced
from analysis.tasks.kinds.regression import around
from analysis.tasks.kinds.targets import first_of_other_form, real_numbers
from analysis.tasks.meanings import PeakRatio
from analysis.tasks.task import Reduction

# An image with a smaller mean squared error counts as one of 100 dB.
LEAST_ERROR = 1e-10
# Window and constants of SSIM: Z. Wang et al., "Image Quality Assessment", 2004, for a range of 1.
WINDOW, SIGMA, C1, C2 = 11, 1.5, 0.01**2, 0.03**2


class ImageToImage(PeakRatio, MeanTask):
    """Images; outputs and targets are ``(N, channels, H, W)`` with a range of 1.

    Another range shifts the score and leaves its drop. The loss is the mean square.
    """

    name = "image_to_image"

    def check(self, outputs: object, samples: int, *, model: str) -> Tensor:
        """Return images ``(samples, channels, height, width)``; see `Task.check`."""
        form = "images (samples, channels, height, width)"
        return checked(outputs, samples, model=model, form=form, dims=(4,))

    def as_targets(self, values: Tensor) -> Tensor | None:
        """Return images, float32; whole numbers up to 255 become 0 to 1."""
        found = real_numbers(values)
        return found / 255 if values.dtype == torch.uint8 else found

    def own_targets(self, dense: Tensor) -> Tensor:
        """Return the dense model's images."""
        return dense

    def target_problem(self, targets: Tensor, form: tuple[int, ...]) -> tuple[int, str] | None:
        """Return the first sample if targets are of another size than outputs."""
        return first_of_other_form(targets, form)

    def numbers(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return the PSNR of each image in dB."""
        return -10 * _errors(outputs, truth).clamp_min(LEAST_ERROR).log10()

    def agree(self, outputs: Tensor, others: Tensor) -> Tensor:
        """Return which samples get the same image but for rounding."""
        return close(outputs, others)

    def distance(self, dense: Tensor, outputs: Tensor) -> Tensor:
        """Return the mean squared difference of each image."""
        return _errors(outputs, dense)

    def loss(self, outputs: Tensor, targets: Tensor, reduction: Reduction = "mean") -> Tensor:
        """Return the mean squared error."""
        return reduced(_errors(outputs, targets.to(outputs.device)), reduction)

    def drawn(self, outputs: Tensor, generator: Generator) -> Tensor:
        """Draw images of the normal distribution whose negative logarithm is the loss."""
        return around(outputs, generator)

    def extra_terms(self, dense: Tensor, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return SSIM and mean squared error of each image."""
        return torch.stack([similarity(outputs.float(), truth.float()), _errors(outputs, truth)], 1)


def similarity(images: Tensor, others: Tensor) -> Tensor:
    """Return the SSIM of pairs of images ``(N, channels, H, W)``, ``(N,)``.

    By a normal window where it lies inside; a smaller one in images that are smaller than it.
    """
    channels, size = images.shape[1], min(WINDOW, *images.shape[2:])
    places = torch.arange(size, device=images.device) - (size - 1) / 2
    line = torch.exp(-(places**2) / (2 * SIGMA**2)).to(images.dtype)
    window = torch.outer(line, line) / line.sum() ** 2
    kernel = window.expand(channels, 1, size, size)

    def blurred(values: Tensor) -> Tensor:
        return F.conv2d(values, kernel, groups=channels)

    one, other = blurred(images), blurred(others)
    spread = blurred(images**2) - one**2 + blurred(others**2) - other**2
    together = blurred(images * others) - one * other
    found = (2 * one * other + C1) * (2 * together + C2)
    return (found / ((one**2 + other**2 + C1) * (spread + C2))).flatten(1).mean(1)


def _errors(outputs: Tensor, truth: Tensor) -> Tensor:
    return (outputs.float() - truth.float()).square().flatten(1).mean(1)


IMAGE_TO_IMAGE = ImageToImage()
