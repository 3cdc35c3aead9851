"""What a task is: facts that the model needs (TaskSpec) and where its rows lie (Source)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from transferlab.tasks.generation import Search
from transferlab.tasks.schemes import IOB2, UNREAD, Scheme, SchemeName

Kind = Literal["classification", "regression", "tagging", "multilabel", "relation", "qa", "text", "slots"]
OF_ONE_CLASS: tuple[Kind, ...] = ("classification", "relation")
"""Kinds whose examples are each of a single class."""
WORDED: tuple[Kind, ...] = ("tagging", "slots")
"""Kinds whose texts are words with a tag for each."""
LOWER_IS_BETTER = ("mse", "ter")
"""Metrics of which less is better."""
OUTSIDE = "O"
"""The tag of words outside all entities."""
INTENT = "intent:"
"""How the label of an intent begins, among the labels of a task with intents and slots."""


class TaskSpec(NamedTuple):
    """Facts about a task that a strategy needs; the kind alone picks head, loss and metrics.

    Attributes:
        name: Name of the task, as used in run directories and tables.
        kind: ``classification``, ``regression``, ``tagging`` (one label per word), ``multilabel`` (any number of
            labels), ``relation`` (one label for a text with two marked entities), ``qa`` (an answer in a text),
            ``text`` (a text that is written) or ``slots`` (an intent, and a tag for each word).
        labels: Label names in the order of the class numbers; for tagging IOB2 tags, for slots these and then the
            intents, each behind `INTENT`; empty for regression.
        metrics: Names understood by `transferlab.learning.metrics.build_metrics`; the first one selects checkpoints.
        tests: Names of the test splits in metric keys, ``test`` first.
        scheme: For tagging, how the user's files spell the tags; None: as `labels` do.
        apart: Whether two texts are encoded one by one, and the head reads how they compare.
        negative: For relations, the label that is none; empty where there is no such label.
        ranges: How many ranges of tokens of each example the head reads the means of; 0: it reads pooled vectors.
        new_tokens: Names of tokens that the encoder has no rows for, see `transferlab.tasks.pairs.new_tokens`.
        search: For texts, how an output is searched for; None for other kinds.
        language: For texts, the language that scores look for words of; empty: English.
        case: For tagging, whether the encoder is told the capitals of words, see `transferlab.tasks.capitals`.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    tests: tuple[str, ...] = ("test",)
    scheme: Scheme | None = None
    apart: bool = False
    negative: str = ""
    ranges: int = 0
    new_tokens: tuple[str, ...] = ()
    search: Search | None = None
    language: str = ""
    case: bool = False

    @property
    def outputs(self) -> int:
        """Width of the head: one per label, one for regression, two for the ends of an answer, 0 for texts: no head."""
        return {"qa": 2, "text": 0}.get(self.kind, max(len(self.labels), 1))

    @property
    def per_word(self) -> bool:
        """Whether the head reads words, or tokens that may end an answer, and not whole texts."""
        return self.kind in (*WORDED, "qa")

    @property
    def worded(self) -> bool:
        """Whether texts are words with a tag for each."""
        return self.kind in WORDED

    @property
    def tags(self) -> tuple[str, ...]:
        """The labels of words: all but the intents."""
        return tuple(label for label in self.labels if self.kind != "slots" or not label.startswith(INTENT))

    @property
    def intents(self) -> tuple[str, ...]:
        """The labels of whole texts beside tags, which stand behind these; empty for other kinds."""
        return self.labels[len(self.tags) :]

    @property
    def outside(self) -> int:
        """The class number of "O", by its name; -1 where there is none, or where tags mark no entities."""
        return self.labels.index(OUTSIDE) if self.entities and OUTSIDE in self.labels else -1

    @property
    def entities(self) -> bool:
        """Whether tags mark entities; those of parts of speech do not."""
        return self.worded and self.spelling.name != "tags"

    @property
    def spelling(self) -> Scheme:
        """How predictions of tags are written."""
        return self.scheme or IOB2

    @property
    def primary(self) -> str:
        """The metric that selects checkpoints and leads every table."""
        return self.metrics[0]


