"""Causal language modelling, for decoders."""

from typing import Any

from lightning.pytorch.cli import OptimizerCallable

from transferlab.adapters.base import Method
from transferlab.ground.errors import TransferlabError
from transferlab.learning.optim import Schedule, adamw_1e4
from transferlab.pretraining.batches import TextBatch
from transferlab.pretraining.objectives.base import MAIN, Pretraining, Term
from transferlab.pretraining.objectives.masked import token_term
from transferlab.pretraining.rows import Reading
from transferlab.pretraining.start import Start, Tokens


class CausalLM(Pretraining):
    """Predicts every token from those before it: ``L = -1/n sum_i log p(x_i | x_1 .. x_{i-1})`` (Radford et al. 2018).

    Args:
        tokens: Facts about the text; linked from the data.
        encoder: A decoder, such as gpt2; linked from the top-level key.
        optimizer: Called with parameter groups.
        schedule: Learning rate over the run.
        method: Trains a few parameters inside it, such as LoRA; null: all.
    """

    reading = Reading(causal=True)

    def __init__(
        self,
        tokens: Tokens,
        encoder: Start,
        optimizer: OptimizerCallable = adamw_1e4,
        schedule: Schedule = Schedule(),  # noqa: B008  frozen
        method: Method | None = None,
    ) -> None:
        super().__init__(tokens, encoder, optimizer, schedule, method)
        config: Any = self.encoder.backbone.config
        if not getattr(config, "is_decoder", False) and config.model_type in (
            "bert",
            "roberta",
            "electra",
            "camembert",
        ):
            raise TransferlabError(
                f"encoder: {config.model_type} reads what stands behind a token too, so it would only copy; "
                "use transferlab.pretraining.objectives.MaskedLM."
            )

    def factory(self) -> Any:
        """The head for the next token."""
        from transformers import AutoModelForCausalLM

        return AutoModelForCausalLM

    def terms(self, batch: TextBatch) -> dict[str, Term]:
        """The next tokens.

        Raises:
            TransferlabError: The rows are packed.
        """
        if batch.packing is not None:
            raise TransferlabError("data.packed: decoders cannot read packed rows; set data.packed: false.")
        vectors = self.token_vectors(batch).flatten(0, 1)[batch.places]
        return {MAIN: token_term(self.head(vectors).logits[0], batch.labels)}
