import itertools
import json

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from transferlab.analysis.comparison import outcomes, over_seeds, significance
from transferlab.analysis.comparison.groups import estimate
from transferlab.analysis.comparison.over_seeds import Errors, Sample, errors_of
from transferlab.tasks.kinds import KINDS, SUMS

accuracy = SUMS["classification", "accuracy"]
f1 = SUMS["classification", "f1"]


def right(table):
    """Counts of accuracy for right answers ``[..., examples]``."""
    table = np.asarray(table, dtype=float)
    return np.stack([np.ones_like(table), table], -1)


def hits(found, gold):
    """Counts of F1 for predictions ``[..., examples]`` of 0 and 1."""
    gold = np.broadcast_to(gold, found.shape)
    return np.stack([found * gold, found, gold], -1).astype(float)


@pytest.mark.parametrize("width", [1, 2, 5])
def test_how_many_runs_are_looked_at_together_changes_no_digit(width, monkeypatch):
    generator = np.random.default_rng(3)
    samples = [Sample(generator.random((runs, 300, width))) for runs in (1, 5, 3, 5)]

    def asked(at_once):
        monkeypatch.setattr(over_seeds, "AT_ONCE", at_once)
        return [(one.scores.tolist(), one.influence.tolist()) for one in errors_of(samples, lambda sums: sums[..., -1])]

    assert asked(1) == asked(1000) == asked(10**9)
    assert asked(1)[1][0] == samples[1].counts.sum(1)[:, -1].tolist()


# the metrics of sums ----------------------------------------------------------------------------------------------

NAMES = ["a", "b", "c"]
REFERENCES = {
    ("classification", "accuracy"): sklearn.metrics.accuracy_score,
    ("classification", "f1_macro"): lambda gold, found: sklearn.metrics.f1_score(gold, found, average="macro"),
    ("classification", "matthews"): sklearn.metrics.matthews_corrcoef,
    ("regression", "pearson"): lambda gold, found: scipy.stats.pearsonr(gold, found).statistic,
    ("regression", "spearman"): lambda gold, found: scipy.stats.spearmanr(gold, found).statistic,
    ("regression", "mse"): sklearn.metrics.mean_squared_error,
}


