"""What an exported folder says of itself, in ``transferlab.json``; imports no torch."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from transferlab.ground.errors import TransferlabError
from transferlab.ground.intact import size_and_sum
from transferlab.tasks.generation import Search
from transferlab.tasks.schemes import Scheme
from transferlab.tasks.spec import TaskSpec

NAME = "transferlab.json"
FORM = 1
"""Version of the file."""
ANY, ALONE = "any", "one text at a time"
"""How texts may be asked together."""


class Facts(NamedTuple):
    """What is needed to ask and to understand an exported model.

    Attributes:
        format: ``onnx``, ``torch``, ``hf``, ``sentence-transformers`` or ``peft``.
        task: Name, kind, labels and scheme of tags.
        text: Names of the text columns.
        max_length: Tokens of a sequence, special tokens included.
        truncation: Which part of a long text is kept.
        windows: How windows are cut.
        inputs: Names of the inputs of the graph, in order.
        prefix: Special tokens before a single text, and after it.
        blank: What stands before each word of a tagged sentence.
        pad_id: Token id of padding.
        decoding: For tagging ``argmax`` or ``constrained``.
        thresholds: For several labels, from which probability each is given.
        temperature: Divides the logits before the softmax; None where it is not to be trusted.
        encoder: Name, revision, layers and pooling of the encoder.
        base: Content hashes of the base weights and the tokenizer.
        run: Experiment, run and test results.
        versions: Of the libraries that wrote the folder.
        labelled: How rows with labels are read, arguments of `Source`; None in folders of earlier releases.
        quantised: ``int8-dynamic``, ``int8-static`` or ``fp16``; empty for weights in float32.
        pairs: For relations, how a text with two entities becomes tokens, see `transferlab.tasks.pairs.Form`.
        prompts: For texts, ``template``, ``chat`` and whether the model is ``causal``, see
            `transferlab.tasks.generation.Generation`.
        batching: `ANY`, or `ALONE` where an answer depends on the other texts of its batch.
        questions: For questions, how they are read and answered: ``frame``, ``stride``, ``longest``, ``n_best``,
            ``threshold``.
        last_pieces: Whether the last piece of a word stands for it, and not the first.
    """

    format: str
    task: TaskSpec
    text: tuple[str, ...]
    max_length: int
    truncation: str
    windows: str
    inputs: tuple[str, ...]
    prefix: tuple[tuple[int, ...], tuple[int, ...]]
    blank: str
    pad_id: int
    decoding: str
    thresholds: tuple[float, ...] | None
    temperature: float | None
    encoder: dict[str, Any]
    base: dict[str, Any]
    run: dict[str, Any]
    versions: dict[str, str]
    labelled: dict[str, Any] | None = None
    quantised: str = ""
    batching: str = ANY
    last_pieces: bool = False
    pairs: dict[str, Any] | None = None
    questions: dict[str, Any] | None = None
    prompts: dict[str, Any] | None = None

    @property
    def alone(self) -> bool:
        """Whether each text is to be asked alone."""
        return self.batching == ALONE

    def write(self, folder: Path) -> None:
        """Writes the file, with length and CRC-32 of the others in the folder."""
        content = {"form": FORM, **self._asdict(), "task": self.task._asdict()}
        content["task"]["scheme"] = self.task.scheme._asdict() if self.task.scheme else None
        others = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name != NAME]
        content["files"] = {path.name: size_and_sum(path) for path in others}
        (folder / NAME).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read(folder: Path) -> Facts:
    """Reads the file.

    Raises:
        TransferlabError: It is missing, damaged, or of a later version.
    """
    try:
        content = json.loads((folder / NAME).read_text(encoding="utf-8"))
        form = content.pop("form")
        if form != FORM:
            raise TransferlabError(f"{folder / NAME} has form {form}, this release reads {FORM}: update transferlab.")
        # for `check`; folders of before have none
        content.pop("files", None)
        task = content.pop("task")
        scheme = task.pop("scheme", None)
        search = task.pop("search", None)
        fields: dict[str, Any] = {key: _fixed(value) for key, value in task.items()}
        spec = TaskSpec(
            **fields, scheme=Scheme(**scheme) if scheme else None, search=Search(*search) if search else None
        )
        return Facts(task=spec, **{key: _fixed(value) for key, value in content.items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TransferlabError(f"{folder / NAME} cannot be read: {error}; export the run again.") from error


def check(folder: Path, *names: str) -> None:
    """Refuses an exported folder of which files are not as they were written.

    Args:
        folder: The folder.
        names: Files, or how their names begin; one that was not there when the folder was written is taken as it is.

    Raises:
        TransferlabError: One of them is damaged.
    """
    written = json.loads((folder / NAME).read_text(encoding="utf-8")).get("files", {})
    for name, expected in written.items():
        path = folder / name
        if name.startswith(names) and path.is_file() and size_and_sum(path) != expected:
            raise TransferlabError(f"{path} is damaged: its content is not what was exported. Export the run again.")


def is_export(folder: Path) -> bool:
    """Whether a folder was exported."""
    # unlike pathlib's, it takes any name, one that no file can have too
    return os.path.isfile(folder / NAME)


def _fixed(value: Any) -> Any:
    return tuple(_fixed(one) for one in value) if isinstance(value, list) else value


def joined(outputs: Sequence["np.ndarray[Any, Any]"]) -> "np.ndarray[Any, Any]":
    """The outputs of a graph as one array.

    Two are the logits of intents ``[rows, intents]`` and of tags ``[rows, words, tags]``; together
    ``[rows, 1 + words, tags + intents]`` as a run gives them, 0 where no head reads.
    """
    if len(outputs) == 1:
        return np.asarray(outputs[0])
    intents, tags = outputs
    found = np.zeros((len(intents), 1 + tags.shape[1], tags.shape[2] + intents.shape[1]), dtype=tags.dtype)
    found[:, 0, tags.shape[2] :] = intents
    found[:, 1:, : tags.shape[2]] = tags
    return found
