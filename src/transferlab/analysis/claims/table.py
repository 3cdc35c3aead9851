"""The claims: a sentence of the field each, and the rows of numbers that put it to the test."""

from collections.abc import Callable
from dataclasses import dataclass

from transferlab.analysis.claims import rows
from transferlab.analysis.claims.effects import Effect
from transferlab.analysis.claims.grid import Grid
from transferlab.analysis.claims.rows import Row

FULL, FROZEN, SCRATCH = "full_finetuning", "feature_extraction", "from_scratch"
SWEEP_OF = {"sst2": "sst2", "mrpc": "mrpc", "conll2003": "conll2003"}
"""The sweep that compares all strategies on a task."""
COMPARED = SWEEP_OF | {"imdb": "imdb_labels"}
"""The sweep whose strategies the table of results shows."""
NAMES = {"sst2": "SST-2", "mrpc": "MRPC", "rte": "RTE", "conll2003": "CoNLL-2003", "imdb": "IMDB"}
SMALL = (100, 500)
"""Labeled reviews of the small IMDB."""
LABELS = {"sst2": (50, 100), "imdb": (20, 100)}
"""Labels of the pretrained encoder; its rival has up to 2,000 of SST-2 and 500 of IMDB."""
FEW = 100
"""Training examples on which a large model overfits if it ever does."""
MARGIN = 1.0
"""Points that "nearly as good" may lose."""
KEPT = 95.0
"""What "most of its teacher" is, in %; DistilBERT keeps 97 (Sanh et al. 2019, https://arxiv.org/abs/1910.01108)."""
SMALLER = 60.0
"""Size of a small student in % of its teacher: that of DistilBERT beside BERT-base."""
FEW_LABELS, PROMPTED = 64, 32
"""Labels, of both classes together, with which few are compared."""
PROBE, PROBE_ROWS = "stsb", 300
"""The earlier task, and how many of its rows train a probe."""


@dataclass(frozen=True)
class Claim:
    """A sentence and its tests.

    Attributes:
        name: Word for ``--claim``.
        title: Heading.
        text: The sentence.
        rule: What its thresholds are, in words.
        rows: The numbers that test it.
    """

    name: str
    title: str
    text: str
    rule: str
    rows: tuple[Row, ...]

    @property
    def sweeps(self) -> tuple[str, ...]:
        """Sweeps that its numbers come from, each once."""
        return tuple(dict.fromkeys(name for row in self.rows for name in (row.sweep, row.beside) if name))

    @property
    def probed(self) -> tuple[tuple[str, str, str], ...]:
        """Sweep, task and strategy of the runs that `transferlab forgetting` must have measured."""
        found = (row for row in self.rows if row.measure in rows.MEASURED_LATER)
        return tuple(dict.fromkeys((row.sweep, row.task, row.needs[0]) for row in found))


def _faster(task: str, strategy: str) -> Row:
    text = f"{NAMES[task]}: steps to where `from_scratch` converges, times fewer with `{strategy}`"
    return Row(SWEEP_OF[task], task, text, "times", 1, rows.speed_up, (strategy, SCRATCH))


def _gain(size: int, strategy: str) -> Row:
    text = f"IMDB, {size:,} labels: `{strategy}` over `from_scratch`"
    return Row("imdb_labels", "imdb", text, "points", 5, rows.difference, (strategy, SCRATCH), size)


def _fewer_labels(task: str, size: int, strategy: str) -> Row:
    text = f"{NAMES[task]}: labels `from_scratch` needs for what `{strategy}` has with {size}, times as many"
    return Row(f"{task}_labels", task, text, "times", 10, rows.label_multiplier, (strategy, SCRATCH), size)


def _cheaper(task: str) -> Row:
    text = f"{NAMES[task]}: time of `full_finetuning` over that of `feature_extraction`, encoding included"
    return Row(SWEEP_OF[task], task, text, "times", 1, rows.time_ratio, (FULL, FROZEN))


def _steadier(task: str) -> Row:
    text = f"{NAMES[task]}: spread over seeds of `full_finetuning` beyond that of `feature_extraction`"
    return Row(SWEEP_OF[task], task, text, "points", 0, rows.spread, (FULL, FROZEN))


