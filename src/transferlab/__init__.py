"""Transfer learning experiments in NLP: task x encoder x strategy, trained by the Lightning Trainer.

The names here are what a script needs; see `docs/python.md`. Each is imported when it is first used, so that
``import transferlab`` takes no time.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    # started as a module: what lies in the working directory, a received run maybe, is no code to import
    del sys.path[0]

if TYPE_CHECKING:
    from transferlab.adapters import IA3 as IA3
    from transferlab.adapters import AdaLoRA as AdaLoRA
    from transferlab.adapters import BitFit as BitFit
    from transferlab.adapters import Bottleneck as Bottleneck
    from transferlab.adapters import Fusion as Fusion
    from transferlab.adapters import LoRA as LoRA
    from transferlab.adapters import Method as Method
    from transferlab.adapters import NormTuning as NormTuning
    from transferlab.adapters import PromptTuning as PromptTuning
    from transferlab.adapters import Tuner as Tuner
    from transferlab.api.callbacks import run_callbacks as run_callbacks
    from transferlab.encoders.config import EncoderConfig as EncoderConfig
    from transferlab.ground.errors import TransferlabError as TransferlabError
    from transferlab.ground.quiet import quiet as quiet
    from transferlab.learning.cache import CacheConfig as CacheConfig
    from transferlab.learning.heads import HeadConfig as HeadConfig
    from transferlab.learning.optim import Schedule as Schedule
    from transferlab.record.config import RunConfig as RunConfig
    from transferlab.strategies import Contrastive as Contrastive
    from transferlab.strategies import Distillation as Distillation
    from transferlab.strategies import FeatureExtraction as FeatureExtraction
    from transferlab.strategies import FromScratch as FromScratch
    from transferlab.strategies import FullFineTuning as FullFineTuning
    from transferlab.strategies import ParameterEfficient as ParameterEfficient
    from transferlab.strategies import Prompting as Prompting
    from transferlab.strategies import Strategy as Strategy
    from transferlab.tasks import Source as Source
    from transferlab.tasks import TaskDataModule as TaskDataModule
    from transferlab.tasks import TaskSpec as TaskSpec
    from transferlab.training.frozen_work import FrozenWork as FrozenWork
    from transferlab.use.predictor import Predictor as Predictor

__version__ = "0.1.0"

_PLACES = {
    "adapters": (
        "IA3",
        "AdaLoRA",
        "BitFit",
        "Bottleneck",
        "Fusion",
        "LoRA",
        "Method",
        "NormTuning",
        "PromptTuning",
        "Tuner",
    ),
    "api.callbacks": ("run_callbacks",),
    "encoders.config": ("EncoderConfig",),
    "ground.errors": ("TransferlabError",),
    "ground.quiet": ("quiet",),
    "learning.cache": ("CacheConfig",),
    "learning.heads": ("HeadConfig",),
    "learning.optim": ("Schedule",),
    "record.config": ("RunConfig",),
    "strategies": (
        "Contrastive",
        "Distillation",
        "FeatureExtraction",
        "FromScratch",
        "FullFineTuning",
        "ParameterEfficient",
        "Prompting",
        "Strategy",
    ),
    "tasks": ("Source", "TaskDataModule", "TaskSpec"),
    "training.frozen_work": ("FrozenWork",),
    "use.predictor": ("Predictor",),
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names}

__all__ = sorted([*_MODULES, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
