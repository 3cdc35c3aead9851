"""The loss of a training step, in which labels of unequal size may be weighted."""

from torch import Tensor

from transferlab.ground.errors import TransferlabError
from transferlab.learning.imbalance import LossForm
from transferlab.learning.losses import task_loss
from transferlab.strategies.steadied import Steadied
from transferlab.tasks import Batch, TaskDataModule


class Weighted(Steadied):
    """A module that is trained on the loss of its kind of task.

    Attributes:
        loss_form: How classes of unequal size count; None: all alike.
        label_weights: ``[labels]``, from the training examples; None until they are taken, and for other forms.
    """

    loss_form: LossForm | None
    label_weights: Tensor | None

    def loss(self, logits: Tensor, batch: Batch, last: bool = False) -> Tensor:
        """Training loss of a batch, a scalar: a mean over its examples, for tagging over its words, and constants.

        Args:
            logits: What the model says of the batch.
            batch: The batch.
            last: Whether nobody reads the logits afterwards, so that they may be overwritten.
        """
        assert batch.labels is not None
        smoothing = self.steady.label_smoothing or 0.0
        mask, weights = self._reachable(batch), self.weights()
        return task_loss(self.judged, logits, batch.labels, mask, self.loss_form, weights, smoothing, last)

    def weigh(self, data: TaskDataModule) -> None:
        """Takes the weights of the labels from the training examples, where the loss is weighted.

        Raises:
            TransferlabError: The examples are drawn in equal numbers already.
        """
        if self.loss_form != "weighted":
            return
        if data.sampling:
            raise TransferlabError(
                "model.loss: weighted and data.sampling: balanced both make up for rare classes, twice as much as "
                "needed together; set one of them."
            )
        self.label_weights = self.judged.weights(data.part_labels(), len(self.task.labels)).to(self.device)

    def weights(self) -> Tensor | None:
        """The weights of a weighted loss; None for another one.

        Raises:
            TransferlabError: They were not taken from the data.
        """
        if self.loss_form == "weighted" and self.label_weights is None:
            raise TransferlabError(
                "model.loss: the weights of the labels are missing: train with callbacks=transferlab.run_callbacks(), "
                "or with transferlab.FrozenWork() among them."
            )
        return self.label_weights
