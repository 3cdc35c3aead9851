"""``transferlab multitask`` or ``sequence`` that is killed as a batch begins: ``KILL_AT=5 python kill_several.py multitask NAME ...``."""

import os
import signal
from typing import Any

from transferlab.__main__ import main
from transferlab.several.model import MultiTask


def kill(self: Any, batch: Any, batch_idx: int) -> None:
    if self.trainer.fit_loop.total_batch_idx == int(os.environ["KILL_AT"]):
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    if os.environ.get("KILL_AT"):
        MultiTask.on_train_batch_start = kill  # type: ignore[method-assign,assignment]
    main()
