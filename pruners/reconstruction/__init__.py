"""Repairs of weights without training."""

from pruners.reconstruction.batch_norm import batch_norm_buffers
from pruners.reconstruction.fisher import FisherSum, fisher_saliency, fisher_update
from pruners.reconstruction.known import KnownLayers, LayerRepair
from pruners.reconstruction.layerwise import Fit, Repair, repair_layers, repair_one
from pruners.reconstruction.lsq import least_squares
from pruners.reconstruction.mask_search import search_mask, unit_gate_gradients
from pruners.reconstruction.moments import Moments, capture_moments, layer_calls
from pruners.reconstruction.obs import obs_fit, obs_update
from pruners.reconstruction.scaling import unit_scales
from pruners.reconstruction.sequential import (
    Asked,
    Chooser,
    choose_sparsegpt,
    choose_wanda,
    chosen_fit,
    masked_fit,
)

__all__ = [
    "Asked",
    "Chooser",
    "FisherSum",
    "Fit",
    "KnownLayers",
    "LayerRepair",
    "Moments",
    "Repair",
    "batch_norm_buffers",
    "capture_moments",
    "choose_sparsegpt",
    "choose_wanda",
    "chosen_fit",
    "fisher_saliency",
    "fisher_update",
    "layer_calls",
    "least_squares",
    "masked_fit",
    "obs_fit",
    "obs_update",
    "repair_layers",
    "repair_one",
    "search_mask",
    "unit_gate_gradients",
    "unit_scales",
]