@dataclass(frozen=True)
class Source:
    """Where the examples of a task are and how to read them.

    Attributes:
        path: Name on the Hub, or a folder laid out like a data set repository. Leave it empty when `files` is given.
        config: Configuration of the data set, for example ``sst2`` of ``nyu-mll/glue``.
        revision: Commit or tag on the Hub.
        files: Instead of `path`: split name to CSV, TSV, JSON, Parquet or tagging file.
        text: One or two text columns; for tagging the column with the words. A name, or a number where columns have no
            names.
        label: The label column, by name or number.
        kind: classification, regression, tagging, multilabel, relation, qa, text or slots.
        labels: Label names in class order. Inferred from the training examples where empty; a label is then matched by
            its name alone, and never taken for a class number.
        metrics: The first one selects checkpoints. The usual ones of the kind where empty.
        train: Split to train on.
        validation: Split to select checkpoints on; empty: the one called ``validation`` where it is there and not
            tested on, else carved from `train`.
        test: Labelled splits to test on, the main one first; empty: the one called ``test`` where it is there.
        predict: Splits without labels, ``split`` or ``config/split``.
        delimiter: What stands between two columns of a CSV, TSV or tagging file; null: found out, as are the next
            three. The header of a run says how a file was read.
        quoted: Whether fields of a CSV or TSV file may stand in double quotes.
        encoding: Encoding of text files, such as ``utf-8``, ``cp1252`` or ``utf-16``.
        header: Whether the first line names the columns; without one, columns have numbers, from 0.
        scheme: For tagging, the scheme of the tags: IOB1, IOB2, IO, BIOES (or IOBES), BILOU, or ``tags`` where they
            mark no entities, such as parts of speech; null: found out over all splits together.
        label_delimiter: For multilabel, what stands between two labels of a cell; null: found out, one of ``;|,``.
        label_columns: For multilabel, columns that say with 1 or 0 whether an example has the label of that name,
            instead of `label`.
        negative: For relation, the label that means that there is none; null: ``Other`` or ``no_relation`` where there
            is such a label, ``""``: none is.
        language: For text, the language of the targets, such as ``de`` or ``zh``: how scores find words; null: English.
        document: For text, a column that says which document each row is from, so that a comparison draws whole
            documents; null: each row is one.
        skip_empty: For text, whether rows of the training split without an input or a target are left out, and counted
            in the header of the run; elsewhere they are refused. null: they are refused everywhere.
        intent: For slots, the column with the intents; null: ``intent``, or ``label`` where there is none.
    """

    path: str = ""
    config: str | None = None
    revision: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    text: tuple[str, ...] = ("text",)
    label: str = "label"
    kind: Kind = "classification"
    labels: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    train: str = "train"
    validation: str = ""
    test: tuple[str, ...] = ()
    predict: tuple[str, ...] = ()
    delimiter: str | None = None
    quoted: bool | None = None
    encoding: str | None = None
    header: bool | None = None
    scheme: SchemeName | None = None
    label_delimiter: str | None = None
    label_columns: tuple[str, ...] | None = None
    negative: str | None = None
    language: str | None = None
    document: str | None = None
    skip_empty: bool | None = None
    intent: str | None = None

    def __post_init__(self) -> None:
        """Uses the files of the usual names, so that none of them is passed over in silence."""
        if self.kind == "qa":
            # the columns of SQuAD, unless others are named
            self._called(("question", "context"), "answers")
        if self.kind == "text":
            self._called(("input",), "target")
        if self.kind == "slots":
            self._called(("tokens",), "slots")
        if self.label_columns and not self.labels:
            object.__setattr__(self, "labels", tuple(self.label_columns))
        used = {self.train, self.validation, *self.test, *self.predict}
        if not self.validation and "validation" in self.files and "validation" not in used:
            object.__setattr__(self, "validation", "validation")
        if not self.test and "test" in self.files and "test" not in used:
            object.__setattr__(self, "test", ("test",))

    def _called(self, text: tuple[str, ...], label: str) -> None:
        usual = {"text": (("text",), text), "label": ("label", label)}
        for key, (unset, name) in usual.items():
            if getattr(self, key) == unset:
                object.__setattr__(self, key, name)

    @property
    def worded(self) -> bool:
        """Whether texts are words with a tag for each."""
        return self.kind in WORDED


def direction(metric: str) -> int:
    """1 where more of a metric is better, -1 where less is."""
    return -1 if metric in LOWER_IS_BETTER else 1


def tag_name(labels: Sequence[str], number: int) -> str:
    """The tag of a class number; "O" for -1, which a word that was not read has where no tag is called so."""
    return labels[number] if number >= 0 else OUTSIDE


def written_tags(task: TaskSpec, numbers: Sequence[int]) -> list[str]:
    """Class numbers of the words of a sentence as tags in the user's scheme; "_" for a word without an answer."""
    if task.scheme is None:
        return [tag_name(task.labels, number) for number in numbers]
    if not task.entities:
        return [task.labels[number] if number >= 0 else UNREAD for number in numbers]
    return task.scheme.write([tag_name(task.labels, number) for number in numbers])


def test_names(splits: tuple[str, ...]) -> tuple[str, ...]:
    """Names of test splits in metric keys: ``test`` for the first, for others what is special about them.

    ``("validation_matched", "validation_mismatched")`` becomes ``("test", "test_mismatched")``.
    """
    return tuple("test" if number == 0 else f"test_{split.rsplit('_', 1)[-1]}" for number, split in enumerate(splits))
