"""What the Trainer of a run is built with: the user's callbacks and plugins beside the built-in ones."""

from typing import Any

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, ProgressBar

from transferlab.ground.errors import TransferlabError
from transferlab.record.progress import RunProgress
from transferlab.training.checkpoints import AtomicCheckpointIO


def callbacks_of(config: dict[str, Any], built_in: list[Callback], bars: bool) -> list[Callback]:
    """Lets the user's early stopping and progress bar replace ours; ``best.ckpt`` stays the checkpoint of record.

    Args:
        config: The settings of the Trainer.
        built_in: Those that every run has.
        bars: Whether progress is shown by bars.

    Raises:
        TransferlabError: A checkpoint callback that Lightning could not tell from the built-in one.
    """
    given = config.get("callbacks") or []
    given = given if isinstance(given, list) else [given]
    if any(isinstance(callback, EarlyStopping) for callback in given):
        built_in = [callback for callback in built_in if not isinstance(callback, EarlyStopping)]
    if not any(isinstance(callback, ProgressBar) for callback in given) and not config.get("barebones"):
        # first, so that its bars are gone when others print
        built_in = [RunProgress(bars), *built_in]
    keys = {callback.state_key for callback in built_in}
    for callback in given:
        if isinstance(callback, ModelCheckpoint) and callback.state_key in keys:
            raise TransferlabError(
                f"trainer.callbacks: a ModelCheckpoint on {callback.monitor} is there already; change that one "
                "under `checkpoint:`, or monitor something else."
            )
    # the first checkpoint callback is the one that Lightning and the record take for the run's
    return [*built_in, *given]


def plugins_of(configured: Any) -> list[Any]:
    """The user's plugins, with checkpoints that are written whole or not at all."""
    configured = configured or []
    plugins = [*(configured if isinstance(configured, list) else [configured]), AtomicCheckpointIO()]
    if SLURMEnvironment.detect():
        # Lightning would save inside the signal handler, in the middle of a step
        plugins.append(SLURMEnvironment(auto_requeue=False))
    return plugins
