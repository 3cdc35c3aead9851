"""Scores of texts: those of sacrebleu and rouge_score, also from sums, and what goes wrong elsewhere."""

import subprocess
import sys

import numpy as np
import pytest

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.measured import check_metrics
from transferlab.tasks.scoring import NAMES, SUMS, scores, signatures, statistics
from transferlab.tasks.scoring.sentences import Words, sentences
from transferlab.tasks.spec import TaskSpec

sacrebleu = pytest.importorskip("sacrebleu")

OUTPUTS = [
    "the cat sat on the mat",
    "",
    "A dog barks loudly .",
    "no",
    "it's (really) good, U.S. made",
    "the the the the",
]
REFERENCES = [
    ["the cat sat on a mat", "a cat was sitting on the mat today"],
    ["nothing was written"],
    ["A dog barked.", "The dog barks loudly.", "dogs bark"],
    ["no"],
    ["it is really good, made in the U.S."],
    ["the end"],
]
STREAMS = [[row[at] if at < len(row) else None for row in REFERENCES] for at in range(3)]
METRICS = {
    "bleu": sacrebleu.BLEU(force=True),
    "chrf": sacrebleu.CHRF(),
    "chrf++": sacrebleu.CHRF(word_order=2),
    "ter": sacrebleu.TER(),
}


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("rows", [slice(None), slice(0, 1), slice(1, 2), slice(3, 4), slice(5, 6), slice(1, 5)])
def test_scores_of_sums_are_those_of_sacrebleu(name: str, rows: slice) -> None:
    wanted = METRICS[name].corpus_score(OUTPUTS[rows], [stream[rows] for stream in STREAMS]).score / 100
    assert scores(OUTPUTS[rows], REFERENCES[rows], [name], "en")[name] == pytest.approx(wanted, abs=1e-12)


def test_many_sums_at_a_time_give_what_each_gives() -> None:
    found = statistics(OUTPUTS, REFERENCES, NAMES, "en")
    drawn = np.random.default_rng(0).integers(len(OUTPUTS), size=(20, len(OUTPUTS)))
    for name, table in found.items():
        together = SUMS[name](table[drawn].sum(1))
        assert together.shape == (20,)
        np.testing.assert_allclose(together, [SUMS[name](table[rows].sum(0)) for rows in drawn], atol=1e-12)
        if name in METRICS:
            alone = [METRICS[name]._compute_score_from_stats(table[rows].sum(0).tolist()).score / 100 for rows in drawn]
            np.testing.assert_allclose(together, alone, atol=1e-12)


def test_the_order_of_references_changes_nothing() -> None:
    turned = [row[::-1] for row in REFERENCES]
    assert scores(OUTPUTS, turned, NAMES, "en") == scores(OUTPUTS, REFERENCES, NAMES, "en")


def test_empty_outputs_are_the_worst_and_equal_ones_the_best() -> None:
    right = ["a short one here", "two words more here"]
    empty = scores(["", ""], [[text] for text in right], NAMES, "en")
    assert empty.pop("ter") == 1.0
    assert set(empty.values()) == {0.0}
    equal = scores(right, [[text] for text in right], NAMES, "en")
    assert equal.pop("ter") == 0.0
    assert list(equal.values()) == pytest.approx([1.0] * len(equal))
    assert scores(["yes", "no", ""], [["yes"], ["no"], ["maybe"]], ["chrf"], "en")["chrf"] < 0.9


def test_rouge_is_that_of_rouge_score_and_sentences_need_no_download() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    text, reference = "The cats ran home. Dr. Smith saw 3.5 of them!", "Dr. Smith was seeing a cat.\nIt ran home."
    names = ["rouge1", "rouge2", "rougeL", "rougeLsum_newline", "rougeLsum_sentence"]
    found = scores([text], [[reference]], names, "en")
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=True)
    wanted = scorer.score(reference, text)
    assert [found[name] for name in names[:4]] == [wanted[name].fmeasure for name in scorer.rouge_types]
    split = scorer.score("\n".join(sentences(reference)), "\n".join(sentences(text)))["rougeLsum"].fmeasure
    assert found["rougeLsum_sentence"] == split > found["rougeLsum_newline"]


