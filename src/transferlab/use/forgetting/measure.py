"""Probes an encoder before and after it was tuned."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jsonargparse import ArgumentError, ArgumentParser

from transferlab.analysis.comparison.groups import estimate
from transferlab.config import shipped, trees
from transferlab.encoders import EncoderConfig, build_encoder
from transferlab.encoders.content import content_of
from transferlab.encoders.loading import ENCODER, load_tokenizer, longest_input
from transferlab.ground.errors import TransferlabError, near
from transferlab.ground.hints import is_pretraining, refuse_without_task
from transferlab.ground.progress import counted
from transferlab.record import folder as run_folder
from transferlab.strategies import FeatureExtraction, Strategy
from transferlab.strategies.teacher import restore
from transferlab.tasks import TaskDataModule, TaskSpec
from transferlab.tasks.inspection.plain import as_text
from transferlab.tasks.sources import read_split
from transferlab.tasks.table import TASKS
from transferlab.use.forgetting.drift import layer_drift
from transferlab.use.forgetting.perplexity import perplexity
from transferlab.use.forgetting.probe import Draw, Features, Score, draws, features, score
from transferlab.use.forgetting.settings import Settings
from transferlab.use.refused import refuse_texts


class Original(NamedTuple):
    """The encoder that runs started from, and its features on a probe task.

    Attributes:
        model: It, under a linear head that nobody reads.
        views: The rows of the probe task, one view for each text column.
        draws: The rows of each probe.
        known: Features of the training examples.
        tested: Features of the test examples.
        scores: The primary metric of each probe.
    """

    model: Strategy
    views: list[TaskDataModule]
    draws: list[Draw]
    known: Features
    tested: Features
    scores: list[Score]


def tuned_model(run: Path) -> Strategy:
    """The model of a run, on the GPU where there is one; of a pretraining the encoder that it left.

    Raises:
        TransferlabError: It began with random weights, has no checkpoint, or is of another version.
    """
    if is_pretraining(run):
        return pretrained_further(run).requires_grad_(False).to(_device())
    refuse_without_task(run)
    if run_folder.read_summary(run).get("weights") == "random":
        raise TransferlabError(f"{run} began with random weights, so it had nothing to forget; name another run.")
    try:
        model = restore(run, beside_base=True)
    except ArgumentError as error:
        raise TransferlabError(f"{run}/config.yaml is of another version: {' '.join(str(error).split())}.") from error
    if model.encoder_config.architecture == "bilstm":
        raise TransferlabError(f"{run} is a BiLSTM that began with random weights; name the run of an encoder.")
    refuse_texts(model.task, "forgetting")
    return model.requires_grad_(False).to(_device())


def pretrained_further(run: Path) -> Strategy:
    """The encoder that a pretraining left, named as the one that it started from.

    Raises:
        TransferlabError: It began with random weights, is not complete, or the encoder before is another one by now.
    """
    start = trees.read_yaml(run / "config.yaml").get("encoder") or {}
    if start.get("new"):
        raise TransferlabError(f"{run} began with random weights, so it had nothing to forget; name another run.")
    left, before = EncoderConfig(str(run)), EncoderConfig(str(start.get("name")), start.get("revision"))
    if not (run / ENCODER / "config.json").is_file():
        raise TransferlabError(f"{run} left no encoder, as pretraining does when it is complete; resume it first.")
    known, now = (run_folder.read_summary(run).get("base") or {}).get("weights"), content_of(before).weights
    if known and now and known != now:
        raise TransferlabError(f"{run} started from the weights {known} of {before.name}, which are {now} now.")
    model = FeatureExtraction(TaskSpec("text", "classification", ("one", "other"), ("accuracy",)), before)
    model.encoder = build_encoder(left)
    return model.eval()


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def open_task(name: str, encoder: EncoderConfig, option: str = "--probe", tested: bool = True) -> TaskDataModule:
    """The rows of a task by its name, with the settings of ``configs/task/``, for an encoder's tokenizer.

    Args:
        name: The task.
        encoder: Whose tokenizer reads it.
        option: What named it, as errors say.
        tested: Whether its test examples are wanted.

    Raises:
        TransferlabError: No such task, no labelled test split where it is wanted, or more than one label for each text
            or word.
    """
    configured = shipped.listed("configs/task")
    arguments: dict[str, Any] = {"task": name}
    if name in configured:
        arguments = trees.expand(configured[name])["data"]["init_args"]
    elif name not in TASKS:
        known = sorted({*TASKS, *configured})
        raise TransferlabError(f"{option}: no task {name!r}{near(name, known)}. Known: {', '.join(known)}.")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(TaskDataModule, "data", skip={"encoder"}, instantiate=False)
    given = parser.instantiate_classes(parser.parse_object({"data": arguments})).data.as_dict()
    # an encoder with fewer positions than the task's settings want reads the start of its texts
    reads = [load_tokenizer(encoder).model_max_length, longest_input(encoder) or given["max_length"]]
    given["max_length"] = min(given["max_length"], *reads)
    data = TaskDataModule(encoder=encoder, **given)
    if tested and not data.source.test:
        raise TransferlabError(f"{option}: {name} has no labeled test split to probe on.")
    if data.source.kind in ("multilabel", "slots"):
        raise TransferlabError(f"{option}: {name} has several labels an example, which no probe reads; name another.")
    if data.source.kind in ("qa", "text"):
        raise TransferlabError(f"{option}: {name} is answered by texts, which no probe reads; name another.")
    return data


def prepare(encoder: EncoderConfig, probe: str, settings: Settings) -> Original:
    """Draws the rows of the probes, and probes the encoder that the runs started from."""
    data = open_task(probe, encoder)
    views = [data]
    if len(data.source.text) == 2:
        views = []
        for column in data.source.text:
            view = open_task(probe, encoder)
            view.source = replace(view.source, text=(column,))
            views.append(view)
    split, test = data.source.train, data.source.test[0]
    counts = [len(views[0].encoded(name)) for name in (split, test)]
    chosen = draws(counts[0], counts[1], settings.probes, settings.rows, settings.test_rows, settings.seed)
    model = FeatureExtraction(data.spec, encoder).eval().to(_device())
    known, tested, scores = _probe(model, views, chosen, "original")
    return Original(model, views, chosen, known, tested, scores)


def _probe(
    model: Strategy, views: list[TaskDataModule], chosen: list[Draw], what: str
) -> tuple[Features, Features, list[Score]]:
    source = views[0].source
    train = np.unique(np.concatenate([draw.train for draw in chosen]))
    test = np.unique(np.concatenate([draw.test for draw in chosen]))
    known = features(model, views, source.train, train, f"{model.task.name} features, {what} encoder")
    tested = features(model, views, source.test[0], test, f"{model.task.name} test features, {what} encoder")
    told = counted(chosen, f"{model.task.name} probes, {what} encoder")
    return known, tested, [score(model.task, known, tested, draw) for draw in told]


def measure(
    model: Strategy, original: Original, settings: Settings, own: EncoderConfig | None = None
) -> dict[str, Any]:
    """Probes a tuned encoder and compares it with the original one.

    Args:
        model: Of the run.
        original: Of the encoder that it started from.
        settings: Numbers of rows and probes.
        own: For a pretraining, the encoder that it left with a head of its own.

    Returns:
        Metric, scores of each probe before and after, their difference with its 95 % interval, drift per layer.
    """
    reader = FeatureExtraction(original.model.task, model.encoder_config)
    # how a run weighs its layers belongs to what it reads, not to what the encoder knows
    model.encoder.mix = original.model.encoder.mix
    reader.encoder = model.encoder
    reader = reader.eval().to(_device())
    *_, scores = _probe(reader, original.views, original.draws, "tuned")
    texts = np.concatenate([draw.test for draw in original.draws])[: settings.texts]
    loaders = [view.loader(view.source.test[0], np.sort(texts)) for view in original.views]
    batches = counted(itertools.chain(*loaders), "drift of the layers", sum(map(len, loaders)))
    layers, tokens = layer_drift(
        original.model.encoder.backbone, model.encoder.backbone, (batch.to(_device()) for batch in batches)
    )
    found = estimate([after.value - before.value for after, before in zip(scores, original.scores, strict=True)])
    assert found is not None
    single = {"original": sum(s.single for s in original.scores), "tuned": sum(s.single for s in scores)}
    # probes that answer one class whatever they read have no difference to speak of
    silent = max(single.values()) == len(scores)
    return {
        "metric": original.model.task.primary,
        **settings._asdict(),
        "original": [one.value for one in original.scores],
        "tuned": [one.value for one in scores],
        "one_answer": single,
        "difference": {
            "mean": found.mean,
            "low": None if silent else found.low,
            "high": None if silent else found.high,
        },
        "perplexity": _perplexity(model, original, texts, own),
        "tokens": tokens,
        "drift": [layer._asdict() for layer in layers],
    }


def _perplexity(
    model: Strategy, original: Original, rows: np.ndarray[Any, Any], own: EncoderConfig | None
) -> dict[str, Any] | None:
    """Perplexity of hidden words in the texts that show drift; None for an encoder without a head for them."""
    view = original.views[0]
    split, columns = view.source.test[0], [name for each in original.views for name in each.source.text]
    table = read_split(view.source, split).rows.select(np.sort(rows))
    texts = [as_text(cell) for column in columns for cell in table[column][:]]
    found = perplexity(model.encoder_config, model.encoder.backbone, texts, own)
    return found and found._asdict()
