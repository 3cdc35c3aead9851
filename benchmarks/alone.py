"""Whether an output depends on its batch: ``python -m benchmarks.alone --run RUN`` or ``--model smollm2_135m``.

Outputs are generated in batches and for each input alone, in float32 and in bfloat16. Prints for how many inputs both
are the same text, and how many of the outputs in bfloat16 are those in float32.
"""

import argparse
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.table import markdown
from transferlab.config.shipped import find
from transferlab.encoders import EncoderConfig, build_encoder
from transferlab.encoders.loading import is_one_way, load_tokenizer
from transferlab.ground.errors import TransferlabError
from transferlab.ground.quiet import quiet
from transferlab.strategies.writing import written
from transferlab.tasks.batch import collate
from transferlab.tasks.generation import Generation, Search
from transferlab.tasks.texts import Form, encode

BATCH = 16
WORDS = (
    "a river",
    "the first train of the day",
    "bread",
    "why the sea is salt",
    "two friends who meet after ten years",
)
PROMPTS = [f"{verb} {what}." for verb in ("Tell me about", "Write one sentence about", "Explain") for what in WORDS]


def shares(model: Any, tokenizer: Any, split: Any, search: Search) -> Iterator[list[str]]:
    """A row of the table for each precision."""
    rows = list(range(len(split)))
    exact: list[str] = []
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        # a copy: weights that were rounded once stay rounded
        backbone = copy.deepcopy(model).to(dtype).eval()
        parts = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
        together, alone = (
            [
                text
                for part in groups
                for text in written(backbone, tokenizer, collate(split, part), search, False).texts
            ]
            for groups in (parts, [[row] for row in rows])
        )
        exact = exact or together
        same = sum(one == other for one, other in zip(together, alone, strict=True))
        kept = sum(one == other for one, other in zip(together, exact, strict=True))
        yield [name, f"{same} of {len(rows)}", f"{kept} of {len(rows)}"]


def of_run(name: str, most: int, root: Path) -> tuple[Any, Any, Any, Search]:
    """A run that writes texts, with test inputs of its own."""
    from transferlab.record import folder, predictions
    from transferlab.tasks.tokenization import encode_texts
    from transferlab.use.predictor import Predictor

    run = folder.find(name, root)
    predictor = Predictor.load(run, device="cpu")
    if predictor.task.search is None:
        raise TransferlabError(f"--run: {run} writes no texts.")
    lines = [line["text"] for line in predictions.read(predictions.place(run, "test"))[:most]]
    columns = {name: [line[at] for line in lines] for at, name in enumerate(predictor.text)}
    split = encode_texts(columns, predictor.source, predictor.tokenizer, predictor.settings)
    return predictor.model.encoder.backbone, predictor.tokenizer, split, predictor.task.search


def of_model(name: str, most: int, new_tokens: int) -> tuple[Any, Any, Any, Search]:
    """A model of ``configs/encoder``, asked by its chat template where it has one."""
    path = find(f"configs/encoder/{name}.yaml")
    if path is None:
        raise TransferlabError(f"--model: no file configs/encoder/{name}.yaml")
    config = EncoderConfig(**yaml.safe_load(path.read_text(encoding="utf-8"))["encoder"])
    tokenizer: Any = load_tokenizer(config)
    chat = True if tokenizer.chat_template else None
    form = Form(tokenizer, ("input",), is_one_way(config), 128, "head", Generation(chat=chat))
    split = encode({"input": PROMPTS[:most]}, None, form)
    return build_encoder(config, writes=True).backbone, tokenizer, split, Search(new_tokens)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", help="a run that writes texts")
    parser.add_argument("--model", help="a file of configs/encoder")
    parser.add_argument("--most", type=int, default=64, help="inputs, at most [64]")
    parser.add_argument("--new-tokens", type=int, default=32, help="tokens of an output of --model, at most [32]")
    parser.add_argument("--root", type=Path, default=Path("runs"), help="folder of runs [runs]")
    asked = parser.parse_args()
    if bool(asked.run) == bool(asked.model):
        parser.error("give --run or --model")
    quiet()
    given = (
        of_run(asked.run, asked.most, asked.root) if asked.run else of_model(asked.model, asked.most, asked.new_tokens)
    )
    table = [[asked.run or asked.model, *row] for row in shares(*given)]
    print(markdown(["model", "computed in", "the same alone", "the same as in float32"], table))


if __name__ == "__main__":
    main()