def _better(sweep: str, task: str, size: int | None = None) -> Row:
    count = f", {size:,} labels" if size else ""
    text = f"{NAMES[task]}{count}: `full_finetuning` over `feature_extraction`"
    return Row(sweep, task, text, "points", 0, rows.difference, (FULL, FROZEN), size)


def _as_good(task: str, method: str) -> Row:
    text = f"{NAMES[task]}: `{method}` over `full_finetuning`"
    return Row(SWEEP_OF[task], task, text, "points", -MARGIN, rows.difference, (method, FULL))


def _share(task: str, method: str) -> Row:
    text = f"{NAMES[task]}: trainable parameters of `{method}`, head included"
    return Row(SWEEP_OF[task], task, text, "%", 1, rows.share, (method,), at_most=True)


def _of_few(size: int, method: str, other: str) -> Row:
    text = f"SST-2, {size} labels: `{method}` over `{other}`"
    return Row("sst2_few", "sst2", text, "points", 0, rows.difference, (method, other), size)


def _steadied(measure: Callable[[Grid, Row], Effect | None], text: str) -> Row:
    text = f"SST-2: {text} `full_finetuning` with R-Drop and averaged weights"
    return Row("sst2_steady", "sst2", text, "points", 0, measure, (FULL,), beside="sst2_plain")


def _given(sweep: str, strategy: str, what: str) -> Row:
    text = f"SST-2: gain of `{strategy}` {what}"
    return Row(sweep, "sst2", text, "points", 0, rows.gain, (strategy,), beside="sst2")


