"""The place in the training examples, which a checkpoint keeps and a resumed run goes to."""

from typing import Any

from transferlab.tasks.batching import place_in_epoch


class Placed:
    """A data module whose order of batches is a function of the epoch: a place is an epoch and a number of batches.

    Attributes:
        trainer: The Trainer; None without.
    """

    trainer: Any
    _begun = (0, 0)
    _order: Any = None
    """The sampler of the training batches, once there is one; it has `resume(epoch, batches)`."""

    def state_dict(self) -> dict[str, int]:
        """The place in the training examples: the epoch, and how many of its batches each process has done."""
        return place_in_epoch(self.trainer) if self.trainer else {}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Goes to a place in the training examples, also where Lightning has asked for the loader already."""
        self._begun = (state_dict["epoch"], state_dict["batch"])
        if self._order is not None:
            self._order.resume(*self._begun)
