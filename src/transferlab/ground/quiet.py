"""What the libraries say of themselves, and what is meant to be so here, is not shown."""

import logging
import warnings
from typing import Any


def quiet() -> None:
    """Silences what the libraries say of themselves and what is meant to be so here."""
    for text in (
        r".*LeafSpec.*is deprecated",
        r".*module\(s\) in eval mode at the start of training",
        r".*does not have many workers",
        r"You are using a custom batch sampler",
        r"Experiment logs directory",
        # on a login node, where a short run is meant to be alone
        r"The `srun` command is available on your system",
        r".*No device id is provided via",
        r"The number of training batches .* is smaller than the logging interval",
        r"Checkpoint directory .* exists and is not empty",
        # it is, by the place that the data module keeps
        r"You're resuming from a checkpoint that ended before the epoch ended",
    ):
        warnings.filterwarnings("ignore", message=text)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    from transformers.utils import logging as transformers_logging

    talk: Any = transformers_logging
    talk.disable_progress_bar()
    talk.set_verbosity_error()
