"""The examples of a task as the keys of a config name them. Imports no torch."""

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from transferlab.encoders.config import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.ground.numbers import at_least
from transferlab.tasks import splits
from transferlab.tasks.added import Added
from transferlab.tasks.augmentation.settings import Augment, Unlabelled, refuse_unfit
from transferlab.tasks.generation import Generation
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.pairs import Markers, Pooled
from transferlab.tasks.parts import Truncation, Windows
from transferlab.tasks.selection import Protocol, Selecting, Selection
from transferlab.tasks.settings import Settings, with_case, with_entities, with_generation, with_windows
from transferlab.tasks.spec import OF_ONE_CLASS, Source
from transferlab.tasks.table import lookup

if TYPE_CHECKING:
    from transferlab.tasks.batch import Attached


class Task(Added):
    """What `transferlab.tasks.TaskDataModule` makes batches of; its arguments and their meaning are described there.

    A method that reads texts and no tokens, such as a classical baseline, needs nothing else.

    Raises:
        TransferlabError: Unknown task, unreadable or unusable rows, arguments that exclude each other.
    """

    def __init__(
        self,
        task: str = "",
        encoder: EncoderConfig = EncoderConfig(),  # noqa: B008  frozen
        source: Source | None = None,
        truncation: Truncation = "head",
        max_length: int = 128,
        batch_size: int = 32,
        eval_batch_size: int = 128,
        max_tokens: int | None = None,
        packed: bool = False,
        static_shape: bool | None = None,
        selection: Selection = "holdout",
        holdout: float = 0.1,
        holdout_by: str | None = None,
        folds: int | None = None,
        fold: int | None = None,
        train_fraction: float | None = None,
        train_examples: int | None = None,
        test_examples: int | None = None,
        predict: tuple[str, ...] | None = None,
        windows: Windows | None = None,
        max_unknown: float | None = None,
        sampling: Literal["balanced"] | None = None,
        pairs: Literal["joint", "apart"] | None = None,
        markers: Markers | None = None,
        pooling: Pooled | None = None,
        stride: int | None = None,
        negative_windows: int | None = None,
        num_workers: int = 0,
        seed: int | bool = 0,
        per_class: int | None = None,
        validation_examples: Selecting | None = None,
        generation: Generation | None = None,
        augment: Augment | None = None,
        unlabelled: Unlabelled | None = None,
        bucket: int | None = None,
        case: bool | None = None,
    ) -> None:
        protocol = Protocol(
            selection,
            holdout,
            train_fraction,
            train_examples,
            int(seed),
            holdout_by,
            per_class=per_class,
            validation_examples=validation_examples,
        )
        if windows and truncation != "windows":
            raise TransferlabError(f"data.windows: {windows} has no effect with data.truncation: {truncation}.")
        task, source, self.unused = _found(task, source, protocol, test_examples)
        if folds is not None or fold is not None:
            protocol = splits.folded(protocol, folds, fold, test_examples)
            source = replace(source, test=(source.train,), predict=source.predict or source.test)
        splits.refuse_idle_groups(source, protocol)
        refuse_unfit(augment, unlabelled, source.kind)
        settings = Settings(max_length, truncation, windows or "even", pairs == "apart" and len(source.text) > 1)
        settings = with_entities(settings, source.kind, markers, pooling)
        settings = with_windows(settings, source.kind, stride, negative_windows)
        settings = with_generation(settings, source.kind, generation)
        settings = with_case(settings, source.kind, case)
        self.augment, self.unlabelled = augment, unlabelled
        Added.__init__(self, task, source, encoder, settings, protocol, test_examples, predict, max_unknown)
        self.batch_size, self.eval_batch_size, self.max_tokens = batch_size, eval_batch_size, max_tokens
        self.packed, self.static_shape, self.bucket = packed, static_shape, bucket
        self.sampling, self.num_workers = sampling, num_workers
        self._begin()
        self._check_numbers()
        self._check_sampling()
        self._check_budget()
        self._check_packed()

    def _begin(self) -> None:
        """What is put into batches, and where training stands."""
        self.attached: dict[str, dict[str, Attached]] = {}
        self.validated: int | None = None
        """Examples of the validation set that are validated on; None: all."""
        self.single_step = False
        """Whether an epoch is one step over all training examples, of which no features are read."""

    def _check_numbers(self) -> None:
        at_least(1, data__batch_size=self.batch_size, data__eval_batch_size=self.eval_batch_size)
        at_least(1, data__bucket=self.bucket)
        if self.bucket and self.packed:
            raise TransferlabError("data.bucket: packed rows are in random order; leave out one of the two.")
        at_least(0, data__num_workers=self.num_workers)
        at_least(2, data__train_examples=self.protocol.train_examples, data__test_examples=self.test_examples)
        at_least(1, data__per_class=self.protocol.per_class)
        if isinstance(few := self.protocol.validation_examples, int):
            at_least(2, data__validation_examples=few)

    def _check_sampling(self) -> None:
        if self.protocol.per_class is not None and self.source.kind not in OF_ONE_CLASS:
            raise TransferlabError(
                f"data.per_class: examples of a {self.source.kind} task are in no single class; set "
                "data.train_examples."
            )
        if self.sampling and (why := KINDS[self.source.kind].not_sampled):
            raise TransferlabError(
                f"data.sampling: {self.sampling} is not for {self.source.kind}: {why}. (strategy/contrastive, which "
                "sets it, is for classification.)"
            )

    def _check_budget(self) -> None:
        budget, longest = self.max_tokens, self.settings.max_length
        if budget is None:
            return
        if budget < longest:
            raise TransferlabError(
                f"data.max_tokens: {budget} is less than data.max_length ({longest}), so a long example would fit into "
                "no batch; raise the first or lower the second."
            )
        if self.settings.truncation == "windows":
            raise TransferlabError(
                "data.max_tokens: with data.truncation: windows all windows of a document share a batch, however many "
                "they are; leave data.max_tokens out and set data.batch_size."
            )
        if self.settings.apart:
            raise TransferlabError(
                "data.max_tokens: with data.pairs: apart the two texts of an example share a batch, however long they "
                "are; leave data.max_tokens out and set data.batch_size."
            )

    def _check_packed(self) -> None:
        if self.packed and self.source.kind == "text":
            raise TransferlabError(
                "data.packed: prompts and targets are padded, each on its own side; set data.packed: false."
            )
        if self.packed and self.encoder.architecture == "bilstm":
            raise TransferlabError(
                "data.packed: a BiLSTM reads its rows one token after the other, so it cannot read packed rows; set "
                "data.packed: false."
            )


def _found(
    task: str, source: Source | None, protocol: Protocol, test_examples: int | None
) -> tuple[str, Source, tuple[str, ...]]:
    """Name and place of the examples, and the splits there that nothing reads: of the table, or of the user's own."""
    if source is None:
        return task, lookup(task), ()
    source = splits.complete(source)
    splits.refuse_idle(source, protocol, test_examples)
    return task or splits.name_of(source), source, splits.unused(source)
