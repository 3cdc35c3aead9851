"""Teachers of a distillation: a finished run, or a fine-tuned model from the Hub."""

import json
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from transferlab.config import hashes, received
from transferlab.config.places import find_run
from transferlab.config.trees import read_yaml
from transferlab.encoders import EncoderConfig
from transferlab.encoders.content import content_of
from transferlab.encoders.loading import load_model
from transferlab.ground.errors import TransferlabError
from transferlab.ground.hints import refuse_without_task
from transferlab.learning.kinds import KINDS
from transferlab.strategies import content
from transferlab.strategies.base import Strategy
from transferlab.strategies.forward import document_mean, first_pieces
from transferlab.tasks import Batch, TaskSpec
from transferlab.tasks.generation import Search
from transferlab.tasks.schemes import Scheme
from transferlab.tasks.spec import Kind


class Teacher(NamedTuple):
    """A frozen model with its own tokenizer.

    Attributes:
        module: Maps a batch to logits in the teacher's label order.
        encoder: Names the tokenizer.
        labels: Label names in the order of the logits.
        kind: Kind of task that it was trained for.
        apart: Whether it encodes the two texts of a pair one by one.
        case: Whether it is told the capitals of words.
    """

    module: Callable[[Batch], Tensor]
    encoder: EncoderConfig
    labels: tuple[str, ...]
    kind: str
    apart: bool = False
    case: bool = False


def load_teacher(name: str, task: TaskSpec) -> Teacher:
    """Loads a run directory, the newest run of an experiment, or a model from the Hub.

    Raises:
        TransferlabError: Nothing of that name, or it was not trained for such a task.
    """
    run = find_run(name)
    if run is not None:
        model = restore(run)
        if (model.task.ranges, model.task.new_tokens) != (task.ranges, task.new_tokens):
            raise TransferlabError(
                f"model.teacher: {name} reads other marks around entities, or another pooling of them; train it with "
                "the data.markers and data.pooling of this run."
            )
        own = model.task
        teacher = Teacher(model, model.encoder_config, own.labels, own.kind, own.apart, own.case)
    else:
        teacher = _hub_teacher(name, task)
    if teacher.kind != task.kind:
        raise TransferlabError(f"model.teacher: {name} was trained for {teacher.kind}, this task is {task.kind}.")
    return teacher


def teacher_content(name: str) -> str:
    """A teacher by content: the hash of a run's best checkpoint, or of a model's weights; empty where it is gone."""
    run = find_run(name)
    if run is None:
        return content_of(EncoderConfig(name)).weights
    try:
        return hashes.of_file(run / "checkpoints" / "best.ckpt")
    except OSError:
        return ""


def align(teacher: Sequence[str], student: Sequence[str]) -> list[int]:
    """Where each label of the student stands among the teacher's, matched by name, capitals aside.

    Raises:
        TransferlabError: The names differ.
    """
    places = {label.lower(): place for place, label in enumerate(teacher)}
    if len(teacher) != len(student) or {label.lower() for label in student} != set(places):
        raise TransferlabError(
            f"model.teacher: its labels {list(teacher)} cannot be matched by name with the task's {list(student)}."
        )
    return [places[label.lower()] for label in student]


def restore(run: Path, beside_base: bool = False) -> Strategy:
    """Rebuilds the model of a finished run from its folder, in evaluation mode.

    Args:
        run: The run directory.
        beside_base: Whether it is to be compared with its pretrained encoder, which must be the same by content then,
            even where training changed all of it.

    Raises:
        TransferlabError: The run left no checkpoint, or it does not fit.
    """
    refuse_without_task(run)
    checkpoint = run / "checkpoints" / "best.ckpt"
    if not checkpoint.is_file():
        raise TransferlabError(f"{run} holds no checkpoint (checkpoints/best.ckpt); did the run finish?")
    tree = read_yaml(run / "config.yaml")
    received.check(tree, run)
    spec = json.loads((run / "summary.json").read_text(encoding="utf-8"))["spec"]
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in spec.items()}
    if fields.get("scheme"):
        fields["scheme"] = Scheme(*fields["scheme"])
    if fields.get("search"):
        fields["search"] = Search(*fields["search"])
    task = TaskSpec(**fields)
    model = _build(tree, task)
    state = content.read(checkpoint)
    model.on_load_checkpoint(state)
    if beside_base:
        content.check_base(state.get("transferlab", {}), model.belongs, leans=True)
    model.load_state_dict(state["state_dict"], strict=False)
    return model.eval()


def _build(tree: dict[str, Any], task: TaskSpec) -> Strategy:
    # only here, so that the strategies can be imported where there is no command line
    from jsonargparse import ArgumentParser

    module, _, name = tree["model"]["class_path"].rpartition(".")
    kind = getattr(import_module(module), name)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "model", skip={"task", "encoder"}, instantiate=False)
    parser.add_argument("--encoder", type=EncoderConfig)
    parts = parser.instantiate_classes(
        parser.parse_object({"model": tree["model"]["init_args"], "encoder": tree["encoder"]})
    )
    model: Strategy = kind(task=task, encoder=parts.encoder, **parts.model.as_dict())
    return model


class HubModel(nn.Module):
    """A transformers model with a task head, called with a batch.

    Args:
        model: A model for sequence or token classification.
        task: The task that it is to teach.
    """

    def __init__(self, model: nn.Module, task: TaskSpec) -> None:
        super().__init__()
        self.model = model
        self.task = task

    def forward(self, batch: Batch) -> Tensor:
        """Logits shaped as a strategy gives them."""
        extra = {} if batch.token_type_ids is None else {"token_type_ids": batch.token_type_ids}
        logits: Tensor = self.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, **extra).logits
        if batch.words is not None:
            return first_pieces(logits, batch.words)
        if batch.documents is not None:
            logits = document_mean(logits, batch.documents, batch.weights)
        return KINDS[self.task.kind].logits(logits)


def _hub_teacher(name: str, task: TaskSpec) -> Teacher:
    try:
        model = load_model(name, task.worded)
    except TransferlabError as error:
        raise TransferlabError(
            f"model.teacher: {name!r} is neither a run under runs/ nor a fine-tuned model that can be loaded. Train "
            "the teacher first and name its experiment, run ID or folder; a model on the Hub must be within reach."
        ) from error
    names: Any = model.config.id2label
    labels = tuple(str(names[number]) for number in sorted(names))
    several = model.config.problem_type == "multi_label_classification"
    kind = _kind_of(name, model.config.architectures or [""], len(labels), several)
    return Teacher(HubModel(model, task).eval(), EncoderConfig(name), () if kind == "regression" else labels, kind)


def _kind_of(name: str, architectures: Sequence[str], outputs: int, several: bool) -> Kind:
    """What the stored head was trained for: transformers fills in random weights where it fits no better."""
    if architectures[0].endswith("ForTokenClassification"):
        return "tagging"
    if not architectures[0].endswith("ForSequenceClassification"):
        raise TransferlabError(f"model.teacher: {name} has no head for a task; name a fine-tuned model or a run.")
    if several:
        return "multilabel"
    return "classification" if outputs > 1 else "regression"
