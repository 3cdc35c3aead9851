"""How an encoder is transferred: one LightningModule per file."""

from transferlab.strategies.base import Strategy
from transferlab.strategies.contrastive import Contrastive
from transferlab.strategies.distillation import Distillation
from transferlab.strategies.feature_extraction import FeatureExtraction
from transferlab.strategies.from_scratch import FromScratch
from transferlab.strategies.full_finetuning import FullFineTuning
from transferlab.strategies.parameter_efficient import ParameterEfficient
from transferlab.strategies.prompting import Prompting

__all__ = [
    "Contrastive",
    "Distillation",
    "FeatureExtraction",
    "FromScratch",
    "FullFineTuning",
    "ParameterEfficient",
    "Prompting",
    "Strategy",
]
