"""What frozen layers compute is computed once, before training: for the command line and for a plain Trainer."""

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from transferlab.encoders.packing import enable_packing
from transferlab.ground.errors import TransferlabError
from transferlab.learning.cache import CacheConfig, Work
from transferlab.strategies import Strategy
from transferlab.tasks import TaskDataModule


def work_of(trainer: L.Trainer, cache: CacheConfig) -> Work:
    """How frozen layers are computed ahead: on the device and in the precision of the Trainer."""
    epochs = trainer.max_epochs
    autocast = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(str(trainer.precision))
    # without an end in epochs there is one in steps, most likely after several epochs
    return Work(cache, trainer.strategy.root_device, autocast, 2 if epochs in {None, -1} else int(epochs or 0))


def parts(trainer: L.Trainer, model: L.LightningModule) -> tuple[Strategy, TaskDataModule]:
    """The strategy and the data module that a Trainer works on.

    Raises:
        TransferlabError: The Trainer was given others, or two that do not belong together.
    """
    data = getattr(trainer, "datamodule", None)
    if not isinstance(model, Strategy) or not isinstance(data, TaskDataModule):
        raise TransferlabError(
            "These callbacks want a transferlab strategy and its TaskDataModule: trainer.fit(model, datamodule=data)."
        )
    encoder = model.init_args.get("encoder", model.encoder_config)
    if encoder != data.encoder:
        raise TransferlabError(
            f"The strategy was built for encoder {encoder.label} and the data for {data.encoder.label}: give both the "
            "same EncoderConfig."
        )
    if model.task != data.spec:
        raise TransferlabError("The strategy was built for another task than the data: give it data.spec.")
    return model, data


class FrozenWork(Callback):
    """Computes what the frozen layers give once before training, and keeps it on disk.

    Features, hidden states under the lowest trainable layer, a teacher's logits. Without this callback a plain Trainer
    computes the first two in every step. Where the head reads one cached vector for each example, batches are drawn
    without regard to the length of the texts.

    Args:
        cache: Whether and how they are kept.
    """

    def __init__(self, cache: CacheConfig = CacheConfig()) -> None:  # noqa: B008  frozen
        self.cache = cache

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Computes them, or reads them.

        Raises:
            TransferlabError: `wrap_data` of the strategy returns another data module.
        """
        if stage != "fit":
            return
        model, data = parts(trainer, pl_module)
        if data.packed:
            enable_packing(model.encoder.backbone)
        model.frozen_work = []
        if model.take_data(data, work_of(trainer, self.cache)) is not data:
            raise TransferlabError(f"{type(model).__name__}.wrap_data must attach to the data module that it is given.")
