from .export import export_masks

__all__ = ["export_masks"]
