"""A new head that is solved on the pretrained encoder, before both are trained in steps."""

from typing import TYPE_CHECKING, Any

import torch

from transferlab.encoders import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.learning.cache import Work
from transferlab.learning.heads import HeadConfig
from transferlab.learning.imbalance import LossForm
from transferlab.strategies import frozen, solved
from transferlab.tasks import TaskDataModule
from transferlab.tasks.batch import EncodedSplit
from transferlab.tasks.spec import Kind

if TYPE_CHECKING:
    from transferlab.strategies.base import Strategy


def refuse(kind: Kind, head: HeadConfig, loss: LossForm | None, encoder: EncoderConfig) -> None:
    """Refuses a start that cannot be solved.

    Raises:
        TransferlabError: Names the key and the remedy.
    """
    if head.start is None or kind == "text":
        # a text is written by a pretrained head
        return
    reasons = {
        "questions are answered by a head whose problem is not convex": kind == "qa",
        f"model.head.kind: {head.kind} is no convex problem": head.kind != "linear",
        f"model.loss: {loss} is no convex problem": loss == "focal",
        "encoder.layers: mix is learned along with the head": encoder.layers == "mix",
        "no weights of the encoder are pretrained": encoder.architecture == "random",
    }
    for why, unfit in reasons.items():
        if unfit:
            raise TransferlabError(f"model.head.start: solved, but {why}; leave it out.")


def values(model: "Strategy") -> frozen.Values:
    """What the head reads of each example, from the encoder as it is."""

    def lengths(split: EncodedSplit) -> Any:
        if split.words is not None:
            return split.words.lengths
        return split.ids.lengths if model.head.reads_tokens else None

    config = model.encoder_config
    return frozen.Values(
        field="features",
        width=model.encoder.hidden_size * (2 if model.task.apart else max(model.task.ranges, 1)),
        lengths=lengths,
        key=(model.head.reads_tokens, config.layers, config.pooling, model.encoder.backbone),
        compute=lambda batch: model.vectors(batch)[0],
    )


@torch.inference_mode()
def solve(model: "Strategy", data: TaskDataModule, work: Work) -> str:
    """Puts the solution on the training examples into the head; the penalty is chosen on the validation examples.

    Kumar et al. 2022 (https://arxiv.org/abs/2202.10054): a head that is random sends random gradients into the encoder,
    which are larger than what the task has to teach it, so it forgets. They solve the head first (linear probing), then
    fine-tune. The features are those of `FeatureExtraction` and are kept where its are.

    Returns:
        How it was solved, in words.

    Raises:
        TransferlabError: The features were not kept.
    """
    parts = [data.training_rows(), data.part_rows("validation")]
    kept = frozen.keep(data, work, values(model), parts)
    if "features" not in data.attached:
        raise TransferlabError(f"model.head.start: solved needs cached features, but {kept}; change that.")
    try:
        sides = [
            solved.part(solved.whole_batches(data, *part), lambda batch: model.head.scaled(model.represent(batch)[0]))
            for part in parts
        ]
    finally:
        # the encoder is trained, so no step may read them
        del data.attached["features"]
    weights = model.weights()
    found = solved.solve(model.task, sides[0], sides[1], None if weights is None else weights.cpu())
    found.into(model.head)
    return f"{kept}, of which the head was solved first ({found.in_words})"
