"""What the libraries say of themselves, and what is meant to be so here, is not shown."""

import logging
import os
import sys
import warnings
from typing import Any

from transferlab.ground.progress import on_terminal

BARS = ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS")
"""Variables that the libraries of the Hub read when they are imported."""


def no_bars_on_pipes() -> None:
    """Keeps the bars of downloads and of reading to terminals; must come before the libraries are imported."""
    if not on_terminal(sys.stderr):
        for name in BARS:
            os.environ.setdefault(name, "1")


def quiet() -> None:
    """Silences what the libraries say of themselves and what is meant to be so here."""
    no_bars_on_pipes()
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
    # its own, of loading weights; and those of downloads too, which are what one waits for
    talk.disable_progress_bar()
    if on_terminal(sys.stderr) and not os.environ.get(BARS[0]):
        import huggingface_hub.utils

        hub: Any = huggingface_hub.utils
        hub.enable_progress_bars()
    talk.set_verbosity_error()
