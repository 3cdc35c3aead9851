"""Encoders that a run has left in W&B: ``wandb:ENTITY/PROJECT/encoder-ID:VERSION``."""

import re
import shutil
from pathlib import Path
from typing import Any

from filelock import FileLock

from transferlab.config.places import cache_folder
from transferlab.ground.errors import TransferlabError
from transferlab.ground.keys import has_key

PREFIX = "wandb:"
NAME = re.compile(r"([\w.-]+/[\w.-]+/[\w.-]+):([\w.-]+)")


def is_artifact(name: str) -> bool:
    """Whether an encoder is named as an artifact of W&B."""
    return name.startswith(PREFIX)


def pinned(name: str) -> str:
    """The same artifact with its version in the place of an alias such as ``latest``, which moves.

    Raises:
        TransferlabError: Another form of name, or W&B did not answer.
    """
    collection, version = _parts(name)
    if re.fullmatch(r"v\d+", version):
        return name
    return f"{PREFIX}{collection}:{_ask(name).version}"


def folder_of(name: str) -> Path:
    """The folder with the files of an artifact, downloaded once into the cache.

    Raises:
        TransferlabError: Another form of name, an artifact that is no encoder, or W&B did not answer.
    """
    collection, version = _parts(pinned(name))
    folder = cache_folder() / "wandb" / collection / version
    if (folder / "config.json").is_file():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    # the processes of a job come at the same time; whoever is second finds it there
    with FileLock(folder.with_suffix(".lock")):
        if (folder / "config.json").is_file():
            return folder
        temporary = folder.with_suffix(".tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        found = _ask(f"{PREFIX}{collection}:{version}")
        try:
            found.download(root=str(temporary), skip_cache=True)
        except Exception as error:
            raise _refused(name, error) from error
        if not (temporary / "config.json").is_file():
            held = ", ".join(sorted(path.name for path in temporary.iterdir())[:3]) or "no file"
            raise TransferlabError(
                f"encoder.name: {name} is no encoder: it holds {held}. A pretraining leaves one as encoder-ID, where "
                "run.log_checkpoint is true and it is not above artifact_limit_mb."
            )
        temporary.rename(folder)
    return folder


def _parts(name: str) -> tuple[str, str]:
    found = NAME.fullmatch(name.removeprefix(PREFIX))
    if found is None:
        raise TransferlabError(f"encoder.name: {name} is not of the form wandb:ENTITY/PROJECT/encoder-ID:VERSION.")
    return found[1], found[2]


def _ask(name: str) -> Any:
    if not has_key():
        # else its client would ask for one and wait
        raise _refused(name, ValueError("no key"))
    import wandb

    try:
        return wandb.Api(timeout=30).artifact(name.removeprefix(PREFIX))
    except Exception as error:
        raise _refused(name, error) from error


def _refused(name: str, error: Exception) -> TransferlabError:
    """Whatever the client of this release raises, in a line with the remedies."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return TransferlabError(
        f"encoder.name: {name} is not in the cache and W&B did not give it ({reason}). Run once with network access "
        "and a key (WANDB_API_KEY), or copy its files into a folder and name that."
    )
