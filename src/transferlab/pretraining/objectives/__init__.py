"""Objectives on unlabelled text: one LightningModule each, with what all of them share in `base`."""

from transferlab.pretraining.objectives.base import Pretraining
from transferlab.pretraining.objectives.causal import CausalLM
from transferlab.pretraining.objectives.masked import MaskedLM
from transferlab.pretraining.objectives.replaced import ReplacedTokens

__all__ = ["CausalLM", "MaskedLM", "Pretraining", "ReplacedTokens"]
