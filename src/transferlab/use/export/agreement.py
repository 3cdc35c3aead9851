"""Whether an exported model writes what the run writes: the gate for texts."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from transferlab.record import predictions
from transferlab.strategies.writing import written
from transferlab.tasks.batch import Batch, EncodedSplit, collate
from transferlab.tasks.encoded import IGNORE
from transferlab.tasks.generation import filled
from transferlab.tasks.texts import Form, lines, messages_of, prompt_ids
from transferlab.tasks.tokenization import encode_texts, text_form
from transferlab.use.export import parity
from transferlab.use.export.parity import Check
from transferlab.use.export.written import Writer, scored, search_of
from transferlab.use.predictor import Predictor

OWN = 8
"""Test inputs of the run that are among what both are asked."""
WIDER = 7
"""Tokens of padding that are added to see whether they change anything."""


def samples(predictor: Predictor, run: Path) -> dict[str, list[Any]]:
    """Inputs of all lengths, some of the run's own test inputs among them."""
    path = predictions.place(run, "test")
    lines = predictions.read(path)[:OWN] if path.is_file() else []
    own = [dict(zip(predictor.text, line["text"], strict=True)) for line in lines if "text" in line]
    found: dict[str, list[Any]] = dict(parity.samples(predictor.text, own))
    form = _form(predictor)
    if form.generation.chat is None and form.generation.template is None and form.tokenizer.chat_template:
        # the run may have read messages too
        found = {name: [*cells, *map(_said, cells[:OWN])] for name, cells in found.items()}
    return found


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def gate(predictor: Predictor, columns: dict[str, list[Any]], folder: Path, writer: Writer) -> list[Check]:
    """Compares what an export writes with what the run writes, as it is asked in use.

    Args:
        predictor: The run.
        columns: What both are asked.
        folder: Holds the tokenizer that was exported.
        writer: The export.
    """
    encoded = encode_texts(columns, predictor.source, predictor.tokenizer, predictor.settings)
    rows = list(range(len(encoded)))
    own = _run_of(predictor)
    batches = [rows[start : start + parity.BATCH] for start in range(0, len(rows), parity.BATCH)]
    plain = [_with_targets(predictor, encoded, batch) for batch in batches]
    alone = [_with_targets(predictor, encoded, [row]) for row in rows]
    left = predictor.settings.causal
    padded = [_padded(batch, left) for batch in plain]
    cases = {
        f"in batches of {parity.BATCH}": plain,
        "alone": alone,
        f"with {WIDER} more tokens of padding": padded,
    }
    if not (left and search_of(predictor).no_repeat):
        # what may not be repeated is looked for in all that stands before, padding included (transformers 5.23)
        cases["other ids where the mask is 0"] = [_other_ids(batch) for batch in padded]
    checks = [_check(name, writer, own, given) for name, given in cases.items()]
    return [_asked_alone(predictor, columns, folder, writer), *checks]


def _run_of(predictor: Predictor) -> Writer:
    backbone, search = predictor.model.encoder.backbone, search_of(predictor)

    def texts(batch: Batch) -> list[str]:
        return written(backbone, predictor.tokenizer, batch, search, some=False).texts

    return Writer(lambda batch: scored(backbone, batch), texts)


def _with_targets(predictor: Predictor, encoded: EncodedSplit, rows: list[int]) -> Batch:
    """A batch, with what the run writes for it as targets."""
    batch = collate(encoded, rows)
    texts = _run_of(predictor).texts(batch)
    end = int(predictor.tokenizer.eos_token_id)
    read = predictor.tokenizer(texts, add_special_tokens=False)["input_ids"]
    targets = [[*ids, end] for ids in read]
    labels = torch.full((len(rows), max(map(len, targets))), IGNORE)
    for row, ids in enumerate(targets):
        labels[row, : len(ids)] = torch.tensor(ids)
    return batch._replace(labels=labels)


def _padded(batch: Batch, left: bool) -> Batch:
    pad = (WIDER, 0) if left else (0, WIDER)
    ids, mask = nn.functional.pad(batch.input_ids, pad), nn.functional.pad(batch.attention_mask, pad)
    return batch._replace(input_ids=ids, attention_mask=mask)


def _other_ids(batch: Batch) -> Batch:
    draw = torch.randint(3, 8, batch.input_ids.shape, generator=torch.Generator().manual_seed(0))
    return batch._replace(input_ids=torch.where(batch.attention_mask > 0, batch.input_ids, draw))


@torch.inference_mode()
def _check(name: str, writer: Writer, run: Writer, batches: list[Batch]) -> Check:
    difference, changed = 0.0, 0
    for batch in batches:
        assert batch.labels is not None
        mine, theirs = (one.logits(batch)[batch.labels != IGNORE] for one in (writer, run))
        gap = ((mine - theirs).abs() / theirs.abs().clamp(min=1)).max()
        difference = max(difference, float(gap) if mine.isfinite().all() else float("inf"))
        changed += sum(one != other for one, other in zip(writer.texts(batch), run.texts(batch), strict=True))
    return Check(name, sum(len(batch.index) for batch in batches), difference, changed)


def _asked_alone(predictor: Predictor, columns: dict[str, list[Any]], folder: Path, writer: Writer) -> Check:
    """The export asked with nothing but its own tokenizer, in batches of prompts that are not cut."""
    from transformers import AutoTokenizer

    automatic: Any = AutoTokenizer
    tokenizer = automatic.from_pretrained(folder)
    form = _form(predictor)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    whole = [cells for cells in rows if not prompt_ids(form, cells)[1]]
    changed = 0
    for chat in (False, True):
        asked = [cells for cells in whole if (messages_of(form, cells) is not None) == chat]
        if not asked:
            continue
        read = _read(tokenizer, form, asked)
        batch = Batch(read["input_ids"], read["attention_mask"], None, torch.arange(len(asked)))
        # `generate` refuses what no model reads
        mine = writer.texts(batch) if len(read) == 2 else [""] * len(asked)
        changed += sum(one != other["prediction"] for one, other in zip(mine, predictor.predict(asked), strict=True))
    return Check("by its own tokenizer", len(whole), 0.0, changed)


def _read(tokenizer: Any, form: Form, rows: list[dict[str, Any]]) -> Any:
    """What a tokenizer makes of prompts that are all plain or all chats, padded."""
    chats = [messages_of(form, cells) for cells in rows]
    if chats[0] is not None:
        how = {"add_generation_prompt": True, "return_dict": True}
        return tokenizer.apply_chat_template(chats, return_tensors="pt", padding=True, **how)
    prompts = [filled(form.template, {name: lines(cell) for name, cell in cells.items()}) for cells in rows]
    return tokenizer(prompts, return_tensors="pt", padding=True)


def _form(predictor: Predictor) -> Form:
    return text_form(predictor.source, predictor.tokenizer, predictor.settings)
