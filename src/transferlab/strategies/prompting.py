"""Prompting: a text becomes a sentence with a gap, and the pretrained head says which label's word fits there."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor

from transferlab.encoders import EncoderConfig
from transferlab.encoders.language_head import positions_of
from transferlab.encoders.loading import is_one_way, load_tokenizer
from transferlab.encoders.new_tokens import NewTokens
from transferlab.ground.errors import TransferlabError
from transferlab.ground.numbers import at_least
from transferlab.learning.cache import Work
from transferlab.learning.heads import HeadConfig
from transferlab.learning.imbalance import LossForm
from transferlab.learning.optim import Schedule, adamw_1e4
from transferlab.learning.steady import Steady
from transferlab.strategies.base import Strategy
from transferlab.strategies.forward import document_mean
from transferlab.strategies.patterns import layout_of, words_of
from transferlab.strategies.word_head import REMEDY, WordHead, language_head
from transferlab.tasks import Batch, TaskDataModule, TaskSpec
from transferlab.tasks.batch import pad

Tune = Literal["all", "soft", "none"]
CONTENT_FREE = "N/A"
"""Beside a mask token and nothing at all, what says nothing (Zhao et al. 2021, section 5)."""
SCHEDULE = Schedule(warmup=0.1)


class Prompting(Strategy):
    """Asks the masked-language-model head of the encoder, as it was pretrained, for the word of a label.

    ``p(c | x) = softmax_c z_c``, ``z_c`` the logit of the words of class c at the mask of the pattern filled with x
    (PET, Schick and Schütze 2021, section 3.1, https://arxiv.org/abs/2001.07676; words of several tokens and several
    words are averaged). There is no new head, so it needs few labels or none. For classification of single texts and
    of joint pairs. The pattern comes on top of `data.max_length`; where both are too long for the encoder, texts are
    cut and never the pattern.

    Args:
        task: Facts about the task; linked from the data.
        encoder: What is transferred, with a pretrained head for masked words; linked from the top-level key.
        optimizer: Called with parameter groups.
        schedule: Learning rate over the run.
        pattern: A sentence with ``{mask}`` and the text ``{a}``, for pairs ``{a}`` and ``{b}``.
        words: Label to the words that stand for it; null: each label is its own word.
        tune: ``all``: encoder and head are fine-tuned. ``soft``: only vectors, in the place of the tokens of the
            pattern, which they start as (OptiPrompt, Zhong et al. 2021, https://arxiv.org/abs/2104.05240), and
            `soft_tokens`. ``none``: nothing is trained, and only demonstrations read labels.
        soft_tokens: So many learned vectors before the text, which start as random words.
        demonstrations: So many answered examples of each class; one of each stands behind the text. In training they
            are taken in turn and no example stands behind itself; in evaluation the logits are the mean over them
            (LM-BFF, Gao et al. 2021, section 6, https://arxiv.org/abs/2012.15723).
        calibrate: Whether ``log p(c)`` of texts without content ("N/A", a mask, nothing) is subtracted, so that these
            have equal probabilities (Zhao et al. 2021, equation 1 with ``W = diag(p)^-1``,
            https://arxiv.org/abs/2102.09690); null: with ``none``, the only way where it is allowed.
        loss: For classes of unequal size, see `transferlab.strategies.base.Strategy`.
        steady: Regularisers, see `transferlab.learning.steady.Steady`.
    """

    own_layout = "lays each text into a pattern and reads the vector at its gap"

    begins_otherwise = "the head is the pretrained one"

    def __init__(
        self,
        task: TaskSpec,
        encoder: EncoderConfig,
        optimizer: OptimizerCallable = adamw_1e4,
        schedule: Schedule = SCHEDULE,
        pattern: str = "{a} It was {mask}.",
        words: dict[str, tuple[str, ...]] | None = None,
        tune: Tune = "all",
        soft_tokens: int = 0,
        demonstrations: int = 0,
        calibrate: bool | None = None,
        loss: LossForm | None = None,
        steady: Steady = Steady(),  # noqa: B008  frozen
    ) -> None:
        at_least(0, model__soft_tokens=soft_tokens, model__demonstrations=demonstrations)
        _refuse(task, encoder, tune, demonstrations, calibrate, soft_tokens, steady)
        super().__init__(task, encoder, HeadConfig(dropout=0.0), optimizer, schedule, loss, steady)
        self.tune, self.sets = tune, demonstrations
        self.calibrates = tune == "none" and calibrate is not False
        self.pretrained_stays = "" if tune == "all" else "the encoder is frozen"
        tokenizer = load_tokenizer(encoder)
        longest = min(tokenizer.model_max_length, positions_of(self.encoder.backbone.config))
        self.layout, blank = layout_of(pattern, tokenizer, longest)
        self.words = words_of(words, task.labels, tokenizer, blank)
        self.pad_id = int(tokenizer.pad_token_id or 0)
        nothing: list[int] = tokenizer(CONTENT_FREE, add_special_tokens=False)["input_ids"]
        self.content_free = [nothing, [self.layout.mask], []]
        head = WordHead(language_head(self.encoder.backbone, self.encoder_config), self.words)
        head.prior.requires_grad_(tune == "none")
        self.head = head  # type: ignore[assignment]  # the pretrained one takes the place of a new one
        if tune != "all":
            self.encoder.backbone.requires_grad_(False)
            head.language.requires_grad_(False)
        if soft_tokens or tune == "soft":
            self._soften(soft_tokens)
        self._demonstrations: list[list[list[int]]] = []
        self._found: dict[str, str] = {}

    def _soften(self, more: int) -> None:
        """Puts new tokens into the pattern, which start as those that stood there, those in front as random ones."""
        backbone: Any = self.encoder.backbone
        old = backbone.get_input_embeddings()
        weight = old.weight.detach()
        self.layout, origins = self.layout.softened(len(weight), more, self.tune == "soft")
        if not origins:
            raise TransferlabError("model.tune: soft trains the pattern, which has no tokens; set model.soft_tokens.")
        drawn = torch.randint(len(weight), (len(origins),))
        start = torch.where(torch.tensor(origins) < 0, drawn, torch.tensor(origins))
        backbone.set_input_embeddings(NewTokens(old, weight[start], len(weight)))

    def findings(self) -> dict[str, str]:
        """What the words were probable without a text, and how many texts were cut for the pattern."""
        return self._found

    # data ---------------------------------------------------------------------------------------------------------

    def wrap_data(self, data: TaskDataModule, work: Work = Work()) -> TaskDataModule:  # noqa: B008  immutable
        """Draws the demonstrations from the training examples, by the seed; nothing is computed ahead.

        Raises:
            TransferlabError: Another number of texts than the pattern has, packed rows, copies of examples that may
                stand behind them, or too few examples.
        """
        self.check_steady()
        if len(data.source.text) != self.layout.texts:
            names = " and ".join(data.source.text)
            need = "{a}" if len(data.source.text) == 1 else "{a} and {b}"
            raise TransferlabError(f"model.pattern: {data.task} has the text {names}, so the pattern needs {need}.")
        if data.packed:
            raise TransferlabError("data.packed: Prompting lays out rows of its own; set false.")
        if self.sets and self.tune != "none" and data.training_rows()[0] != data.part_rows("train")[0]:
            raise TransferlabError(
                "model.demonstrations: the text that a copy was made from would stand behind it with its answer; leave "
                "data.augment out, or set demonstrations: 0."
            )
        data.single_step = self.tune == "none"
        if self.sets:
            self._demonstrations = self._drawn(data)
        self._found = self._told(data)
        return data

    def setup(self, stage: str) -> None:
        """Draws the demonstrations for a validation before training, as a script may ask for it."""
        super().setup(stage)
        data = getattr(self._trainer, "datamodule", None)
        if stage == "validate" and self.sets and not self._demonstrations and isinstance(data, TaskDataModule):
            self._demonstrations = self._drawn(data)

    def _drawn(self, data: TaskDataModule) -> list[list[list[int]]]:
        """For each class the demonstrations, each the number of its row and then its tokens."""
        split, rows = data.part_rows("train")
        encoded = data.encoded(split)
        labels = np.asarray(encoded.labels)[rows]
        generator = np.random.default_rng((data.protocol.seed, self.sets))
        found = []
        for number, name in enumerate(self.task.labels):
            own = rows[labels == number]
            if len(own) < self.sets:
                raise TransferlabError(
                    f"model.demonstrations: {self.sets} of each class are asked for, but {name} has {len(own)} "
                    "training examples."
                )
            drawn = generator.choice(own, self.sets, replace=False)
            texts = [self._texts(encoded, row) for row in drawn]
            word = self.words[number][0]
            ids = [self.layout.demonstration(one, word, len(self.task.labels)) for one in texts]
            found.append([[int(row), *one] for row, one in zip(drawn, ids, strict=True)])
        return found

    def _texts(self, encoded: Any, row: int) -> list[list[int]]:
        types = None if encoded.types is None else encoded.types.row(row).tolist()
        return self.layout.split(encoded.ids.row(row).tolist(), types)

    def _told(self, data: TaskDataModule) -> dict[str, str]:
        parts = [data.part_rows("train"), data.part_rows("validation")]
        special = len(self.layout.before) + len(self.layout.after)
        special += len(self.layout.between) if self.layout.texts == 2 else 0
        behind = sum(max(len(one) for one in label) + len(self.layout.after) - 1 for label in self._demonstrations)
        room = self.layout.spare - behind + special
        lengths = np.concatenate([data.encoded(split).ids.lengths[rows] for split, rows in parts])
        cut = int((lengths > room).sum()) if data.settings.truncation != "windows" else 0
        told = f"up to {cut:,} of {len(lengths):,} training and validation examples are cut to leave room for it"
        return {"pattern": told} if cut else {}

    # forward ------------------------------------------------------------------------------------------------------

    def vectors(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """The vector at the gap ``[batch, hidden]``, the mean over demonstrations, and None."""
        mean = self.asked(batch).mean(1)
        return (mean if batch.documents is None else document_mean(mean, batch.documents, batch.weights)), None

    def forward(self, batch: Batch) -> Tensor:
        """Logits ``[batch, classes]``."""
        vectors = self.asked(batch)
        logits: Tensor = self.head(vectors[:, 0] if vectors.shape[1] == 1 else vectors, None)
        return logits if batch.documents is None else document_mean(logits, batch.documents, batch.weights)

    def asked(self, batch: Batch) -> Tensor:
        """Vectors at the gap ``[rows, sets, hidden]``; there is a single set in training and without demonstrations.

        Raises:
            TransferlabError: The rows are packed.
        """
        if batch.packing is not None:
            raise TransferlabError("data.packed: Prompting lays out rows of its own; set false.")
        lengths = batch.attention_mask.sum(1).tolist()
        ids = batch.input_ids.tolist()
        types = None if batch.token_type_ids is None else batch.token_type_ids.tolist()
        texts = [
            self.layout.split(ids[row][:length], None if types is None else types[row][:length])
            for row, length in enumerate(lengths)
        ]
        index = batch.index.tolist()
        owners = index if batch.documents is None else [index[place] for place in batch.documents.tolist()]
        return self._at_gap(texts, owners)

    def _at_gap(self, texts: list[list[list[int]]], owners: list[int] | None) -> Tensor:
        """As `asked`; `owners` are the numbers of the examples, None for texts that are none."""
        if self.sets and not self._demonstrations:
            raise TransferlabError(
                "model.demonstrations: none were drawn: train with callbacks=transferlab.run_callbacks(), or with "
                "transferlab.FrozenWork() among them."
            )
        if self.training and owners is not None and self.sets:
            turns = [[self._turn(row, label) for label in self._demonstrations] for row in owners]
            return self._encoded(texts, turns)[:, None]
        found = [
            self._encoded(texts, [[label[number][1:] for label in self._demonstrations]] * len(texts))
            for number in range(max(self.sets, 1))
        ]
        return torch.stack(found, 1)

    def _turn(self, row: int, label: list[list[int]]) -> list[int]:
        """The demonstration of a class whose turn it is for an example; the next one where that is the example."""
        first = (row + self.global_step) % self.sets
        chosen = label[first] if label[first][0] != row else label[(first + 1) % self.sets]
        return chosen[1:]

    def _encoded(self, texts: list[list[list[int]]], demonstrations: list[list[list[int]]]) -> Tensor:
        """Vectors at the gap ``[rows, hidden]``."""
        filled = [self.layout.sequence(*pair) for pair in zip(texts, demonstrations, strict=True)]
        rows = [np.asarray(ids) for ids, _ in filled]
        lengths = torch.tensor([len(row) for row in rows])
        ids = pad(rows, self.pad_id).to(self.device)
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long().to(self.device)
        places = torch.tensor([place for _, place in filled], device=self.device)
        tokens: Tensor = self.encoder(ids, mask)
        return tokens[torch.arange(len(rows), device=self.device), places]

    # without training ---------------------------------------------------------------------------------------------

    @torch.no_grad()
    def content_free_prior(self) -> Tensor:
        """``log p(c)``, p the mean of the probabilities where texts say nothing ``[classes]``."""
        assert isinstance(self.head, WordHead)
        mode = self.training
        self.eval()
        vectors = self._at_gap([[text] * self.layout.texts for text in self.content_free], None)
        found: Tensor = (self.head(vectors) + self.head.prior).softmax(-1).mean(0).log()
        self.train(mode)
        return found

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """A step of the optimizer; with `tune` ``none`` the one step that calibrates."""
        if self.tune != "none":
            return super().training_step(batch, batch_idx)
        assert isinstance(self.head, WordHead)
        if self.calibrates:
            prior = self.content_free_prior()
            with torch.no_grad():
                self.head.prior.copy_(prior)
            shares = zip(self.task.labels, prior.exp().tolist(), strict=True)
            told = ", ".join(f"{label} {share:.2f}" for label, share in shares)
            self._found["calibration"] = f"probabilities of texts without content: {told}"
        self.trainer.should_stop = True
        return self.head.prior.sum() * 0

    def configure_optimizers(self) -> Any:
        """Those of `Strategy`; with `tune` ``none`` one that counts its step and moves nothing."""
        return (
            torch.optim.SGD(self.head.parameters(), lr=0.0) if self.tune == "none" else super().configure_optimizers()
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the demonstrations, and what was found."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["transferlab"] |= {"demonstrations": self._demonstrations, "found": dict(self._found)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Checks that a checkpoint fits, and reads its demonstrations."""
        super().on_load_checkpoint(checkpoint)
        facts: Mapping[str, Any] = checkpoint.get("transferlab", {})
        self._demonstrations = facts.get("demonstrations", [])
        self._found = dict(facts.get("found", {}))


def _refuse(
    task: TaskSpec,
    encoder: EncoderConfig,
    tune: Tune,
    demonstrations: int,
    calibrate: bool | None,
    soft_tokens: int,
    steady: Steady,
) -> None:
    if why := _of_task(task, encoder) or _of_way(tune, demonstrations, calibrate, soft_tokens, steady):
        raise TransferlabError(f"{why}.")


def _of_task(task: TaskSpec, encoder: EncoderConfig) -> str:
    """Why a task or an encoder has no words to be asked for."""
    if task.kind != "classification":
        return f"model: Prompting asks for the word of a label, which {task.kind} does not have; take another one"
    if task.apart:
        return "data.pairs: apart gives each text of a pair a sequence, but a pattern holds both; set data.pairs: joint"
    if encoder.architecture != "pretrained":
        return f"encoder.architecture: {encoder.architecture} has no pretrained head to ask; use pretrained"
    if encoder.layers != "last":
        return f"encoder.layers: the pretrained head reads the last layer, not {encoder.layers}; use last"
    if is_one_way(encoder):
        return f"encoder.name: {encoder.label} reads from left to right and has no head for masked words; {REMEDY}"
    return ""


def _of_way(tune: Tune, demonstrations: int, calibrate: bool | None, soft_tokens: int, steady: Steady) -> str:
    """Why keys do not go together."""
    if tune == "none" and soft_tokens:
        return "model.soft_tokens: vectors that nothing trains say nothing; set model.tune: soft"
    if tune == "none" and steady.chosen:
        return f"model.steady.{steady.chosen[0]}: nothing is trained with model.tune: none; leave it out"
    if tune != "none" and calibrate:
        return "model.calibrate: training moves the words by itself; calibrate with model.tune: none only"
    if tune != "none" and demonstrations == 1:
        return "model.demonstrations: an example would stand behind itself; in training take 2 or more"
    return ""