def test_sentences() -> None:
    assert sentences('He said "Stop!" Then he left. J. Smith of the U.S. Army paid $3.50, i.e. much. Why? No.') == [
        'He said "Stop!"',
        "Then he left.",
        "J. Smith of the U.S. Army paid $3.50, i.e. much.",
        "Why?",
        "No.",
    ]
    assert sentences("今天下雨。明天呢？好！") == ["今天下雨。", "明天呢？", "好！"]
    assert sentences("one line\n\ntwo lines... and more\n") == ["one line", "two lines... and more"]
    assert sentences("So did I. You too.") == ["So did I.", "You too."]


def test_chinese_is_counted_by_character() -> None:
    outputs, references = ["今天天气很好"], [["今天天气不好"]]
    found = scores(outputs, references, ["rouge1", "bleu", "ter", "token_f1"], "zh")
    assert found["rouge1"] == found["token_f1"] == pytest.approx(5 / 6)
    assert found["bleu"] == pytest.approx(
        sacrebleu.BLEU(tokenize="zh").corpus_score(outputs, [references[0]]).score / 100
    )
    assert found["ter"] == pytest.approx(1 / 6)
    assert scores(outputs, references, ["rouge1"], "en")["rouge1"] == 0.0
    assert Words().tokenize("Größe हिन्दी 3x 東京") == ["größe", "हिन्दी", "3x", "東", "京"]


def test_exact_match_token_f1_and_length_by_hand() -> None:
    outputs, references = [" 2026-11-28\n", "The big red car"], [["2026-11-28"], ["big car", "a red bus"]]
    found = scores(outputs, references, ["exact_match", "token_f1", "length_ratio"], "en")
    # big red car against big car: 2 * 2 / 5; BLEU reads a date as five words, and of the others the closest has three
    assert found == pytest.approx({"exact_match": 0.5, "token_f1": (1 + 4 / 5) / 2, "length_ratio": (5 + 4) / (5 + 3)})


def test_a_ratio_of_lengths_selects_no_checkpoint():
    check_metrics(TaskSpec("t", "text", (), ("bleu", "length_ratio")))
    with pytest.raises(TransferlabError, match="'length_ratio' cannot select checkpoints"):
        check_metrics(TaskSpec("t", "text", (), ("length_ratio", "bleu")))


def test_signatures_say_how_and_with_which_release() -> None:
    told = signatures(NAMES, "zh-Hans", [["a"], ["b", "c"]])
    assert told["bleu"] == f"nrefs:var|case:mixed|eff:no|tok:zh|smooth:exp|version:{sacrebleu.__version__}"
    assert signatures(["ter"], "en", [["a"]])["ter"].startswith("nrefs:1|case:lc|tok:tercom")
    assert "porter" in signatures(["rouge1"], "", [["a"]])["rouge1"]
    assert set(told) == set(NAMES)


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(TransferlabError, match="no score 'blue' for texts; known: rouge1"):
        scores(["a"], [["a"]], ["blue"], "en")
    with pytest.raises(TransferlabError, match="row 1: a list of one or more references"):
        scores(["a", "b"], [["a"], []], ["bleu"], "en")
    with pytest.raises(TransferlabError, match="2 outputs stand against references of 1 rows"):
        scores(["a", "b"], [["a"]], ["bleu"], "en")


def test_scores_need_no_torch() -> None:
    code = "import sys; from transferlab.tasks.scoring import scores; scores(['a'], [['a']], ['bleu'], 'en')"
    assert (
        subprocess.run([sys.executable, "-c", f"{code}; sys.exit('torch' in sys.modules)"], check=False).returncode == 0
    )
