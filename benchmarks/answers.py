"""The loss of both sides on the same questions, windows and weights: ``-m benchmarks.answers FOLDER MODEL``."""

import json
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.scripts.trainer_qa import MAX_LENGTH, STRIDE, cut, listed, trained
from transferlab.learning.kinds import KINDS
from transferlab.tasks.questions import Asked, encode, reader_of
from transferlab.tasks.windows import Layout


def losses(rows: dict[str, list[Any]], tokenizer: Any, model: Any) -> dict[str, float]:
    """Mean losses over the windows of some questions.

    Args:
        rows: Columns ``question``, ``context`` and ``answers``.
        tokenizer: Of `model`.
        model: ``AutoModelForQuestionAnswering``; it answers both.

    Returns:
        ``windows``; ``ours``; ``theirs``: run_qa's over the tokens that ours lets begin or end an answer, which are
        [CLS] and those of the context; ``theirs_over_all``: run_qa's as it is, where tokens of the question may too.

    Raises:
        ValueError: The windows of both sides are not the same.
    """
    gold = [listed(answers) for answers in rows["answers"]]
    layout = Layout(MAX_LENGTH, STRIDE)
    split = encode(Asked(rows["question"], rows["context"], gold), reader_of(tokenizer), layout)
    batch = split.collate(list(range(len(split))))
    windows, parts = trained(tokenizer, rows), cut(tokenizer, rows, False)
    names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in windows]
    padded = tokenizer.pad({name: windows[name] for name in names}, return_tensors="pt")
    if not torch.equal(padded["input_ids"], batch.input_ids):
        raise ValueError("the windows of both sides differ")
    allowed = torch.zeros_like(padded["input_ids"], dtype=torch.bool)
    for window, ids in enumerate(windows["input_ids"]):
        held = [place for place, part in enumerate(parts.sequence_ids(window)) if part == 1]
        allowed[window, [ids.index(tokenizer.cls_token_id), *held]] = True
    with torch.no_grad():
        found = model.eval()(**padded)
    both = torch.stack([found.start_logits, found.end_logits], -1)
    ends = torch.tensor([windows["start_positions"], windows["end_positions"]])

    def theirs(logits: Any) -> float:
        one, two = (torch.nn.functional.cross_entropy(logits[..., at], ends[at]) for at in (0, 1))
        return float((one + two) / 2)

    assert batch.words is not None
    assert batch.labels is not None
    ours = KINDS["qa"].loss(both.flatten(0, 1)[batch.words.clamp(min=0)], batch.labels, None)
    return {
        "windows": len(both),
        "ours": float(ours),
        "theirs": theirs(both.masked_fill(~allowed.unsqueeze(-1), -torch.inf)),
        "theirs_over_all": theirs(both.masked_fill(padded["attention_mask"].unsqueeze(-1) == 0, -torch.inf)),
    }


def main(folder: Path, place: str, most: int = 64) -> None:
    """Prints the losses of an encoder under a fresh head, on the first training rows of a comparison."""
    import datasets
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer, set_seed

    rows = datasets.load_dataset("parquet", data_files=str(folder / "train.parquet"), split=f"train[:{most}]")
    set_seed(0)
    model = AutoModelForQuestionAnswering.from_pretrained(place)
    columns = {name: rows[name][:] for name in ("question", "context", "answers")}
    print(json.dumps(losses(columns, AutoTokenizer.from_pretrained(place), model)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
