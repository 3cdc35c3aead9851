"""``transferlab vectors``: static word vectors as a folder that a BiLSTM starts from."""

import argparse
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from transferlab.config import hashes
from transferlab.encoders.static import VECTORS, Array, read_vectors
from transferlab.ground import screen
from transferlab.ground.errors import TransferlabError
from transferlab.ground.words import PATTERN
from transferlab.pretraining.own_tokenizer import SPECIAL, WORDS
from transferlab.pretraining.text import Text
from transferlab.record.folder import write_json
from transferlab.tasks import splits
from transferlab.tasks.named import source_of

FACTS = "vectors.json"


def run(asked: argparse.Namespace) -> None:
    """Writes tokenizer and vectors, and says which share of the words has one.

    Raises:
        TransferlabError: A file that cannot be read, or one that has none of the words.
    """
    counts = count(texts_of(asked.tasks, asked.texts, asked.column))
    read = read_vectors(asked.file, set(counts) | {word.lower() for word in counts}, "FILE")
    if not read:
        raise TransferlabError(f"FILE: {asked.file} has none of the {len(counts):,} words.")
    known = {word: vector for word in counts if (vector := read.get(word, read.get(word.lower()))) is not None}
    facts = {
        "file": asked.file.name,
        "content": hashes.of_path(asked.file),
        "tasks": asked.tasks,
        "texts": [str(path) for path in asked.texts],
        "words": len(counts),
        "as_written": sum(word in read for word in counts),
        "in_lower_case": sum(word not in read for word in known),
        "unknown": len(counts) - len(known),
        "unknown_share": 1 - sum(counts[word] for word in known) / max(sum(counts.values()), 1),
    }
    write(asked.output, known, facts)
    show(asked.output, facts, len(next(iter(known.values()))), (asked.tasks or ["TASK"])[0])


def texts_of(tasks: list[str], files: list[str], column: str) -> Iterator[str]:
    """All texts of tasks, every split of them, and of files."""
    for task in tasks:
        source = splits.complete(source_of(task, "--tasks"))
        names = (source.train, source.validation, *source.test, *source.predict)
        yield from Text(task=task, splits=tuple(dict.fromkeys(name for name in names if name))).read()
    if files:
        yield from Text(files=tuple(files), column=column, documents="lines").read()


def count(texts: Iterable[str]) -> Counter[str]:
    """How often each word occurs, as the tokenizer splits them."""
    splitter = _splitter()
    found: Counter[str] = Counter()
    for text in texts:
        found.update(word for word, _ in splitter.pre_tokenize_str(text))
    return found


def write(folder: Path, known: dict[str, Array], facts: dict[str, Any]) -> None:
    """Writes the folder of an encoder: tokenizer, vectors, and what was found; whole or not at all.

    An unknown word has the mean of all vectors, special tokens have 0.

    Args:
        folder: The folder.
        known: Word to vector ``[width]``.
        facts: What is kept beside them.
    """
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, models
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    tokens = [*WORDS.values(), *(word for word in known if word not in WORDS.values())]
    matrix = np.zeros((len(tokens), len(next(iter(known.values())))), dtype=np.float32)
    for number, word in enumerate(tokens[len(WORDS) :], len(WORDS)):
        matrix[number] = known[word]
    matrix[tokens.index(WORDS["unk"])] = matrix[len(WORDS) :].mean(0)
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(tokens)}, WORDS["unk"]))
    tokenizer.pre_tokenizer = _splitter()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(word, tokenizer.token_to_id(word)) for word in ("[CLS]", "[SEP]")],
    )
    fast: Any = PreTrainedTokenizerFast
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    fast(tokenizer_object=tokenizer, model_input_names=["input_ids", "attention_mask"], **SPECIAL).save_pretrained(
        str(temporary)
    )
    save_file({"vectors": matrix}, temporary / VECTORS)
    write_json(temporary / FACTS, facts)
    if folder.is_dir():
        folder.rmdir()
    temporary.rename(folder)


def show(folder: Path, facts: dict[str, Any], width: int, task: str) -> None:
    """Prints what was found, and the command that uses it."""
    found = f"{facts['as_written']:,} as written, {facts['in_lower_case']:,} more in lower case"
    share = f"{100 * facts['unknown_share']:.1f} % of all words in the texts"
    rows = {
        "words": f"{facts['words']:,} different ones",
        "with a vector": f"{found}; {width} wide",
        "unknown": f"{facts['unknown']:,}, {share}: each has the mean of all vectors",
        "the encoder": str(folder),
        "use it": f"transferlab fit --experiment full_finetuning_{task} --encoder bilstm --encoder.name {folder} "
        "--model.optimizer.lr 1e-3",
    }
    screen.console().print(screen.facts(rows, "vectors"))


def _splitter() -> Any:
    from tokenizers import Regex, pre_tokenizers

    # what matches stays, blanks between go
    return pre_tokenizers.Split(Regex(PATTERN), "removed", invert=True)
