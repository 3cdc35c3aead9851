"""Decoders that lie in a GGUF file, as llama.cpp reads them: read once, and kept as transformers reads them."""

import importlib.util
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transferlab.config import hashes
from transferlab.config.places import cache_folder
from transferlab.ground.errors import TransferlabError
from transferlab.ground.progress import waiting

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SUFFIX = ".gguf"


def is_gguf(name: str) -> bool:
    """Whether a name is that of such a file that is there."""
    return name.endswith(SUFFIX) and Path(name).is_file()


def folder_of(path: Path) -> Path:
    """The folder with weights and tokenizer of a GGUF file, in the Hub's layout; written where it is not there yet.

    Its name is a hash of the file's content. The weights are those of the file in float32, as many digits as it has:
    a file of four bits a weight gives rounded weights, not those of the model that it was made from.

    Args:
        path: The file.

    Raises:
        TransferlabError: The package that reads it is missing, or it holds something else.
    """
    folder = cache_folder() / "weights" / hashes.of_file(path)
    if folder.is_dir():
        return folder
    import filelock

    folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            _convert(path, folder)
    return folder


def _convert(path: Path, folder: Path) -> None:
    if importlib.util.find_spec("gguf") is None:
        raise TransferlabError(
            f"encoder.name: {path.name} is a GGUF file, which the package gguf reads: pip install "
            "'transferlab[decoder]'."
        )
    fresh = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    try:
        with waiting(f"reading {path.name}, once"):
            model, tokenizer = _read(path)
            model.save_pretrained(fresh)
            tokenizer.save_pretrained(fresh)
        fresh.rename(folder)
    except (OSError, ValueError, KeyError, NotImplementedError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise TransferlabError(f"encoder.name: {path} cannot be read as GGUF: {reason}") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _read(path: Path) -> tuple["PreTrainedModel", Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    factory: Any = AutoModelForCausalLM
    read = factory.from_pretrained(**where, dtype=torch.float32)
    # what was read from such a file refuses to be saved, so its weights go into a model without that history
    config = type(read.config).from_dict(read.config.to_dict())
    model: PreTrainedModel = factory.from_config(config, dtype=torch.float32)
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    return model, AutoTokenizer.from_pretrained(**where)
