"""An encoder whose updates were merged, without the layers that held them."""

from typing import Any

from torch import nn


def without_layers(backbone: nn.Module) -> nn.Module:
    """Puts the linear maps back that peft's layers stand around; `Method.merge` must have been called before.

    Args:
        backbone: The tuned encoder. It is changed in place.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(backbone.named_modules()):
        if isinstance(module, BaseTunerLayer):
            parent, _, leaf = name.rpartition(".")
            layer: Any = module.get_base_layer()
            setattr(backbone.get_submodule(parent), leaf, layer)
    return backbone
