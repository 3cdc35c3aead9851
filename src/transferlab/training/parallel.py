"""Training in several processes: all weights in each, or split for encoders beyond the memory of one device."""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.tensor import DTensor

from transferlab.ground import intact
from transferlab.ground.remembered import Remembered
from transferlab.training import checkpoints


class Replicated(Remembered, DDPStrategy):
    """Distributed data parallel: each process holds all weights, and gradients are averaged.

    Lightning's, with few arguments: it would put all of torch's, which differ from release to release, into the
    configuration of a run.

    Args:
        timeout: How long to wait for another process before the run ends.
        process_group_backend: ``nccl`` or ``gloo``; None: what suits the device.
        find_unused_parameters: Whether a step may leave parameters without a gradient.
    """

    def __init__(
        self,
        timeout: timedelta = timedelta(minutes=10),
        process_group_backend: str | None = None,
        find_unused_parameters: bool = False,
    ) -> None:
        super().__init__(
            timeout=timeout,
            process_group_backend=process_group_backend,
            find_unused_parameters=find_unused_parameters,
        )


class Sharded(Remembered, ModelParallelStrategy):
    """Fully sharded data parallel: each process holds a part of every weight, gradient and moment of the optimizer.

    A layer's weights are gathered when it runs and let go afterwards (ZeRO stage 3, Rajbhandari et al. 2019,
    https://arxiv.org/abs/1910.02054; torch's `fully_shard`). ``last.ckpt`` is a folder into which each process writes
    its own part, whole or not at all as any checkpoint; ``best.ckpt`` is the usual file with whole tensors.

    Args:
        timeout: How long to wait for another process before the run ends.
        process_group_backend: ``nccl`` or ``gloo``; None: what suits the device.
    """

    def __init__(self, timeout: timedelta = timedelta(minutes=10), process_group_backend: str | None = None) -> None:
        super().__init__(tensor_parallel_size=1, process_group_backend=process_group_backend, timeout=timeout)

    def setup_environment(self) -> None:
        """Splits over all processes."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """The parts of all tensors."""
        assert self.model is not None
        return self.model.state_dict()

    def save_checkpoint(
        self, checkpoint: dict[str, Any], filepath: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        """Writes a file with whole tensors where there is no optimizer in it, else a folder with a part per process.

        Raises:
            TransferlabError: It cannot be written; what was there before is as it was.
        """
        path = Path(self.broadcast(filepath))
        if "optimizer_states" in checkpoint:
            self._save_parts(checkpoint, path)
            return
        checkpoint["state_dict"] = {name: _whole(value) for name, value in checkpoint["state_dict"].items()}
        if self.is_global_zero:
            self.checkpoint_io.save_checkpoint(checkpoint, path)

    def _save_parts(self, checkpoint: dict[str, Any], path: Path) -> None:
        temporary = Path(self.broadcast(path.with_name(f".{path.name}.{os.getpid()}.tmp")))
        parts = {"state_dict": checkpoint.pop("state_dict")}
        parts |= {f"optimizer_{number}": state for number, state in enumerate(checkpoint.pop("optimizer_states"))}
        try:
            save(parts, checkpoint_id=temporary)
            own = intact.sums(temporary.glob(f"__{self.global_rank}_*"))
            gathered: list[Any] = [None] * self.world_size
            torch.distributed.all_gather_object(gathered, own)
            if self.is_global_zero:
                torch.save(checkpoint, temporary / checkpoints.REST)
                files = intact.sums([temporary / checkpoints.REST, temporary / ".metadata"])
                for found in gathered:
                    files |= found
                checkpoints.seal(temporary, files)
                checkpoints.put(temporary, path)
        # torch's is no Exception
        except (OSError, RuntimeError, CheckpointException) as error:
            raise checkpoints.unwritten(path, temporary, error) from error

    def load_checkpoint(
        self, checkpoint_path: str | os.PathLike[str], weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Reads a checkpoint of either kind; that of a folder is in place when this returns.

        Raises:
            TransferlabError: It is damaged.
        """
        path = Path(self.broadcast(checkpoint_path))
        intact.check(path)
        if path.is_file():
            loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            return loaded
        model: Any = self.model
        names = model.kept()
        weights = {name: value for name, value in model.state_dict().items() if name in names}
        parts: dict[str, Any] = {"state_dict": weights}
        for number, optimizer in enumerate(self.optimizers):
            parts[f"optimizer_{number}"] = get_optimizer_state_dict(model, optimizer)
        # into the tensors that are there
        load(parts, checkpoint_id=path)
        for number, optimizer in enumerate(self.optimizers):
            set_optimizer_state_dict(model, optimizer, parts[f"optimizer_{number}"])
        rest: dict[str, Any] = torch.load(path / checkpoints.REST, map_location="cpu", weights_only=True)
        return {**rest, "state_dict": weights}

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Hands out the parts of whole tensors."""
        values = checkpoint["state_dict"]
        if not any(isinstance(value, DTensor) for value in values.values()):
            assert self.model is not None
            set_model_state_dict(self.model, values, options=StateDictOptions(full_state_dict=True, strict=strict))


def _whole(value: Any) -> Any:
    if isinstance(value, DTensor):
        value = value.full_tensor()
    return value.cpu() if isinstance(value, Tensor) else value
