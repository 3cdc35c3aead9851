"""Checkpoint files: written whole or not at all, checked before they are read, two generations of the last one."""

import os
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from transferlab.errors import TransferlabError

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, flushes to the disk and renames: the name is the old file or the new one, never a part.

    Lightning's own writes to the temporary folder and moves, which across file systems copies over the old file.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        """Writes a checkpoint; what was ``last.ckpt`` becomes ``previous.ckpt``.

        Raises:
            TransferlabError: It cannot be written; what was there before is as it was.
        """
        target = Path(path)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(checkpoint, temporary)
            if target.name == LAST and target.exists():
                os.replace(target, target.with_name(PREVIOUS))
            os.replace(temporary, target)
            _flush_folder(target.parent)
        # a full disk comes as either, depending on where torch's writer meets it
        except (OSError, RuntimeError) as error:
            temporary.unlink(missing_ok=True)
            reason = getattr(error, "strerror", None) or str(error).split("\n", 1)[0]
            raise TransferlabError(
                f"cannot write the checkpoint {target}: {reason}. The one before is as it was: make room, then "
                f"`transferlab fit --resume {target.parent.parent}`."
            ) from error


def _write(checkpoint: dict[str, Any], path: Path) -> None:
    with path.open("wb") as file:
        torch.save(checkpoint, file)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Makes the renaming itself survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(folder: Path) -> None:
    """Removes what killed processes left half-written."""
    for path in folder.glob(".*.ckpt.*.tmp"):
        path.unlink(missing_ok=True)


def is_whole(path: Path) -> bool:
    """Whether a checkpoint can be read to its end; unlike `torch.load` this notices a single flipped bit."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError):
        return False


def newest(folder: Path) -> tuple[Path | None, list[Path]]:
    """The newest checkpoint of a run that is whole, and the damaged ones that were passed over.

    Args:
        folder: The folder of checkpoints.

    Returns:
        The file, None where none was written yet, and the damaged files.

    Raises:
        TransferlabError: There are checkpoints, and all of them are damaged.
    """
    damaged: list[Path] = []
    for path in (folder / LAST, folder / PREVIOUS):
        if path.exists() and is_whole(path):
            return path, damaged
        damaged += [path] * path.exists()
    if damaged:
        names = " and ".join(map(str, damaged))
        raise TransferlabError(
            f"{names}: damaged, and there is no other checkpoint to go on from. Put an intact copy there, or delete "
            f"{'it' if len(damaged) == 1 else 'both'} to train from the beginning."
        )
    return None, damaged