CLAIMS = (
    Claim(
        "convergence",
        "Convergence",
        "Pretrained features converge faster than random ones, and give 5 to 10 points more on a small IMDB.",
        f"Faster: more than 1 times fewer steps until validation is {rows.REACHED * 100:.0f} % of the way from the "
        "untrained head to the best of `from_scratch`; validation comes once an epoch (CoNLL-2003: every "
        "second), so where the first one is enough the number is a bound (`≥`). "
        "Not on MRPC, where all of one class has an F1 of 81. Gain: more than 5 points.",
        (
            *(_faster(task, strategy) for task in ("sst2", "conll2003") for strategy in (FULL, FROZEN)),
            *(_gain(size, strategy) for size in SMALL for strategy in (FULL, FROZEN)),
        ),
    ),
    Claim(
        "label_efficiency",
        "Label efficiency",
        "A pretrained encoder needs 10 to 100 times fewer labels than training from scratch.",
        "More than 10 times. At `≥` the most of the sweep were not enough. The interval is a bootstrap over seeds.",
        (
            *(
                _fewer_labels(task, size, strategy)
                for task, sizes in LABELS.items()
                for size in sizes
                for strategy in (FULL, FROZEN)
            ),
        ),
    ),
    Claim(
        "feature_extraction",
        "Feature extraction",
        "Training a head on frozen features is cheaper and steadier over seeds than fine-tuning, and forgets nothing.",
        "Cheaper: more than 1 times the time. Steadier: the mean distance from the median is smaller. Forgets nothing: "
        "a linear probe of STS-B on the encoder loses no point, while fine-tuning costs it some.",
        (
            *(_cheaper(task) for task in SWEEP_OF),
            *(_steadier(task) for task in SWEEP_OF),
            Row(
                "sst2",
                "sst2",
                "SST-2: what the probe of STS-B loses by `feature_extraction`",
                "points",
                0,
                rows.forgotten(PROBE),
                (FROZEN,),
                at_most=True,
            ),
            Row(
                "sst2",
                "sst2",
                "SST-2: what it loses by `full_finetuning`",
                "points",
                0,
                rows.forgotten(PROBE),
                (FULL,),
            ),
        ),
    ),
    Claim(
        "fine_tuning",
        "Fine-tuning",
        "Fine-tuning the whole encoder is better than a head on frozen features, but overfits where data is small.",
        "Better: more than 0 points. Overfits: the cross-entropy on the test exceeds that of training at its end, more "
        f"so with {FEW} examples than with many, and more than with frozen features.",
        (
            *(_better(sweep, task) for task, sweep in SWEEP_OF.items()),
            _better("imdb_labels", "imdb", SMALL[-1]),
            Row(
                "sst2_labels",
                "sst2",
                f"SST-2, {FEW} labels: test loss of `full_finetuning` less its training loss",
                "nats",
                0,
                rows.overfitting,
                (FULL,),
                FEW,
            ),
            Row(
                "sst2_labels",
                "sst2",
                f"SST-2: that gap with {FEW} labels less that with the most labels",
                "nats",
                0,
                rows.overfitting_of_few,
                (FULL,),
                FEW,
            ),
            Row(
                "sst2_labels",
                "sst2",
                f"SST-2, {FEW} labels: that gap less that of `feature_extraction`",
                "nats",
                0,
                rows.more_overfitting,
                (FULL, FROZEN),
                FEW,
            ),
        ),
    ),
    Claim(
        "peft",
        "Parameter-efficient tuning",
        "Parameter-efficient tuning is nearly as good as tuning everything, with under 1 % of the parameters.",
        f"Nearly as good: loses less than {MARGIN:g} point. Under 1 %: of all parameters, those of the head included.",
        (
            *(_as_good(task, "lora") for task in SWEEP_OF),
            *(_as_good("sst2", method) for method in ("adapter", "bitfit")),
            *(_share("sst2", method) for method in ("lora", "adapter", "bitfit")),
        ),
    ),
    Claim(
        "distillation",
        "Distillation",
        "A small student keeps most of what its teacher can do.",
        f"Most: more than {KEPT:g} % of the teacher's score. Small: at most {SMALLER:g} % of its parameters, as "
        "DistilBERT has of BERT's. It is the teacher's doing: more than the same student without one.",
        (
            Row(
                "sst2",
                "sst2",
                "SST-2: score of the student of three layers, of its teacher's (`full_finetuning`)",
                "%",
                KEPT,
                rows.retained,
                ("distillation", FULL),
            ),
            Row(
                "sst2",
                "sst2",
                "SST-2: `distillation` over `distillation_no_teacher`",
                "points",
                0,
                rows.difference,
                ("distillation", "distillation_no_teacher"),
            ),
            Row(
                "sst2",
                "sst2",
                "SST-2: parameters of the student, of its teacher's",
                "%",
                SMALLER,
                rows.relative_size,
                ("distillation", FULL),
                at_most=True,
            ),
        ),
    ),
    Claim(
        "few_labels",
        "Few labels",
        "With few labels, tuning the encoder by pairs of sentences is better than fine-tuning it or a head on frozen "
        "features.",
        "Better: more than 0 points, with the same labels.",
        tuple(_of_few(FEW_LABELS, "contrastive", other) for other in (FULL, FROZEN, "lora")),
    ),
    Claim(
        "steady",
        "Steadier fine-tuning",
        "Regularisers make fine-tuning on small data better and steadier over seeds.",
        "Better: more than 0 points over the same without them. Steadier: a smaller mean distance from the median. "
        "The training examples are 100 in the small sweep, 1,000 in the full one.",
        (_steadied(rows.gain, "gain of"), _steadied(rows.steadier, "spread over seeds without beyond that of")),
    ),
    Claim(
        "augmentation",
        "Changed copies",
        "Where labels are few, changed copies of the training texts give better scores.",
        "Better: more than 0 points over as many steps on the texts as they are.",
        tuple(_given("sst2_augmented", strategy, "by changed copies") for strategy in (FULL, "lora")),
    ),
    Claim(
        "unlabelled",
        "Texts without labels",
        "Texts without labels give better scores, whether a teacher labels them or their changed copies are to get the "
        "same answer.",
        "Better: more than 0 points over as many epochs without them. A step then reads twice as many texts.",
        (
            _given("sst2_unlabelled", "distillation", "by texts that the teacher labels"),
            *(_given("sst2_consistency", strategy, "by consistency") for strategy in (FULL, "lora")),
        ),
    ),
    Claim(
        "prompting",
        "Prompting",
        "With few labels, asking the pretrained head for a word is better than training a new head.",
        "Better: more than 0 points. The encoder is BERT-base, since the one of the other claims has no such head.",
        (
            Row(
                "sst2_prompting",
                "sst2",
                f"SST-2, {PROMPTED} labels: `prompting` over `full_finetuning`",
                "points",
                0,
                rows.difference,
                ("prompting", FULL),
                PROMPTED,
            ),
        ),
    ),
)
