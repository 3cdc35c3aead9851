"""Unlabelled texts of which each training step reads some beside its batch."""

from collections.abc import Callable

import torch
from torch import Tensor

from transferlab.ground.errors import TransferlabError
from transferlab.strategies.steadied import Steadied
from transferlab.tasks import Batch, TaskDataModule


class ReadsUnlabelled(Steadied):
    """A module whose loss may have a term with `data.unlabelled`; without one it does nothing."""

    _unlabelled: Callable[[int], tuple[Batch, Batch | None]] | None = None

    @property
    def reads_unlabelled(self) -> bool:
        """Whether the loss has a term with `data.unlabelled`."""
        return self.steady.consistency is not None

    def take_unlabelled(self, data: TaskDataModule) -> None:
        """Takes the unlabelled texts of the data, of which each step reads some.

        Raises:
            TransferlabError: There are none, or nothing reads them.
        """
        if data.unlabelled is not None and not self.reads_unlabelled:
            raise TransferlabError(
                "data.unlabelled: nothing reads these texts; set model.steady.consistency, or take "
                "strategy/distillation with a teacher; or leave them out."
            )
        if self.steady.consistency is not None and (data.unlabelled is None or data.augment is None):
            raise TransferlabError(
                "model.steady.consistency: it compares unlabelled texts with copies of them; name the texts in "
                "data.unlabelled, and how they are changed in data.augment."
            )
        self._unlabelled = data.unlabelled_batch if data.unlabelled is not None else None

    def _unlabelled_batch(self, batch_idx: int) -> tuple[Batch, Batch | None]:
        if self._unlabelled is None:
            raise TransferlabError(
                "model.steady.consistency: the unlabelled texts are missing: train with "
                "callbacks=transferlab.run_callbacks(), or with transferlab.FrozenWork() among them."
            )
        texts, copies = self._unlabelled(self.current_epoch * int(self.trainer.num_training_batches) + batch_idx)
        return texts.to(self.device), None if copies is None else copies.to(self.device)

    def unlabelled_loss(self, texts: Batch, copies: Batch | None) -> Tensor:
        """What unlabelled texts add to the loss, a scalar.

        Args:
            texts: The texts of a step.
            copies: Their copies; None without `data.augment`.
        """
        if self.steady.consistency is None:
            return texts.input_ids.new_zeros((), dtype=torch.float32)
        assert copies is not None
        return self.steady.consistency * self.consistency(texts, copies)
