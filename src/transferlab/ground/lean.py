"""A quick start: torchmetrics and transformers without what only their parts for images and speech read."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


def import_losses() -> None:
    """Imports the losses of transformers, which every model of it imports, as if scipy were not installed.

    Only those of object detection read it, a fifth of the time to import a model. Only commands call this. Tried with
    transformers 5.23; where a release asks in another way, nothing is left out.
    """
    with suppress(ImportError, AttributeError):
        from transformers import utils

        asked: Any = utils
        known = asked.is_scipy_available
        asked.is_scipy_available = lambda: False
        try:
            import transformers.loss.loss_utils  # noqa: F401
        finally:
            asked.is_scipy_available = known


@contextmanager
def uncollected() -> Iterator[None]:
    """Leaves Python's search for cycles of garbage out.

    It goes through all objects again and again while their number grows: a fifth of the time of imports and of
    parsing, where nothing is thrown away. Work that goes on for long switches it on again (`gc.enable`).
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
