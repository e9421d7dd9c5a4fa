from .onnx import export_onnx, open_onnx, require_packages, write_onnx

__all__ = ["export_onnx", "open_onnx", "require_packages", "write_onnx"]
