"""The signal-to-noise ratio of images."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.tasks.meanings.means import SampleMean
from analysis.tasks.scoring import Metric, Words


class PeakRatio(SampleMean):
    """PSNR of each image in dB, the mean over images; extra: their SSIM and squared error."""

    words = Words(
        label="PSNR",
        column="psnr",
        drop_label="PSNR drop",
        drop_column="psnr_drop",
        unit="dB",
        drop_unit="dB",
        digits=3,
        tolerance=0.1,
        agreement="PSNR is that of the pruned model's images against the dense model's",
    )
    extras = ("ssim", "mse")
    columns = ("ssim", "mse")
    metrics: Mapping[str, Metric] = {
        "ssim": Metric("ssim", "", "", "SSIM", "", 1.0),
        "mse": Metric("mse", "", "", "mean squared error", "", 1.0),
    }


PEAK_RATIO = PeakRatio()
