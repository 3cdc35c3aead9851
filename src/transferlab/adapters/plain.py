"""An encoder whose updates were merged, without the layers that held them."""

from typing import Any

from torch import nn

from transferlab.adapters.base import require


def without_layers(backbone: nn.Module) -> nn.Module:
    """Puts the linear maps back that peft's layers stand around; `Method.merge` must have been called before.

    Args:
        backbone: The tuned encoder. It is changed in place.

    Raises:
        TransferlabError: A layer was not merged, because its method has no way to.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(backbone.named_modules()):
        if isinstance(module, BaseTunerLayer):
            # else what it learned would be lost without a word
            require(
                bool(module.merged),
                f"model.method: {type(module).__module__.split('.')[-2]} cannot be merged into the weights of the "
                "encoder; take LoRA, or use the run itself",
            )
            parent, _, leaf = name.rpartition(".")
            layer: Any = module.get_base_layer()
            setattr(backbone.get_submodule(parent), leaf, layer)
    return backbone
