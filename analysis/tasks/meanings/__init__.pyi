from .embeddings import COSINE, Cosine
from .grouped import group_terms
from .images import PEAK_RATIO, PeakRatio
from .labels import MICRO_F1, MicroF1
from .means import SampleMean
from .overlap import MEAN_OVERLAP, MeanOverlap
from .quantities import IMPORTED_ACCURACY, IMPORTED_LOSS, IMPORTED_PSNR, ImportedScore
from .ratios import SumRatio
from .regression import EXPLAINED_SHARE, ExplainedShare
from .right_answers import RIGHT_ANSWERS, RightAnswers
from .tokens import PERPLEXITY, RIGHT_TOKENS, Perplexity, RightTokens, TokenScore

__all__ = [
    "COSINE",
    "Cosine",
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
    "PEAK_RATIO",
    "PERPLEXITY",
    "PeakRatio",
    "Perplexity",
    "RIGHT_ANSWERS",
    "RIGHT_TOKENS",
    "RightAnswers",
    "RightTokens",
    "SampleMean",
    "SumRatio",
    "TokenScore",
    "group_terms",
]
