"""Parameter-efficient methods: each puts a few trainable parameters into a frozen encoder."""

from transferlab.adapters.adalora import AdaLoRA
from transferlab.adapters.base import Method
from transferlab.adapters.bottleneck import Bottleneck
from transferlab.adapters.fusion import Fusion
from transferlab.adapters.low_rank import IA3, LoRA
from transferlab.adapters.prompt import PromptTuning
from transferlab.adapters.sparse import BitFit, NormTuning
from transferlab.adapters.tuner import Tuner

__all__ = ["IA3", "AdaLoRA", "BitFit", "Bottleneck", "Fusion", "LoRA", "Method", "NormTuning", "PromptTuning", "Tuner"]
