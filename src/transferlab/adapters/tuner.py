"""Any method of the installed peft that changes linear maps, by its name and arguments."""

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from torch import nn

from transferlab.adapters.base import require
from transferlab.adapters.low_rank import Injected
from transferlab.adapters.targets import resolve
from transferlab.ground.errors import TransferlabError, near

if TYPE_CHECKING:
    from transformers import PreTrainedModel

OURS = {
    "adalora": "transferlab.adapters.AdaLoRA, which keeps its ranks over a resume and out of val/loss",
    "ia3": "transferlab.adapters.IA3, which tells the maps whose inputs are scaled",
    "ln_tuning": "transferlab.adapters.NormTuning",
}
"""Methods with a class of their own here, and why that one."""
UNFIT = {
    "adaption_prompt": "it is made for the attention of decoders",
    "poly": "it needs a task number with each example",
    "shadow": "it is a second model beside the encoder",
    "trainable_tokens": "it trains rows of the embeddings, no linear maps",
}
"""Methods that cannot be put into the linear maps of an encoder, and why."""
TAKEN = {
    "target_modules": "model.method.targets",
    "layers_to_transform": "model.method.top_layers",
    "layers_pattern": "model.method.top_layers",
    "modules_to_save": "the head, which is always trained",
    "task_type": "the task",
    "inference_mode": "the command",
}
"""Arguments of peft that follow from something here."""


@dataclass(frozen=True)
class Tuner(Injected):
    """A method of peft with the target map of this package: VeRA, OFT, HRA, MiSS, LoHa, LoKr and what comes next.

    docs/methods.md has for each of them whether it starts as the plain encoder, how many parameters it trains, what a
    checkpoint holds and whether it merges. What peft changes of the frozen weights at the start, and fixed matrices
    that are drawn from a seed, are in the checkpoint too: a run does not depend on drawing them equally again.

    Args:
        name: What peft calls the method, such as ``vera``, ``oft``, ``hra`` or ``randlora``.
        arguments: Arguments of its configuration class, such as ``{r: 8}``; see peft's documentation.
        targets: Which linear maps; names as for `LoRA`.
        top_layers: Adapt only that many layers, counted from the output side; None adapts all.
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    targets: tuple[str, ...] = ("query", "value")
    top_layers: int | None = None

    def __post_init__(self) -> None:
        known = methods()
        name = self.name.lower()
        require(name not in OURS, f"model.method.name: for {self.name!r} use {OURS.get(name)}")
        require(name not in UNFIT, f"model.method.name: {self.name!r} does not fit: {UNFIT.get(name)}")
        require(
            name in known,
            f"model.method.name: {self.name!r}{near(name, list(known))}; peft {_version()} has {', '.join(known)}",
        )
        for argument in self.arguments:
            require(
                argument not in TAKEN,
                f"model.method.arguments.{argument}: follows from {TAKEN.get(argument)}; leave it out",
            )
            allowed = sorted(set(known[name]) - TAKEN.keys())
            require(
                argument in allowed,
                f"model.method.arguments.{argument}{near(argument, allowed)}: not of {self.name}, which takes "
                f"{', '.join(allowed)}",
            )

    def apply(self, backbone: "PreTrainedModel", total_steps: int | None = None) -> "nn.Module":
        """Puts the method's layers in the place of each target; see `Method.apply`.

        Raises:
            TransferlabError: peft refuses the method or its arguments, or no weight would learn.
        """
        from peft import PeftType, get_peft_model
        from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

        found = resolve(backbone, self.targets, self.top_layers)
        before = {name: value.clone() for name, value in backbone.state_dict().items()}
        try:
            make: Any = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(self.name.upper())]
            module: nn.Module = get_peft_model(backbone, make(target_modules=found, **self.arguments)).get_base_model()
        except (ValueError, TypeError, KeyError, NotImplementedError, RuntimeError, AssertionError) as error:
            text = " ".join(str(error).split())
            raise TransferlabError(
                f"model.method.arguments: {self.name} of peft {_version()} refuses: {text}"
            ) from error
        changed = {
            name
            for name, value in module.state_dict().items()
            if (plain := name.replace(".base_layer.", ".")) not in before or not _equal(value, before[plain])
        }
        module.tuner_entries = changed  # type: ignore[assignment]  # a set of names, which is no part of the model's state
        require(
            any(parameter.requires_grad for parameter in module.parameters()),
            f"model.method.name: {self.name} trains nothing in this encoder ({backbone.config.model_type})",
        )
        return module

    def learned(self, module: nn.Module) -> set[str]:
        """Adds to what is trained what peft added or changed at the start; see `Method.learned`."""
        entries: set[str] = module.tuner_entries  # type: ignore[assignment]
        return super().learned(module) | (entries & module.state_dict().keys())

    def merge(self, module: nn.Module) -> None:
        """Merges all layers, or none where the method cannot be merged; see `Method.merge`."""
        try:
            super().merge(module)
        except (NotImplementedError, ValueError):
            # peft says so of a method as a whole, or of linear maps without a bias
            self.unmerge(module)

    def unmerge(self, module: nn.Module) -> None:
        """Takes merged layers out again."""
        from peft.tuners.tuners_utils import BaseTunerLayer

        for layer in module.modules():
            if isinstance(layer, BaseTunerLayer) and layer.merged:
                layer.unmerge()


def methods() -> dict[str, list[str]]:
    """The methods of the installed peft that take target modules, and the arguments of each."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING

    found = {
        kind.value.lower(): [one.name for one in fields(PEFT_TYPE_TO_CONFIG_MAPPING[kind]) if one.init]
        for kind in PEFT_TYPE_TO_TUNER_MAPPING
    }
    fit = found.keys() - OURS.keys() - UNFIT.keys()
    return {name: found[name] for name in sorted(fit) if "target_modules" in found[name]}


def _equal(one: Any, other: Any) -> bool:
    return bool(one.shape == other.shape and (one == other).all())


def _version() -> str:
    import peft

    return str(peft.__version__)
