"""What sacrebleu, rouge_score and the official script of SQuAD count of each row."""

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from transferlab.ground.errors import TransferlabError
from transferlab.tasks import squad
from transferlab.tasks.scoring.sentences import Words, sentences
from transferlab.tasks.scoring.sums import ROUGES, SUMS, Array

BLEU_TOKENIZERS = {"zh": "zh", **dict.fromkeys(("ja", "th", "lo", "my", "km"), "char")}
"""Language to a tokenizer of sacrebleu that needs nothing further; others have ``13a``."""
CODES = {"zho": "zh", "chi": "zh", "cmn": "zh", "yue": "zh", "jpn": "ja", "tha": "th", "eng": "en"}
"""Codes of three letters to those of two."""
References = Sequence[Sequence[str]]


def statistics(outputs: Sequence[str], references: References, names: Sequence[str], language: str) -> dict[str, Array]:
    """What each score is a function of, for each row; the function is `transferlab.tasks.scoring.SUMS`.

    Args:
        outputs: A text for each row; may be empty.
        references: One or more texts for each row; rows may differ in their number.
        names: Scores, of `transferlab.tasks.scoring.NAMES`.
        language: Code of the language of the outputs, such as ``en``, ``zh`` or ``zh-Hans``: picks how BLEU, TER and
            ROUGE find words.

    Returns:
        For each name ``[rows, statistics]``.

    Raises:
        TransferlabError: An unknown name, a row without a reference, or a package is missing.
    """
    outputs = [str(text) for text in outputs]
    _check(outputs, references, names)
    found: dict[str, Array] = {}
    rouges = [name for name in names if name in ROUGES]
    for name in names:
        if name in ("exact_match", "token_f1"):
            judge = _exact if name == "exact_match" else squad.f1
            values = [
                max(judge(text, one) for one in several) for text, several in zip(outputs, references, strict=True)
            ]
            found[name] = np.stack([np.ones(len(values)), np.array(values, dtype=float)], 1)
        elif name not in ROUGES:
            found[name] = _of_sacrebleu(name, outputs, references, language)
    return found | (_of_rouge(rouges, outputs, references, language) if rouges else {})


def scores(outputs: Sequence[str], references: References, names: Sequence[str], language: str) -> dict[str, float]:
    """The scores of a corpus, as shares: a BLEU of 27.4 is 0.274. Arguments and errors as of `statistics`."""
    found = statistics(outputs, references, names, language)
    return {name: float(SUMS[name](found[name].sum(0))) if len(outputs) else 0.0 for name in names}


def signatures(names: Sequence[str], language: str, references: References = ()) -> dict[str, str]:
    """How each score is counted, in the words of sacrebleu where it has some, with the versions of the packages.

    Args:
        names: As of `statistics`.
        language: As of `statistics`.
        references: Their number a row is part of it; 1 where there are none, ``var`` where rows differ.
    """
    counts = {len(several) for several in references} or {1}
    number = counts.pop() if len(counts) == 1 else -1
    told = {}
    for name in names:
        if name in ROUGES:
            words = "porter" if _is_english(language) else "unicode, unspaced scripts by character"
            split = {"rougeLsum_newline": "|sentences:lines", "rougeLsum_sentence": "|sentences:rules"}.get(name, "")
            told[name] = (
                f"{ROUGES[name]}:F1 of the best reference|words:{words}{split}|version:{_version('rouge_score')}"
            )
        elif name == "exact_match":
            told[name] = "equal but for blanks around"
        elif name == "token_f1":
            told[name] = "F1 of words as SQuAD counts them, of the best reference"
        else:
            metric = _metric(name, language)
            metric.num_refs = number
            told[name] = str(metric.get_signature())
    return told


def code(language: str) -> str:
    """A language in two letters where it has some: ``zh`` of ``zh-Hans``, ``zho_Hans`` and ``ZH``."""
    bare = language.lower().replace("_", "-").split("-")[0]
    return CODES.get(bare, bare)


def _check(outputs: Sequence[str], references: References, names: Sequence[str]) -> None:
    for name in names:
        if name not in SUMS:
            raise TransferlabError(f"no score {name!r} for texts; known: {', '.join(SUMS)}.")
    if len(outputs) != len(references):
        raise TransferlabError(f"{len(outputs)} outputs stand against references of {len(references)} rows.")
    for row, several in enumerate(references):
        if isinstance(several, str) or not several:
            raise TransferlabError(f"row {row}: a list of one or more references belongs here, not {several!r}.")


def _exact(text: str, reference: str) -> float:
    return float(text.strip() == reference.strip())


def _is_english(language: str) -> bool:
    return code(language) in ("", "en")


def _of_sacrebleu(name: str, outputs: Sequence[str], references: References, language: str) -> Array:
    most = max((len(several) for several in references), default=0)
    # streams of references, None where a row has fewer
    streams = [[several[at] if at < len(several) else None for several in references] for at in range(most)]
    metric = _metric(name, language)
    rows = metric._extract_corpus_statistics(outputs, streams) if outputs else []
    table = np.array(rows, dtype=float).reshape(len(outputs), -1)
    return table[:, :2] if name == "length_ratio" else table


def _metric(name: str, language: str) -> Any:
    """The object of sacrebleu that counts a score."""
    metrics = _package("sacrebleu").metrics
    if name.startswith("chrf"):
        return metrics.CHRF(word_order=2 if name == "chrf++" else 0)
    if name == "ter":
        asian = code(language) in ("zh", "ja")
        return metrics.TER(normalized=asian, asian_support=asian)
    # outputs are what a model wrote: nothing to be told of texts that look split into words
    return metrics.BLEU(tokenize=BLEU_TOKENIZERS.get(code(language), "13a"), force=True)


def _of_rouge(names: Sequence[str], outputs: Sequence[str], references: References, language: str) -> dict[str, Array]:
    scorer = _package("rouge_score.rouge_scorer").RougeScorer
    words = None if _is_english(language) else Words()
    found: dict[str, list[float]] = {name: [] for name in names}
    plain = scorer([ROUGES[name] for name in names if name != "rougeLsum_sentence"], use_stemmer=True, tokenizer=words)
    summary = scorer(["rougeLsum"], use_stemmer=True, tokenizer=words)
    for text, several in zip(outputs, references, strict=True):
        values = plain.score_multi(several, text) if plain.rouge_types else {}
        if "rougeLsum_sentence" in names:
            lines = ["\n".join(sentences(one)) for one in (text, *several)]
            values["rougeLsum_sentence"] = summary.score_multi(lines[1:], lines[0])["rougeLsum"]
        for name in names:
            found[name].append(values[ROUGES[name] if name != "rougeLsum_sentence" else name].fmeasure)
    return {name: np.stack([np.ones(len(outputs)), np.array(values)], 1) for name, values in found.items()}


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise TransferlabError(
            f"{package} counts the scores of texts and is not here: pip install 'transferlab[text]'."
        ) from error


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
