"""Pruning algorithms on tensors and modules; imports torch and the standard library only."""
