"""Checkpoint files: written whole or not at all, checked before they are read, two generations of the last one."""

import contextlib
import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from transferlab.ground import hints, intact
from transferlab.ground.errors import TransferlabError
from transferlab.ground.intact import FILES
from transferlab.record.folder import LAST, PREVIOUS, remove

FULL = 2**20
"""Bytes; a disk with less room is full."""
REST = "rest.pt"
"""In a checkpoint that is a folder: all but weights and optimizer."""


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
            put(temporary, target)
        # a full disk comes as either, depending on where torch's writer meets it
        except (OSError, RuntimeError) as error:
            raise unwritten(target, temporary, error) from error

    def load_checkpoint(
        self,
        path: str | os.PathLike[str],
        map_location: Any = lambda storage, location: storage,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Reads a checkpoint, if it is as it was written.

        Raises:
            TransferlabError: It is damaged.
        """
        if os.path.exists(path):
            intact.check(Path(path))
        return super().load_checkpoint(Path(path), map_location, weights_only)


def unwritten(target: Path, temporary: Path, error: BaseException) -> TransferlabError:
    """What to say of a checkpoint that could not be written; removes what there is of it."""
    reason = getattr(error, "strerror", None) or str(error).split("\n", 1)[0]
    # neither can it be removed in a folder that cannot be written
    with contextlib.suppress(OSError):
        if getattr(error, "errno", None) == errno.ENOSPC or shutil.disk_usage(target.parent).free < FULL:
            # torch tells of a position in a file
            reason = "the disk is full"
        remove(temporary)
    return TransferlabError(
        f"cannot write the checkpoint {target}: {reason}. The one before is as it was: make room, then "
        f"`{hints.resume_there(target.parent.parent)}`."
    )


def put(temporary: Path, target: Path) -> None:
    """Gives a checkpoint its name; what was ``last.ckpt`` becomes ``previous.ckpt``."""
    if target.name == LAST and target.exists():
        _move(target, target.with_name(PREVIOUS))
    _move(temporary, target)
    _flush(target.parent)


def _move(source: Path, target: Path) -> None:
    old = target.with_name(f".{target.name}.old.{os.getpid()}.tmp")
    if target.is_dir() or (target.exists() and source.is_dir()):
        # a folder cannot be replaced in one go; until the new one is there the other generation is whole
        os.replace(target, old)
    os.replace(source, target)
    remove(old)


def set_aside(path: Path) -> None:
    """Renames a damaged checkpoint, so that it never takes the place of a whole one."""
    target = path.with_suffix(".damaged")
    remove(target)
    path.replace(target)


def seal(folder: Path, files: dict[str, list[int]]) -> None:
    """Notes what a checkpoint's folder holds, and flushes it to the disk."""
    (folder / FILES).write_text(json.dumps(files), encoding="utf-8")
    for path in (folder / FILES, folder / REST, folder):
        _flush(path)


def _write(checkpoint: dict[str, Any], path: Path) -> None:
    with path.open("wb") as file:
        torch.save(checkpoint, file)
        file.flush()
        os.fsync(file.fileno())


def _flush(folder: Path) -> None:
    """Makes what is in a folder, such as a renaming, survive a power cut; also a file."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(folder: Path) -> None:
    """Removes what killed processes left half-written."""
    for path in folder.glob(".*.ckpt.*.tmp"):
        remove(path)


def peek(path: Path) -> dict[str, Any]:
    """What a whole checkpoint holds; tensors are left on disk until they are read."""
    rest = path / REST if path.is_dir() else path
    return dict(torch.load(rest, map_location="cpu", weights_only=True, mmap=True))


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
        if path.exists() and intact.is_whole(path):
            return path, damaged
        damaged += [path] * path.exists()
    if damaged:
        names = " and ".join(map(str, damaged))
        raise TransferlabError(
            f"{names}: damaged, and there is no other checkpoint to resume from. Put an intact copy there, or delete "
            f"{'it' if len(damaged) == 1 else 'both'} to train from the beginning."
        )
    return None, damaged
