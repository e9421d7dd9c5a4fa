from .detected import DETECTED_BOXES, SCORES, DetectedBoxes
from .grouped import group_terms
from .labels import MICRO_F1, MicroF1
from .means import COSINE, PEAK_RATIO, Cosine, PeakRatio, SampleMean
from .overlap import MEAN_OVERLAP, MeanOverlap
from .quantities import IMPORTED_ACCURACY, IMPORTED_LOSS, IMPORTED_PSNR, ImportedScore
from .ratios import SumRatio
from .regression import EXPLAINED_SHARE, ExplainedShare
from .right_answers import RIGHT_ANSWERS, RightAnswers
from .tokens import (
    NEXT_TOKENS,
    PERPLEXITY,
    RIGHT_TOKENS,
    NextTokens,
    Perplexity,
    RightTokens,
    TokenScore,
)
from .yes_or_no import BINS, YES_OR_NO, YesOrNo

__all__ = [
    "BINS",
    "COSINE",
    "Cosine",
    "DETECTED_BOXES",
    "DetectedBoxes",
    "EXPLAINED_SHARE",
    "ExplainedShare",
    "IMPORTED_ACCURACY",
    "IMPORTED_LOSS",
    "IMPORTED_PSNR",
    "ImportedScore",
    "MEAN_OVERLAP",
    "MICRO_F1",
    "MeanOverlap",
    "MicroF1",
    "NEXT_TOKENS",
    "NextTokens",
    "PEAK_RATIO",
    "PERPLEXITY",
    "PeakRatio",
    "Perplexity",
    "RIGHT_ANSWERS",
    "RIGHT_TOKENS",
    "RightAnswers",
    "RightTokens",
    "SCORES",
    "SampleMean",
    "SumRatio",
    "TokenScore",
    "YES_OR_NO",
    "YesOrNo",
    "group_terms",
]
