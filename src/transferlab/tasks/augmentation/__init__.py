"""Changed copies of training texts, and unlabelled texts beside them. Imports no torch."""

from transferlab.tasks.augmentation.settings import Augment, Unlabelled

__all__ = ["Augment", "Unlabelled"]
