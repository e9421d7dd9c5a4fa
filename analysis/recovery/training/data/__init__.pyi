from .augmentations import AUGMENTATIONS, Augmentation, Images, augment_of, check_augmentations
from .content import Content, content_of
from .opening import TrainingData, open_training_data
from .rate_test import RATE_STEPS, RateTest, find_rate, rate_batch, session_rate
from .sampler import Augment, Sampler
from .transforms import flipped, shifted, user_transform
from .user_loop import load_user_loop, run_user_loop

__all__ = [
    "AUGMENTATIONS",
    "Augment",
    "Augmentation",
    "Content",
    "Images",
    "RATE_STEPS",
    "RateTest",
    "Sampler",
    "TrainingData",
    "augment_of",
    "check_augmentations",
    "content_of",
    "find_rate",
    "flipped",
    "load_user_loop",
    "open_training_data",
    "rate_batch",
    "run_user_loop",
    "session_rate",
    "shifted",
    "user_transform",
]
