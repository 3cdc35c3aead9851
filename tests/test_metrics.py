import warnings
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from conftest import HANGS
from scipy import stats
from seqeval.metrics import classification_report, f1_score
from seqeval.scheme import IOB2
from sklearn import metrics as sk

from transferlab.ground.errors import TransferlabError
from transferlab.learning.metrics import build_metrics
from transferlab.learning.scores import SpanF1
from transferlab.tasks.iob import is_valid_transition
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.spec import TaskSpec

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-MISC", "I-MISC")
TAGGING = TaskSpec("ner", "tagging", TAGS, ("f1", "precision", "recall"))
BINARY = TaskSpec("mrpc", "classification", ("no", "yes"), ("f1", "accuracy", "matthews", "f1_macro"))
MULTI = TaskSpec("topics", "classification", ("a", "b", "c", "d"), ("f1_macro", "accuracy", "matthews"))
REGRESSION = TaskSpec("stsb", "regression", (), ("spearman", "pearson", "mse"))


def values(metrics):
    return {name: value.item() for name, value in metrics.compute().items()}


def sentences(seed, count=40, valid=False, lengths=(1, 15)):
    """Guesses that are often right, truths, as padded class numbers."""
    rng = np.random.default_rng(seed)
    guess, truth = np.full((2, count, lengths[1]), -100)
    for row in range(count):
        length = rng.integers(*lengths)
        truth[row, :length] = draw(rng, length, valid)
        guess[row, :length] = np.where(rng.random() < 0.5, truth[row, :length], draw(rng, length, valid))
    return torch.as_tensor(guess.clip(0)), torch.as_tensor(truth)  # what stands at padding must not matter


def draw(rng, length, valid):
    chosen = []
    while len(chosen) < length:
        label = int(rng.integers(len(TAGS)))
        if not valid or is_valid_transition(TAGS[chosen[-1]] if chosen else None, TAGS[label]):
            chosen.append(label)
    return chosen


def as_tags(guess, truth):
    real = truth != -100
    return tuple(
        [[TAGS[y] for y in row[keep].tolist()] for row, keep in zip(part, real, strict=True)] for part in (guess, truth)
    )


def conlleval_counts(guess, truth):
    """conlleval's own loop: one stream, a chunk is right if both sides open and close it together."""
    right, found, wanted = defaultdict(int), defaultdict(int), defaultdict(int)
    last, inside = [("O", ""), ("O", "")], False

    def opens(before, now):
        return now[0] == "B" or (now[0] == "I" and (before[0] == "O" or before[1] != now[1]))

    def closes(before, now):
        return before[0] != "O" and (now[0] != "I" or before[1] != now[1])

    stream = [
        pair for rows in zip(guess, truth, strict=True) for pair in [*zip(*rows, strict=True), ("O", "O")]
    ]  # a blank line reads as O
    for pair in stream:
        now = [tag.partition("-")[::2] for tag in pair]
        ends = [closes(*step) for step in zip(last, now, strict=True)]
        starts = [opens(*step) for step in zip(last, now, strict=True)]
        if inside:
            if all(ends) and last[0][1] == last[1][1]:
                inside = False
                right[last[1][1]] += 1
            elif ends[0] != ends[1] or now[0][1] != now[1][1]:
                inside = False
        if all(starts) and now[0][1] == now[1][1]:
            inside = True
        found[now[0][1]] += starts[0]
        wanted[now[1][1]] += starts[1]
        last = now
    return right, found, wanted


