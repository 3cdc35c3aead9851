"""Paired tests on corpus scores: those of sacrebleu on the same texts, and by document."""

import numpy as np
import pytest

from transferlab.analysis.comparison import significance
from transferlab.analysis.comparison.over_seeds import Sample
from transferlab.tasks.scoring import SUMS, statistics

sacrebleu = pytest.importorskip("sacrebleu")
from sacrebleu.significance import PairedTest  # noqa: E402

WORDS = [f"{first}{rest}" for first in "bdfgk" for rest in ("at", "og", "ird", "oor")]


def texts(share: float, rows: int = 60) -> tuple[list[str], list[str]]:
    """References, and outputs in which a share of the words is another one."""
    rng = np.random.default_rng(3)
    wanted = [[WORDS[at] for at in rng.integers(len(WORDS), size=rng.integers(4, 12))] for _ in range(rows)]
    rng = np.random.default_rng(int(1000 * share))
    found = [[word if rng.random() > share else WORDS[rng.integers(len(WORDS))] for word in row] for row in wanted]
    return [" ".join(row) for row in wanted], [" ".join(row) for row in found]


METRICS = {"bleu": sacrebleu.BLEU(force=True), "chrf": sacrebleu.CHRF(), "ter": sacrebleu.TER()}
REFERENCES, FIRST = texts(0.30)
SECOND = texts(0.34)[1]


def counts(outputs: list[str], name: str) -> np.ndarray:
    return statistics(outputs, [[one] for one in REFERENCES], [name], "en")[name]


def judged(kind: str, samples: int) -> dict[str, float]:
    """The p-values of sacrebleu."""
    systems = [("first", FIRST), ("second", SECOND)]
    test = PairedTest(systems, METRICS, [REFERENCES], test_type=kind, n_samples=samples)
    _, scores = test()
    names = {"BLEU": "bleu", "chrF2": "chrf", "TER": "ter"}
    return {names[name]: found[1].p_value for name, found in scores.items() if name in names}


def test_the_paired_bootstrap_is_that_of_sacrebleu() -> None:
    wanted = judged("bs", 1000)
    assert set(wanted) == set(METRICS)
    for name, p in wanted.items():
        found = significance.paired_bootstrap(counts(SECOND, name), counts(FIRST, name), SUMS[name])
        # the draws are the same; sacrebleu sums in float32
        assert found.p == pytest.approx(p, abs=0.003)
        score = (
            METRICS[name].corpus_score(SECOND, [REFERENCES]).score
            - METRICS[name].corpus_score(FIRST, [REFERENCES]).score
        )
        assert found.difference == pytest.approx(score / 100)
        assert abs(found.difference) < 3 * found.half


def test_approximate_randomisation_agrees_with_sacrebleus() -> None:
    for name, p in judged("ar", 2000).items():
        [found] = significance.randomisation(counts(SECOND, name)[None], counts(FIRST, name), SUMS[name], 2000)
        assert 0.01 < p < 0.99
        # each p-value has a standard error of at most 0.011
        if name == "ter":
            # whole edits: swaps that are as far apart as the real outputs count here, as in Yeh 2000, and not there
            assert found.p > p - 0.05
        else:
            assert found.p == pytest.approx(p, abs=0.05)


def test_documents_are_drawn_whole() -> None:
    one, other = counts(SECOND, "bleu"), counts(FIRST, "bleu")
    documents = np.repeat(np.arange(6), 10)
    whole = [table.reshape(6, 10, -1).sum(1) for table in (one, other)]
    wanted = significance.paired_bootstrap(*whole, SUMS["bleu"])
    [found] = significance.against(
        Sample(other[None]), [Sample(one[None])], SUMS["bleu"], False, documents, bootstrap=True
    )
    assert found == wanted
    [alone] = significance.against(Sample(other[None]), [Sample(one[None])], SUMS["bleu"], False, bootstrap=True)
    assert (alone.difference, alone.method) == (pytest.approx(found.difference), "paired bootstrap")
    assert alone.p != found.p


def test_equal_outputs_are_not_told_apart() -> None:
    same = counts(FIRST, "chrf")
    # sacrebleu's bootstrap says p = 1 / 1001
    assert significance.paired_bootstrap(same, same, SUMS["chrf"]).p == 1.0
    [found] = significance.randomisation(same[None], same, SUMS["chrf"], 500)
    assert found.p == 1.0
