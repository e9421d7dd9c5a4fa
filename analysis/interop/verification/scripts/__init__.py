"""One plain script a library, run by `analysis.interop.verification.harness`."""

__all__: list[str] = []
