"""Pruning algorithms on tensors and modules; imports torch and the standard library only."""

# Each room is imported by its name.
__all__: list[str] = []
