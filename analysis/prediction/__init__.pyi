from .calibration import Calibration
from .forecast import Forecaster
from .signs import ProbedCurves, Signs
from .superposition import coherence, together

__all__ = ["Calibration", "Forecaster", "ProbedCurves", "Signs", "coherence", "together"]
