"""torchmetrics without what only its metrics of images, speech and generated text read."""

from contextlib import suppress
from typing import Any

UNREAD = ("matplotlib", "nltk", "onnxruntime", "PIL", "scipy", "torchvision", "transformers")
"""Packages that torchmetrics imports on sight; of half of its time to import they are the cause."""


def import_torchmetrics() -> None:
    """Imports torchmetrics, which Lightning would import, as if the packages of `UNREAD` were not installed.

    They are there for everyone else, and come when they are used. What torchmetrics itself would do with them, plots
    and metrics such as BERTScore, then says that they are missing, so only commands call this, not a script's import.
    Tried with torchmetrics 1.9 and lightning-utilities 0.15; where a release asks in another way, nothing is left out.
    """
    with suppress(ImportError, AttributeError):
        from lightning_utilities.core import imports

        asked: Any = imports
        cache, find = asked.RequirementCache, asked.package_available
        check = cache._check_available

        def check_others(self: Any) -> None:
            name = self.requirement or self.module or ""
            if name.startswith(UNREAD):
                self.available, self.message = False, f"{name} is left out within commands of transferlab"
            else:
                check(self)

        cache._check_available = check_others
        asked.package_available = lambda name: name not in UNREAD and find(name)
        try:
            import torchmetrics  # noqa: F401
        finally:
            cache._check_available, asked.package_available = check, find
