"""How long the rest of a training run takes, from what its parts took so far."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple


class Length(NamedTuple):
    """How long a run is.

    Attributes:
        done: Training batches behind it, of all starts.
        total: Training batches of the whole run; infinite without an end.
        validations: Validations that are still to come while training.
    """

    done: float
    total: float
    validations: float


def length(trainer: Any, inside: int = 0) -> Length:
    """The length of the run of a Trainer.

    Args:
        trainer: A `lightning.Trainer` that is fitting.
        inside: Batches of this epoch that are done.
    """
    batches, epochs, steps = trainer.num_training_batches, trainer.max_epochs, trainer.max_steps
    total = float("inf")
    if epochs is not None and epochs >= 0:
        total = batches * epochs
    if steps is not None and steps >= 0:
        total = min(total, steps * trainer.accumulate_grad_batches)
    done = trainer.current_epoch * batches + inside
    return Length(done, total, (total - done) * _validations_a_batch(trainer) if total < float("inf") else 0.0)


def _validations_a_batch(trainer: Any) -> float:
    batches, between = trainer.num_training_batches, trainer.val_check_batch
    if not trainer.enable_validation or not between or between == float("inf"):
        return 0.0
    every = trainer.check_val_every_n_epoch
    # without that number batches are counted through all epochs
    return float(1 / between if every is None else batches // between / (batches * every))


class Pace:
    """What batches and validations take; the first batch of a start is left out, since it warms up.

    Args:
        now: Gives seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.batches = self.validations = 0
        self.batches_s = self.validations_s = 0.0
        self._began = self._validation = 0.0
        self._last: float | None = None

    @property
    def seconds(self) -> float:
        """How long this start has been training and validating."""
        return self.now() - self._began

    def start(self) -> None:
        """Training starts."""
        self._began, self._last = self.now(), None

    def batch(self) -> None:
        """A training batch is done."""
        now = self.now()
        if self._last is not None:
            self.batches += 1
            self.batches_s += now - self._last
        self._last = now

    def start_validation(self) -> None:
        """A validation starts, of the untrained model maybe."""
        self._validation = self.now()

    def end_validation(self) -> None:
        """A validation is done."""
        now = self.now()
        self.validations += 1
        self.validations_s += now - self._validation
        # what comes between is no training
        if self._last is not None:
            self._last = now

    def left(self, batches: float, validations: float) -> float | None:
        """Seconds that so many batches and validations take; None while nothing is known, or without an end."""
        if not self.batches or batches == float("inf"):
            return None
        each = self.validations_s / self.validations if self.validations else 0.0
        return max(batches, 0) * self.batches_s / self.batches + max(validations, 0) * each