@pytest.mark.parametrize("valid", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_spans_equal_conlleval(seed, valid):
    guess, truth = sentences(seed, valid=valid)
    right, found, wanted = conlleval_counts(*as_tags(guess, truth))
    metric = SpanF1(TAGS)
    metric.update(guess, truth)
    assert metric.types == ("PER", "LOC", "MISC")
    assert metric.tp.tolist() == [right[kind] for kind in metric.types]
    assert (metric.tp + metric.fp).tolist() == [found[kind] for kind in metric.types]
    assert (metric.tp + metric.fn).tolist() == [wanted[kind] for kind in metric.types]
    precision, recall = (sum(right.values()) / sum(total.values()) for total in (found, wanted))
    expected = {"f1": 2 * precision * recall / (precision + recall), "precision": precision, "recall": recall}
    assert {name: value.item() for name, value in metric.compute().items()} == pytest.approx(expected, rel=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("mode", ["default on anything", "strict on valid"])
def test_spans_equal_seqeval(mode):
    strict = mode == "strict on valid"
    guess, truth = sentences(7, valid=strict)
    tags_guess, tags_truth = as_tags(guess, truth)
    options = {"mode": "strict", "scheme": IOB2} if strict else {}
    metrics = build_metrics(TAGGING)
    metrics.update(guess, truth)
    report = classification_report(tags_truth, tags_guess, output_dict=True, **options)
    scores = metrics.compute()
    for ours, theirs in (("f1", "f1-score"), ("precision", "precision"), ("recall", "recall")):
        assert scores[ours].item() == pytest.approx(report["micro avg"][theirs], rel=1e-6)
        for kind, row in metrics.per_type().items():
            assert row[ours] == pytest.approx(report[kind][theirs], rel=1e-6)
            assert row["support"] == report[kind]["support"]


def test_seqeval_strict_departs_from_conlleval_on_anything():
    guess, truth = as_tags(*sentences(7))
    assert f1_score(truth, guess, mode="strict", scheme=IOB2) != f1_score(truth, guess)


def test_spans_undefined_is_zero():
    metrics = build_metrics(TAGGING)
    metrics.update(torch.zeros(2, 3, dtype=torch.long), torch.tensor([[0, 0, -100], [0, -100, -100]]))
    assert values(metrics) == {"f1": 0, "precision": 0, "recall": 0}
    assert metrics.per_type()["PER"] == {"precision": 0, "recall": 0, "f1": 0, "support": 0}


def test_words_cut_by_truncation_count_as_missed():
    metrics = build_metrics(TAGGING)
    metrics.update(torch.tensor([[1, 2, 0, 0]]), torch.tensor([[1, 2, 3, 4]]))  # the last two arrive as O
    assert values(metrics) == pytest.approx({"f1": 2 / 3, "precision": 1, "recall": 0.5})


def test_span_shapes_must_agree():
    with pytest.raises(ValueError, match="differ in shape"):
        SpanF1(TAGS).update(torch.zeros(2, 3).long(), torch.zeros(2, 4).long())


@pytest.mark.parametrize("task", [BINARY, MULTI])
def test_classification_equals_sklearn(task):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, task.outputs, 200)
    logits = rng.normal(size=(200, task.outputs)) + 1.5 * np.eye(task.outputs)[labels]
    metrics = build_metrics(task)
    metrics.update(torch.as_tensor(logits).bfloat16(), torch.as_tensor(labels))
    guess = torch.as_tensor(logits).bfloat16().argmax(-1).numpy()
    expected = {
        "accuracy": sk.accuracy_score(labels, guess),
        "f1_macro": sk.f1_score(labels, guess, average="macro"),
        "matthews": sk.matthews_corrcoef(labels, guess),
    }
    if task is BINARY:
        expected["f1"] = sk.f1_score(labels, guess, pos_label=1)
    assert values(metrics) == pytest.approx(expected, rel=1e-5)
    assert tuple(metrics.compute()) == task.metrics


@pytest.mark.filterwarnings("ignore:A single label was found")
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("wrong", [0, 1, 300])
def test_matthews_of_a_collapsed_model_is_zero(classes, wrong):
    labels = torch.ones(1000, dtype=torch.long)
    labels[:wrong] = 0
    guess = torch.ones(1000, dtype=torch.long)
    metrics = build_metrics(TaskSpec("cola", "classification", tuple("abc"[:classes]), ("matthews",)))
    metrics.update(torch.eye(classes)[guess], labels)
    assert values(metrics)["matthews"] == sk.matthews_corrcoef(labels, guess) == 0


def test_macro_f1_leaves_absent_classes_out_as_sklearn_does():
    labels, guess = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 1, 1, 1])
    metrics = build_metrics(MULTI)
    metrics.update(torch.eye(4)[guess], labels)
    assert values(metrics)["f1_macro"] == pytest.approx(sk.f1_score(labels, guess, average="macro"))


