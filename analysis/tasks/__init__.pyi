from .classification import accuracy, batch_sums, batch_vector, drop, is_finite, to_sums

__all__ = [
    "accuracy",
    "batch_sums",
    "batch_vector",
    "drop",
    "is_finite",
    "to_sums",
]