def run_folder(path, kind, metric, gold, found, score, labels=()):
    (path / "predictions").mkdir(parents=True)
    lines = [{"id": n, "prediction": f, "label": g} for n, (f, g) in enumerate(zip(found, gold, strict=True))]
    (path / "predictions" / "test.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    facts = {"kind": kind, "primary": metric, "labels": list(labels), "folder": str(path)}
    return {**facts, "status": "finished", "metrics": {f"test/{metric}": score}}


@pytest.mark.parametrize("key", list(REFERENCES))
def test_a_metric_of_sums_is_that_of_its_library(tmp_path, key):
    generator = np.random.default_rng(4)
    if key[0] == "regression":
        gold = generator.integers(0, 20, 60) / 4
        found = gold + generator.normal(size=60).round(1)
    else:
        gold = generator.choice(NAMES, 60)
        found = np.where(generator.random(60) < 0.5, gold, generator.choice(NAMES, 60))
    wanted = REFERENCES[key](gold, found)
    summary = run_folder(tmp_path / "r", *key, gold.tolist(), found.tolist(), wanted, NAMES)
    for _ in range(2):  # computed, then kept
        counts = outcomes.outcomes(summary).counts
        assert float(SUMS[key](counts.sum(0))) == pytest.approx(wanted, abs=1e-12)
    # without an example: what the jackknife needs
    some = SUMS[key](counts.sum(0) - counts)[:3]
    if key[1] != "spearman":
        rest = [REFERENCES[key](np.delete(gold, n), np.delete(found, n)) for n in range(3)]
        assert some == pytest.approx(rest, abs=1e-12)
    assert outcomes.outcomes({**summary, "metrics": {f"test/{key[1]}": wanted + 0.1}}) is None


def test_entity_f1_is_that_of_seqeval(tmp_path):
    seqeval = pytest.importorskip("seqeval.metrics")
    generator = np.random.default_rng(5)
    tags = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    gold = [generator.choice(tags, 6).tolist() for _ in range(40)]
    found = [[tag if generator.random() < 0.8 else "O" for tag in row] for row in gold]
    wanted = seqeval.f1_score(gold, found)
    summary = run_folder(tmp_path, "tagging", "f1", gold, found, wanted)
    counts = outcomes.outcomes(summary).counts
    assert counts.shape == (40, 3)
    assert float(f1(counts.sum(0))) == pytest.approx(wanted, abs=1e-12)


def test_runs_on_other_examples_are_not_paired(tmp_path):
    one = run_folder(tmp_path / "a", "classification", "accuracy", ["a", "b"], ["a", "b"], 1.0, NAMES)
    other = run_folder(tmp_path / "b", "classification", "accuracy", ["a", "a"], ["a", "a"], 1.0, NAMES)
    assert outcomes.outcomes(one).examples != outcomes.outcomes(other).examples
    (tmp_path / "a" / "predictions" / "test.jsonl").write_text('{"id": 0}\n')
    assert outcomes.outcomes(one) is None


# the tests --------------------------------------------------------------------------------------------------------


def test_mcnemar_is_the_binomial_test_on_what_only_one_has_right():
    one = np.array([1] * 12 + [0] * 4 + [1] * 30 + [0] * 9)
    other = np.array([0] * 12 + [1] * 4 + [1] * 30 + [0] * 9)
    found = significance.mcnemar(right(one), right(other))
    assert found.difference == pytest.approx(8 / 55)
    assert found.p == pytest.approx(scipy.stats.binomtest(12, 16).pvalue)


def test_randomisation_is_the_share_of_all_swaps():
    generator = np.random.default_rng(1)
    gold = generator.integers(0, 2, 10)
    one = np.where(generator.random(10) < 0.9, gold, 1 - gold)
    other = np.where(generator.random(10) < 0.5, gold, 1 - gold)
    a, b = hits(one, gold), hits(other, gold)
    observed = abs(f1(a.sum(0)) - f1(b.sum(0)))
    swaps = np.array(list(itertools.product([0, 1], repeat=10)))[:, :, None]
    every = f1((a + swaps * (b - a)).sum(1)) - f1((b + swaps * (a - b)).sum(1))
    exact = (np.abs(every) >= observed - 1e-12).mean()
    [found] = significance.randomisation(a[None], b, f1)
    assert 0.02 < exact < 0.9
    assert found.p == pytest.approx(exact, abs=0.02)


def test_with_endless_examples_it_is_welchs_t_test():
    generator = np.random.default_rng(2)
    one, other = generator.normal(0.8, 0.02, 4), generator.normal(0.83, 0.05, 6)
    still = [Errors(scores, np.zeros((len(scores), 5)), False) for scores in (one, other)]
    wanted = scipy.stats.ttest_ind(one, other, equal_var=False)
    found = over_seeds.seeds_and_examples(*still)
    assert found.p == pytest.approx(wanted.pvalue)
    ends = wanted.confidence_interval(0.95)
    assert (found.difference - found.half, found.difference + found.half) == pytest.approx((ends.low, ends.high))


def test_with_one_answer_for_all_seeds_it_is_the_paired_test_over_examples():
    generator = np.random.default_rng(3)
    one, other = generator.integers(0, 2, (2, 500))
    samples = [Sample(right(table)[None].repeat(3, 0)) for table in (one, other)]
    [found] = significance.against(samples[1], samples[:1], accuracy, accuracy=True)
    t = scipy.stats.ttest_rel(one, other).statistic
    assert found.method == "seeds and examples"
    assert found.p == pytest.approx(2 * scipy.stats.norm.sf(abs(t)), rel=1e-6)


def test_the_interval_of_two_single_runs_is_the_paired_one_of_wald():
    generator = np.random.default_rng(3)
    one, other = generator.random(200) < 0.8, generator.random(200) < 0.7
    samples = [Sample(right(table)[None]) for table in (one, other)]
    [found] = significance.against(samples[1], samples[:1], accuracy, accuracy=True)
    gains = one.astype(float) - other
    assert found.half == pytest.approx(scipy.stats.norm.ppf(0.975) * gains.std(ddof=1) / 200**0.5, rel=1e-6)
    # two that never differ tell nothing of how they might
    [same] = significance.against(samples[0], samples[:1], accuracy, accuracy=True)
    assert (same.difference, same.p, same.half) == (0, 1, None)


def test_holm_by_hand():
    assert significance.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert significance.holm([]) == []


def draw(generator, sizes, examples=300, seed_spread=0.25, gain=0.0):
    """Right answers of settings ``[runs, examples]``; examples differ in difficulty, seeds in skill, and both meet."""
    hard = generator.normal(1.0, 1.0, examples)
    return [
        right(
            hard + gain * place + generator.normal(0, seed_spread, (runs, 1))
            > generator.logistic(0, 1, (runs, examples))
        )
        for place, runs in enumerate(sizes)
    ]


@pytest.mark.parametrize(
    ("sizes", "spread", "pairs"),
    [
        ((3, 3), 0.25, 300),
        *(
            pytest.param(*case, 4000, marks=pytest.mark.slow)
            for case in [((3, 3), 0.25), ((5, 5), 0.0), ((5, 3), 0.5), ((1, 5), 0.25)]
        ),
    ],
)
def test_one_in_twenty_pairs_of_equal_settings_is_called_different(sizes, spread, pairs):
    generator = np.random.default_rng(7)
    values = []
    for _ in range(pairs):
        one, other = draw(generator, sizes, examples=100 if pairs < 1000 else 300, seed_spread=spread)
        values += [significance.against(Sample(one), [Sample(other)], accuracy, accuracy=True)[0].p]
    rate = np.mean(np.array(values) < 0.05)
    print(f"runs {sizes}, spread of seeds {spread}: {rate:.4f} of {pairs} pairs")
    # four standard errors of a share of 0.05, and what the approximations cost
    assert abs(rate - 0.05) < 4 * np.sqrt(0.05 * 0.95 / pairs) + 0.01


def test_seeds_taken_for_granted_call_too_many_different():
    """Why there is a test over seeds and examples: the mean of each example over seeds, tested over examples."""
    generator = np.random.default_rng(7)
    values = []
    for _ in range(150):
        one, other = (table[..., 1].mean(0) for table in draw(generator, (3, 3)))
        values.append(scipy.stats.ttest_rel(one, other).pvalue)
    rate = np.mean(np.array(values) < 0.05)
    print(f"seeds taken for granted: {rate:.4f} of {len(values)} pairs")
    assert rate > 0.12


def test_one_in_twenty_equal_models_is_called_different_by_f1():
    generator = np.random.default_rng(8)
    values = []
    for _ in range(200):
        gold = generator.random(200) < 0.4
        found = np.where(generator.random((2, 200)) < 0.8, gold, ~gold)
        one, other = hits(found, gold)
        values += [significance.randomisation(one[None], other, f1, shuffles=500)[0].p]
    assert 0.005 < np.mean(np.array(values) < 0.05) < 0.11


@pytest.mark.parametrize("metric", ["matthews", "pearson", "f1"])
def test_the_jackknife_knows_the_spread_over_examples(metric):
    """For any metric: the spread that it tells of one sample is the one seen over many."""
    generator = np.random.default_rng(9)
    scores, told = [], []
    for _ in range(300):
        if metric == "pearson":
            x = generator.normal(size=150)
            counts = KINDS["regression"].counts(x + generator.normal(size=150), x, metric, ())
            function = SUMS["regression", metric]
        else:
            gold = generator.integers(0, 2, 150)
            found = np.where(generator.random(150) < 0.8, gold, 1 - gold)
            counts = KINDS["classification"].counts(found, gold, metric, (0, 1))
            function = SUMS["classification", metric]
        errors = errors_of([Sample(counts[None])], function)[0]
        scores.append(errors.scores[0])
        told.append((errors.influence**2).sum())
    assert np.sqrt(np.mean(told)) == pytest.approx(np.std(scores), rel=0.15)


def test_a_real_difference_is_found():
    generator = np.random.default_rng(10)
    one, other = draw(generator, (5, 5), examples=1000, seed_spread=0.05, gain=0.6)
    [found] = significance.against(Sample(one), [Sample(other)], accuracy, accuracy=True)
    assert found.difference > 0.05
    assert found.p < 0.001


# what the tests assume ----------------------------------------------------------------------------------------------


def settings(generator, sizes, spreads, examples=300, shared=0.0, gain=0.0):
    """Settings ``[runs, examples]``, each with its own spread over seeds, of which a share is common to a seed."""
    hard, common = generator.normal(1.0, 1.0, examples), generator.normal(size=(max(sizes), 1))
    found = []
    for place, (runs, spread) in enumerate(zip(sizes, spreads, strict=True)):
        skill = shared**0.5 * common[:runs] + (1 - shared) ** 0.5 * generator.normal(size=(runs, 1))
        found.append(right(hard + gain * place + spread * skill > generator.logistic(0, 1, (runs, examples))))
    return found


def rate(found, what):
    share = float(np.mean(np.array(found) < 0.05))
    print(f"{what}: {100 * share:.1f} % of {len(found)}")
    return share


def p_of(one, other, texts=None, seeds=True):
    samples = [Sample(table, seeds=tuple(range(len(table))) if seeds else ()) for table in (one, other)]
    return significance.against(samples[0], samples[1:], accuracy, accuracy=True, texts=texts)[0].p


def test_one_run_against_two_has_no_p_and_against_more_it_says_what_it_assumes():
    generator = np.random.default_rng(0)
    one, two, three = settings(generator, (1, 2, 3), (0.2,) * 3)
    samples = [Sample(table, seeds=tuple(range(len(table)))) for table in (one, two, three)]
    first, second = significance.against(samples[0], samples[1:], accuracy, accuracy=True)
    assert (first.p, first.half, first.assumed) == (None, None, False)
    assert first.difference == pytest.approx(two[..., 1].mean() - one[..., 1].mean())
    assert 0 <= second.p <= 1
    assert second.assumed
    # a classical baseline is known not to vary
    fixed = significance.against(samples[1], [Sample(one, fixed=True)], accuracy, accuracy=True)[0]
    assert 0 <= fixed.p <= 1
    assert not fixed.assumed
    several = significance.against(samples[1], samples[2:], accuracy, accuracy=True)[0]
    assert not several.assumed


@pytest.mark.slow
def test_a_single_run_that_varies_more_is_called_different_too_often():
    """Why the assumption stands beside such a p: 3 points of spread against none, on 5,000 test examples."""
    generator = np.random.default_rng(11)
    found = {others: [] for others in (2, 3, 5)}
    for _ in range(1000):
        for others, values in found.items():
            one, several = settings(generator, (1, others), (0.17, 0.0), examples=5000)
            errors = [errors_of([Sample(table)], accuracy)[0] for table in (one, several)]
            # what is not offered for two is computed here all the same
            values.append(over_seeds.seeds_and_examples(*errors).p)
    rates = {others: rate(values, f"1 run of 3 points' spread against {others}") for others, values in found.items()}
    assert rates[3] > 0.15
    assert rates[2] > 0.08


def test_flips_of_signs_are_all_signs_and_mcnemars_test_without_repeats():
    generator = np.random.default_rng(12)
    for _ in range(20):
        gains = generator.integers(-3, 4, 9)
        signs = np.array(list(itertools.product([-1, 1], repeat=9)))
        exact = (np.abs(signs @ np.abs(gains)) >= abs(gains.sum())).mean()
        assert significance._sign_flips(gains) == pytest.approx(exact)
    one, other = generator.integers(0, 2, (2, 80))
    plain = significance.mcnemar(right(one), right(other))
    assert significance._sign_flips(one - other) == pytest.approx(plain.p)
    # three copies of each example say what one says
    texts = np.repeat(np.arange(80), 3)[generator.permutation(240)]
    tripled = [Sample(right(table[texts])[None]) for table in (one, other)]
    [found] = significance.against(tripled[1], tripled[:1], accuracy, accuracy=True, texts=texts)
    assert (found.p, found.method) == (pytest.approx(plain.p), "McNemar by text")
    assert found.difference == pytest.approx(plain.difference)
    [once] = significance.against(Sample(right(other)[None]), [Sample(right(one)[None])], accuracy, accuracy=True)
    assert found.half == pytest.approx(once.half, rel=1e-6)


@pytest.mark.parametrize("pairs", [200, pytest.param(4000, marks=pytest.mark.slow)])
def test_texts_that_stand_there_three_times_are_clusters(pairs):
    generator = np.random.default_rng(13)
    texts, naive, clustered = np.repeat(np.arange(100), 3), [], []
    for _ in range(pairs):
        one, other = (table[:, texts] for table in draw(generator, (1, 1), 100, seed_spread=0.0))
        naive.append(p_of(one, other))
        clustered.append(p_of(one, other, texts))
    assert rate(naive, "McNemar, each text three times, counted as examples") > 0.15
    assert rate(clustered, "the same by text") < 0.05 + 4 * np.sqrt(0.05 * 0.95 / pairs)


def test_texts_are_clusters_for_every_test():
    generator = np.random.default_rng(14)
    one, other = draw(generator, (3, 4), examples=60)
    texts = np.repeat(np.arange(60), 4)
    assert p_of(one[:, texts], other[:, texts], texts) == pytest.approx(p_of(one, other))
    gold = generator.integers(0, 2, 60)
    found = [hits(np.where(generator.random(60) < chance, gold, 1 - gold), gold)[None] for chance in (0.9, 0.7)]
    plain = significance.against(Sample(found[0]), [Sample(found[1])], f1, accuracy=False)[0]
    again = [Sample(table[:, texts]) for table in found]
    assert significance.against(again[0], again[1:], f1, accuracy=False, texts=texts)[0].p == pytest.approx(plain.p)


def test_with_endless_examples_shared_seeds_give_the_paired_t_test():
    generator = np.random.default_rng(15)
    one, other = generator.normal(0.8, 0.02, (2, 5))
    still = [Errors(scores, np.zeros((5, 7)), False) for scores in (one, other)]
    found = over_seeds.paired(*still)
    wanted = scipy.stats.ttest_rel(one, other)
    assert found.p == pytest.approx(wanted.pvalue)
    ends = wanted.confidence_interval(0.95)
    assert (found.difference - found.half, found.difference + found.half) == pytest.approx((ends.low, ends.high))


def test_runs_are_paired_by_their_seeds_and_only_if_all_are_shared():
    generator = np.random.default_rng(16)
    one, other = settings(generator, (3, 3), (0.5, 0.5), shared=0.8)

    def found(seeds):
        return significance.against(
            Sample(one, seeds=(0, 1, 2)), [Sample(other[list(seeds)], seeds=tuple(seeds))], accuracy, accuracy=True
        )[0]

    assert found((0, 1, 2)).method == "paired seeds and examples"
    assert found((2, 0, 1)) == pytest.approx(found((0, 1, 2)))
    third = significance.against(
        Sample(one, seeds=(0, 1, 2)), [Sample(other, seeds=(0, 1, 3))], accuracy, accuracy=True
    )[0]
    assert third.method == "seeds and examples"


@pytest.mark.slow
@pytest.mark.parametrize("shared", [0.0, 0.8])
@pytest.mark.parametrize("runs", [3, 5])
def test_pairing_of_shared_seeds(runs, shared):
    generator = np.random.default_rng(17)
    found = {}
    for gain in (0.0, 0.5):
        paired, unpaired = [], []
        for _ in range(2000):
            one, other = settings(generator, (runs, runs), (0.25, 0.25), examples=1000, shared=shared, gain=gain)
            paired.append(p_of(one, other))
            unpaired.append(p_of(one, other, seeds=False))
        told = (
            f"{runs} and {runs}, {100 * shared:.0f} % of the variance shared, {'other' if gain else 'equal'} settings"
        )
        found[gain] = rate(paired, f"paired, {told}"), rate(unpaired, f"not paired, {told}")
    assert found[0.0][0] < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 2000) + 0.01
    if shared:
        assert found[0.0][1] < found[0.0][0]


@pytest.mark.slow
@pytest.mark.parametrize(("runs", "told"), [(3, 0.49), (5, 0.67), (10, 0.89)])
def test_an_interval_over_few_seeds_does_not_see_a_rare_collapse(runs, told):
    """One run in five collapses: the interval covers the mean about as often as one of its runs did."""
    generator = np.random.default_rng(18)
    covered = []
    for _ in range(4000):
        scores = np.where(generator.random(runs) < 0.2, 0.5, generator.normal(0.9, 0.005, runs))
        found = estimate(scores.tolist())
        covered.append(found.low <= 0.8 * 0.9 + 0.2 * 0.5 <= found.high)
    print(f"{runs} seeds, one run in five collapses: the 95 % interval covers {100 * np.mean(covered):.1f} %")
    assert np.mean(covered) == pytest.approx(told, abs=0.04)
    assert told == pytest.approx(1 - 0.8**runs, abs=0.005)