def test_regression_equals_scipy():
    rng = np.random.default_rng(0)
    labels = (rng.random(300) * 5).round(1)  # with ties, as in STS-B
    guess = (labels + rng.normal(size=300)).astype(np.float32)
    metrics = build_metrics(REGRESSION)
    for part in np.array_split(np.arange(300), 7):
        metrics.update(torch.as_tensor(guess[part]), torch.as_tensor(labels[part]))
    expected = {
        "pearson": stats.pearsonr(guess, labels).statistic,
        "spearman": stats.spearmanr(guess, labels).statistic,
        "mse": sk.mean_squared_error(labels, guess),
    }
    assert values(metrics) == pytest.approx(expected, rel=1e-5)
    assert tuple(metrics.compute()) == REGRESSION.metrics


@pytest.mark.parametrize("constant", [0.0, 0.1, 3.3, -1000.7, 1e-20])
@pytest.mark.parametrize("batch", [1, 7, 200])
def test_constant_predictions_have_no_correlation_and_make_no_noise(constant, batch):
    labels = torch.randn(200, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for pair in ((torch.full((200,), constant), labels), (labels, torch.full((200,), constant))):
            metrics = build_metrics(REGRESSION)
            for guess, truth in zip(*(part.split(batch) for part in pair), strict=True):
                metrics.update(guess, truth)
            scores = values(metrics)
            assert (scores["pearson"], scores["spearman"]) == (0.0, 0.0)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_tiny_sets(size):
    guess, labels = torch.tensor([1.0, 3.0, 2.0])[:size], torch.tensor([2.0, 5.0, 3.0])[:size]
    metrics = build_metrics(REGRESSION)
    metrics.update(guess, labels)
    expected = 0.0 if size == 1 else stats.pearsonr(guess.numpy(), labels.numpy()).statistic
    assert values(metrics)["pearson"] == pytest.approx(expected, rel=1e-5)
    assert values(metrics)["spearman"] == pytest.approx(min(size - 1, 1))


def test_pearson_stands_an_outlier():
    guess = torch.randn(10_000, generator=torch.Generator().manual_seed(0)) * 1e-3
    guess[0] = 5.0
    metrics = build_metrics(REGRESSION)
    metrics.update(guess, guess)
    assert values(metrics)["pearson"] == pytest.approx(1.0)


def test_broken_predictions_are_not_hidden():
    metrics = build_metrics(REGRESSION)
    metrics.update(torch.tensor([1.0, float("nan"), 2.0]), torch.tensor([1.0, 2.0, 3.0]))
    assert all(np.isnan(value) for value in values(metrics).values())


def batch_of(task, seed, count):
    if task.kind == "tagging":
        return sentences(seed, count)
    generator = torch.Generator().manual_seed(seed)
    if task.kind == "regression":
        labels = torch.rand(count, generator=generator).sort().values * 5  # so that ranks differ in mean
        return labels + torch.randn(count, generator=generator), labels
    labels = torch.randint(task.outputs, (count,), generator=generator)
    return torch.randn(count, task.outputs, generator=generator), labels


@pytest.mark.parametrize("task", [TAGGING, BINARY, MULTI, REGRESSION], ids=lambda task: task.name)
def test_batches_accumulate_and_reset_forgets(task):
    logits, labels = batch_of(task, 3, 50)
    whole, parts = build_metrics(task), build_metrics(task)
    whole.update(logits, labels)
    for start, end in ((0, 1), (1, 20), (20, 20), (20, 50)):  # an empty batch among them
        parts.update(logits[start:end], labels[start:end])
    assert values(parts) == pytest.approx(values(whole), rel=1e-5)
    parts.reset()
    parts.update(logits[:9], labels[:9])
    whole.reset()
    whole.update(logits[:9], labels[:9])
    assert values(parts) == values(whole)


def test_states_stay_out_of_checkpoints_and_keep_their_precision():
    metrics = build_metrics(REGRESSION).half()
    assert metrics.state_dict() == {}
    logits, labels = batch_of(REGRESSION, 0, 50)
    metrics.update(logits, labels)
    assert values(metrics)["mse"] == pytest.approx(sk.mean_squared_error(labels, logits), rel=1e-5)


def test_no_data_is_zero_not_an_error():
    for task in (TAGGING, BINARY):
        with pytest.warns(UserWarning, match="before the ``update``"):
            assert set(values(build_metrics(task)).values()) == {0.0}


def test_per_type_is_for_tagging():
    assert build_metrics(BINARY).per_type() == {}


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("classification", "acuracy", "did you mean 'accuracy'.*known: accuracy, f1, f1_macro, matthews"),
        ("classification", "pearson", "known: accuracy"),
        ("regression", "f1", "known: pearson, spearman, mse"),
        ("tagging", "accuracy", "known: f1, precision, recall"),
        ("classification", "f1", "use 'f1_macro'"),
    ],
)
def test_unknown_metrics_are_refused(kind, name, message):
    labels = {"classification": ("a", "b", "c"), "regression": (), "tagging": TAGS}[kind]
    with pytest.raises(TransferlabError, match=message):
        build_metrics(TaskSpec("mine", kind, labels, (name,)))


