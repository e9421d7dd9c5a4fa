from .opening import Sampler, TrainingData, open_training_data

__all__ = ["Sampler", "TrainingData", "open_training_data"]
