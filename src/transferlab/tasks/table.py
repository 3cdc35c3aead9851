"""The tasks that come with the package: one row each. A new GLUE-like task is a new row here."""

from transferlab.config.experiments import no_task
from transferlab.ground.errors import TransferlabError
from transferlab.tasks.embedded_relations import RELATIONS as DEMO_RELATIONS
from transferlab.tasks.spec import Kind, Source

GLUE = "nyu-mll/glue"
# The commits that the recipes were written against; the Hub keeps serving them whatever changes on `main`.
GLUE_REVISION = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"
IMDB_REVISION = "e6281661ce1c48d982bc483cf8a173c1bbeb5d31"
# `eriktks/conll2003` is a loading script, which `datasets` no longer runs; this holds the same rows as parquet files
CONLL = "lhoestq/conll2003"
CONLL_REVISION = "19edcb426bfd625c275c17b9a99b2239243f4377"

SQUAD_REVISION = "7b6d24c440a36b6815f21b70d25016731768db1f"
SQUAD_V2_REVISION = "3ffb306f725f7d2ce8394bc1873b24868140c412"
CMRC_REVISION = "137f2c45a24275fb68f6961c4d357f46288886aa"
XQUAD_REVISION = "51adfef1c1287aab1d2d91b5bead9bcfb9c68583"

XSUM_REVISION = "7d4d486c2f8ef850b1a11aead99b894ff3dd7da9"
CNN_REVISION = "96df5e686bee6baa90b8bee7c28b81fa3fa6223d"
# the first one with all three files
SAMSUM_REVISION = "f8040674894a743112febaddde2b32264c07bb20"
WMT16_REVISION = "41d8a4013aa1489f28fea60ec0932af246086482"

CHNSENTICORP_REVISION = "b0c4c119c3fb33b8e735969202ef9ad13d717e5a"
# copies of the tasks of CLUE, with the commits that MTEB names
TNEWS_REVISION = "317f262bf1e6126357bbe89e875451e4b0938fe4"
AFQMC_REVISION = "b44c3b011063adb25877c13823db83bb193913c4"

ENTAILMENT = ("entailment", "not_entailment")
NLI = ("entailment", "neutral", "contradiction")
RELATIONS = (
    *(
        f"{name}({order})"
        for name in (
            "Cause-Effect",
            "Component-Whole",
            "Content-Container",
            "Entity-Destination",
            "Entity-Origin",
            "Instrument-Agency",
            "Member-Collection",
            "Message-Topic",
            "Product-Producer",
        )
        for order in ("e1,e2", "e2,e1")
    ),
    "Other",
)
"""Those of SemEval-2010 task 8, in the order of its class numbers."""
CONLL_TAGS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC")


def _glue(
    config: str,
    text: tuple[str, ...],
    labels: tuple[str, ...],
    metrics: tuple[str, ...] = ("accuracy",),
    test: tuple[str, ...] = ("validation",),
    predict: tuple[str, ...] = ("test",),
) -> Source:
    """A GLUE row: the test labels are hidden, so the official validation split is the test."""
    kind: Kind = "classification" if labels else "regression"
    return Source(GLUE, config, GLUE_REVISION, {}, text, "label", kind, labels, metrics, "train", "", test, predict)


def _summaries(
    path: str, text: str, label: str, revision: str | None = None, config: str | None = None, lines: bool = False
) -> Source:
    """Texts with their summaries, of which each sentence may stand on a line of its own."""
    metrics = ("rougeL", "rouge1", "rouge2", *(["rougeLsum_newline"] if lines else []))
    names = {"validation": "validation", "test": ("test",)}
    # SAMSum has a training example without a dialogue, and nobody can mend what lies on the Hub
    own = {"kind": "text", "skip_empty": True, "metrics": metrics}
    return Source(path, config, revision, text=(text,), label=label, **own, **names)  # type: ignore[arg-type]


