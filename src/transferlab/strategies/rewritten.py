"""Targets that a teacher writes: distillation by sequence."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from transferlab.config.places import find_run
from transferlab.config.renamed import as_meant
from transferlab.config.trees import read_yaml
from transferlab.encoders.loading import is_one_way, load_tokenizer
from transferlab.ground.errors import TransferlabError
from transferlab.ground.progress import counted
from transferlab.learning.cache import Work
from transferlab.strategies.base import Strategy
from transferlab.strategies.teacher import restore, teacher_content
from transferlab.strategies.writing import written
from transferlab.tasks import TaskDataModule, kept
from transferlab.tasks.batch import Ragged, collate
from transferlab.tasks.generation import Generation
from transferlab.tasks.settings import Settings
from transferlab.tasks.texts import target_ids
from transferlab.tasks.tokenization import encode_texts, text_form

Outputs = dict[str, list[str]]
"""``texts``, and how each one ``ends``."""


def rewrite(data: TaskDataModule, teacher: str, work: Work) -> str:
    """Puts what a teacher writes for the training inputs in the place of their targets.

    Kim and Rush 2016, https://arxiv.org/abs/1606.07947, section 3.2: the mode of the teacher's distribution over
    sequences, as its search finds it, stands for the whole distribution. The teacher reads its own prompts with its
    own tokenizer; what it writes is tokenised as the targets of the student are. Validation and test keep theirs.

    Args:
        data: The examples; changed in place.
        teacher: A run that writes texts.
        work: Device and precision, and whether outputs are kept on disk.

    Returns:
        What was done, in words.

    Raises:
        TransferlabError: No such run, or one that writes none of the texts.
    """
    run = find_run(teacher)
    if run is None:
        raise TransferlabError(
            f"model.teacher: {teacher} is no run, and only a run says how its prompts are written; name an experiment "
            "or a run directory, or set model.sequence: null."
        )
    split, rows = data.training_rows()
    started, before = time.perf_counter(), True
    name = kept.name_of("written", teacher_content(teacher), data.split_version(split), rows.tolist(), work.autocast)

    def write(folder: Path) -> None:
        nonlocal before
        before = False
        (folder / "outputs.json").write_text(json.dumps(_outputs(run, data, split, rows, work)), encoding="utf-8")

    if work.config.enabled:
        outputs: Outputs = json.loads((kept.written(name, write) / "outputs.json").read_text(encoding="utf-8"))
    else:
        before, outputs = False, _outputs(run, data, split, rows, work)
    _put(data, split, rows, outputs["texts"])
    how = "read from disk" if before else f"generated in {time.perf_counter() - started:.1f} s"
    ends = [f"{outputs['ends'].count(end):,} {end}" for end in ("cut", "endless", "empty")]
    return f"targets of {len(rows):,} examples written by the teacher, {how}; {', '.join(ends)}"


def _outputs(run: Path, data: TaskDataModule, split: str, rows: Any, work: Work) -> Outputs:
    model = restore(run)
    if model.task.kind != "text" or model.task.search is None:
        raise TransferlabError(f"model.teacher: {run} was trained for {model.task.kind}, so it writes no texts.")
    backbone, tokenizer = model.encoder.backbone.to(work.device), load_tokenizer(model.encoder_config)
    table = data.rows(split).rows
    columns = {name: table[name][:] for name in data.source.text}
    chosen = {name: [cells[row] for row in rows] for name, cells in columns.items()}
    encoded = encode_texts(chosen, data.source, tokenizer, _settings(run, model))
    order = np.argsort(-encoded.ids.lengths, kind="stable")
    parts = np.array_split(order, -(-len(order) // data.eval_batch_size))
    texts, ends = [""] * len(rows), [""] * len(rows)
    with torch.inference_mode(), work.computing():
        for part in counted(parts, "targets by the teacher"):
            batch = collate(encoded, part.tolist()).to(work.device)
            found = written(backbone, tokenizer, batch, model.task.search, some=False)
            for row, text, end in zip(part.tolist(), found.texts, found.ends, strict=True):
                texts[row], ends[row] = text, end
    return {"texts": texts, "ends": ends}


def _settings(run: Path, model: Strategy) -> Settings:
    """How the teacher's prompts are written, from its configuration."""
    given = as_meant(read_yaml(run / "config.yaml"))["data"]["init_args"]
    generation = Generation(**(given.get("generation") or {}))
    length, truncation = given.get("max_length", 128), given.get("truncation", "head")
    return Settings(length, truncation, generation=generation, causal=is_one_way(model.encoder_config))


def _put(data: TaskDataModule, split: str, rows: Any, texts: list[str]) -> None:
    """Gives the student's data other targets for some rows."""
    encoded = data.encoded(split)
    form = text_form(data.source, load_tokenizer(data.encoder), data.reading)
    labels = encoded.labels
    assert isinstance(labels, Ragged)
    targets = [labels.row(row) for row in range(len(encoded))]
    for row, (ids, _) in zip(rows, target_ids(form, texts), strict=True):
        targets[row] = np.asarray(ids, dtype=labels.values.dtype)
    offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in targets])]).astype(labels.offsets.dtype)
    data.replace(split, replace(encoded, labels=Ragged(np.concatenate(targets), offsets)))
