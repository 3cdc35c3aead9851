"""Splitting the weights of a strategy over processes."""

from torch import nn
from torch.distributed.device_mesh import DeviceMesh

from transferlab.encoders.layers import layer_list


def shard(model: nn.Module, backbone: nn.Module, mesh: DeviceMesh) -> None:
    """Splits each transformer layer, and what is left as a whole, over the processes of a mesh; once.

    Args:
        model: All that is trained; it must be called to run, not its parts.
        backbone: The encoder in it.
        mesh: Has a dimension ``data_parallel``.
    """
    from torch.distributed.fsdp import FSDPModule, fully_shard

    if isinstance(model, FSDPModule):
        return
    _, layers = layer_list(backbone)
    for module in [*(layers or []), model]:
        fully_shard(module, mesh=mesh["data_parallel"])