DDP_TASKS = (TAGGING, BINARY, REGRESSION)
SHARES = {  # case to rank to slices of 50 examples
    "uneven": (((0, 7),), ((7, 20), (20, 50))),
    "second rank has nothing": (((0, 1), (1, 30), (30, 50)), ()),
}


def scores_of_rank(rank, prepare=lambda metric: None):
    """Case and task to metrics and metrics per type, as one rank sees them."""
    scores = {}
    for case, shares in SHARES.items():
        for task in DDP_TASKS:
            logits, labels = batch_of(task, 5, 50)
            metrics = build_metrics(task)
            for metric in metrics.members.values():
                prepare(metric)
            for start, end in shares[rank]:
                metrics.update(logits[start:end], labels[start:end])
            scores[case, task.name] = values(metrics), metrics.per_type()
    return scores


def assert_ranks_agree_with_one_process(ranks):
    for task in DDP_TASKS:
        metrics = build_metrics(task)
        metrics.update(*batch_of(task, 5, 50))
        for case in SHARES:
            for scores, per_type in (rank[case, task.name] for rank in ranks):
                assert scores == pytest.approx(values(metrics), rel=1e-5), (task.name, case)
                assert per_type == metrics.per_type()


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_two_ranks_agree_with_one_process():
    """Two threads stand for the ranks and swap their states; see the slow test for real processes."""
    barrier, posted = Barrier(2, timeout=HANGS), [None, None]

    def gather(rank, state):
        posted[rank] = state
        barrier.wait()
        both = list(posted)
        barrier.wait()
        return both

    def connect(rank, metric):
        metric.distributed_available_fn = lambda: True
        metric.dist_sync_fn = lambda state, group=None: gather(rank, state)

    with ThreadPoolExecutor(2) as pool:
        ranks = list(pool.map(lambda rank: scores_of_rank(rank, partial(connect, rank)), range(2)))
    assert_ranks_agree_with_one_process(ranks)


def ddp_worker(rank, address, results):
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    torch.save(scores_of_rank(rank), f"{results}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_agree_with_one(tmp_path):
    mp.spawn(ddp_worker, (f"file://{tmp_path}/store", str(tmp_path)), nprocs=2)
    assert_ranks_agree_with_one_process([torch.load(tmp_path / f"{rank}.pt") for rank in range(2)])


def test_the_report_by_class_is_that_of_sklearn():
    rng = np.random.default_rng(0)
    # "d" is never predicted, "e" never right
    gold, found = rng.choice(list("abcd"), 60).tolist(), rng.choice(list("abce"), 60).tolist()
    report = KINDS["classification"].per_label("abcde", gold, found)
    columns = sk.precision_recall_fscore_support(gold, found, labels=list("abcde"), zero_division=0)
    for name, *wanted in zip("abcde", *columns, strict=True):
        assert [report[name][key] for key in ("precision", "recall", "f1", "support")] == wanted