TASKS: dict[str, Source] = {
    "cola": _glue("cola", ("sentence",), ("unacceptable", "acceptable"), ("matthews", "accuracy")),
    "sst2": _glue("sst2", ("sentence",), ("negative", "positive")),
    "mrpc": _glue("mrpc", ("sentence1", "sentence2"), ("not_equivalent", "equivalent"), ("f1", "accuracy")),
    "stsb": _glue("stsb", ("sentence1", "sentence2"), (), ("pearson", "spearman")),
    "qqp": _glue("qqp", ("question1", "question2"), ("not_duplicate", "duplicate"), ("f1", "accuracy")),
    "mnli": _glue(
        "mnli",
        ("premise", "hypothesis"),
        NLI,
        test=("validation_matched", "validation_mismatched"),
        predict=("test_matched", "test_mismatched", "ax/test"),
    ),
    "qnli": _glue("qnli", ("question", "sentence"), ENTAILMENT),
    "rte": _glue("rte", ("sentence1", "sentence2"), ENTAILMENT),
    "wnli": _glue("wnli", ("sentence1", "sentence2"), ("not_entailment", "entailment")),
    "imdb": Source(
        path="stanfordnlp/imdb",
        config="plain_text",
        revision=IMDB_REVISION,
        text=("text",),
        labels=("neg", "pos"),
        metrics=("accuracy",),
        test=("test",),
    ),
    "chnsenticorp": Source(
        path="lansinuote/ChnSentiCorp",
        revision=CHNSENTICORP_REVISION,
        labels=("negative", "positive"),
        metrics=("accuracy",),
        validation="validation",
        test=("test",),
    ),
    # the test labels of CLUE are hidden, so the validation split is the test; names of labels are those in the data
    "tnews": Source(
        path="C-MTEB/TNews-classification", revision=TNEWS_REVISION, metrics=("accuracy",), test=("validation",)
    ),
    "afqmc": Source(
        path="C-MTEB/AFQMC",
        revision=AFQMC_REVISION,
        text=("sentence1", "sentence2"),
        label="score",
        metrics=("accuracy", "f1"),
        test=("validation",),
    ),
    "conll2003": Source(
        path=CONLL,
        revision=CONLL_REVISION,
        kind="tagging",
        text=("tokens",),
        label="ner_tags",
        labels=CONLL_TAGS,
        metrics=("f1", "precision", "recall"),
        validation="validation",
        test=("test",),
    ),
    # nothing on the Hub holds it as plain files: a folder of that name under $TRANSFERLAB_DATA, see docs/tasks.md
    "semeval": Source(
        path="semeval2010_task8",
        kind="relation",
        text=("sentence",),
        label="relation",
        labels=RELATIONS,
        metrics=("f1_macro", "f1_micro", "accuracy"),
        test=("test",),
        negative="Other",
    ),
    # the same; a folder with train, valid and test, each with seq.in, seq.out and label
    **{name: Source(path=name, kind="slots", validation="validation", test=("test",)) for name in ("atis", "snips")},
    # the official test is hidden, so the validation split is the test
    **{
        name: Source(path=path, config=config, revision=revision, kind="qa", test=("validation",))
        for name, path, config, revision in (
            ("squad", "rajpurkar/squad", "plain_text", SQUAD_REVISION),
            ("squad_v2", "rajpurkar/squad_v2", "squad_v2", SQUAD_V2_REVISION),
            ("cmrc2018", "hfl/cmrc2018", None, CMRC_REVISION),
        )
    },
    "xsum": _summaries("EdinburghNLP/xsum", "document", "summary", XSUM_REVISION),
    "cnn_dailymail": _summaries("abisee/cnn_dailymail", "article", "highlights", CNN_REVISION, "3.0.0", lines=True),
    "samsum": _summaries("knkarthick/samsum", "dialogue", "summary", SAMSUM_REVISION),
    # nothing on the Hub was read: a folder of that name under $TRANSFERLAB_DATA, or the package of that name
    "aclsum": _summaries("aclsum", "abstract", "outcome"),
    "wmt16_en_ro": Source(
        path="wmt/wmt16",
        config="ro-en",
        revision=WMT16_REVISION,
        kind="text",
        text=("en",),
        label="ro",
        language="ro",
        skip_empty=True,
        metrics=("bleu", "chrf", "ter"),
        validation="validation",
        test=("test",),
    ),
    # all of it is one split, so that it is divided by articles into folds
    **{
        name: Source(path="google/xquad", config=config, revision=XQUAD_REVISION, kind="qa", train="validation")
        for name, config in (("xquad", "xquad.en"), ("xquad_zh", "xquad.zh"))
    },
    # generated by the package itself, see `transferlab.tasks.embedded`
    "demo_sentences": Source(
        path="embedded",
        config="sentences",
        labels=("negative", "positive"),
        metrics=("accuracy",),
        test=("test",),
    ),
    "demo_pairs": Source(
        path="embedded",
        config="pairs",
        text=("premise", "hypothesis"),
        labels=("different", "same"),
        metrics=("accuracy", "f1"),
        test=("test",),
    ),
    "demo_entities": Source(
        path="embedded",
        config="entities",
        kind="tagging",
        text=("tokens",),
        label="tags",
        labels=("O", "B-ANIMAL", "I-ANIMAL", "B-FOOD", "I-FOOD", "B-PLACE", "I-PLACE"),
        metrics=("f1", "precision", "recall"),
        test=("test",),
    ),
    "demo_topics": Source(
        path="embedded",
        config="topics",
        kind="multilabel",
        labels=("animal", "food", "place"),
        metrics=("f1_micro", "f1_macro", "subset_accuracy"),
        test=("test",),
    ),
    "demo_relations": Source(
        path="embedded",
        config="relations",
        kind="relation",
        labels=DEMO_RELATIONS,
        metrics=("f1_macro", "f1_micro", "accuracy"),
        test=("test",),
        negative="Other",
    ),
    "demo_slots": Source(path="embedded", config="slots", kind="slots", test=("test",)),
    "demo_answers": Source(path="embedded", config="answers", kind="qa", test=("test",)),
    "demo_dates": Source(path="embedded", config="dates", kind="text", test=("test",)),
}


def lookup(task: str) -> Source:
    """Returns the row of a task.

    Raises:
        TransferlabError: Unknown name; lists near matches.
    """
    if not task:
        raise TransferlabError(f"data.task: name a task, or give data.source. Known tasks: {', '.join(TASKS)}.")
    if task not in TASKS:
        raise TransferlabError(no_task(task, list(TASKS)))
    return TASKS[task]
