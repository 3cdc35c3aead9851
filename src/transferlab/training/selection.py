"""How the best checkpoint is selected and when training stops early: defaults of the command line and of Python."""

from typing import Any

CHECKPOINT: dict[str, Any] = {
    "monitor": "val/primary",
    "mode": "max",
    "filename": "best",
    "save_weights_only": True,
    "enable_version_counter": False,
}
"""Arguments of Lightning's ``ModelCheckpoint``: the first of the best validations of the task's main metric."""

STOPPING: dict[str, Any] = {"monitor": "val/primary", "mode": "max", "patience": 3}
"""Arguments of Lightning's ``EarlyStopping``: no better validation in as many of them."""
