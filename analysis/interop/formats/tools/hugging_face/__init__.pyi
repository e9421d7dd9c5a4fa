from .export import export_hugging_face, require_transformers

__all__ = ["export_hugging_face", "require_transformers"]
