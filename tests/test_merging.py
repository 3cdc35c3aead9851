"""Runs put together by their weights: formulas by hand, and whole runs."""

from pathlib import Path

import pytest
import torch

from transferlab.encoders import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.learning.heads import HeadConfig
from transferlab.strategies import FeatureExtraction, FullFineTuning, Prompting
from transferlab.tasks import TaskSpec
from transferlab.use.merging import options, vectors
from transferlab.use.merging.command import with_head

BASE = {"w": torch.tensor([1.0, 1.0, 1.0, 1.0]), "ids": torch.tensor([1, 2])}
ONE = vectors.task_vector({"w": torch.tensor([2.0, 1.5, 0.0, 1.1])}, BASE)
OTHER = vectors.task_vector({"w": torch.tensor([0.0, 4.0, 0.5, 1.0])}, BASE)


def values(found: dict[str, torch.Tensor]) -> list[float]:
    return [float(value) for value in found["w"]]


def test_task_vectors_are_added_negated_and_averaged_by_hand() -> None:
    assert values(ONE) == pytest.approx([1.0, 0.5, -1.0, 0.1])
    assert set(ONE) == {"w"}
    assert values(vectors.added([ONE, OTHER], [1, 1], 0.5)) == pytest.approx([0.0, 1.75, -0.75, 0.05])
    assert values(vectors.added([ONE], [1], -1.0)) == pytest.approx([-1.0, -0.5, 1.0, -0.1])
    assert values(vectors.averaged([ONE, OTHER], [3, 1], 1.0)) == pytest.approx([0.5, 1.125, -0.875, 0.075])


def test_ties_trims_elects_and_merges_by_hand() -> None:
    # half of each is kept: (1, 0, -1, 0) and (-1, 3, 0, 0); where the signs cancel nothing is elected
    assert values(vectors.ties([ONE, OTHER], [1, 1], 1.0, keep=0.5)) == pytest.approx([0.0, 3.0, -1.0, 0.0])
    # all is kept: sums (0, 3.5, -1.5, 0.1); means of those that agree
    assert values(vectors.ties([ONE, OTHER], [1, 1], 2.0, keep=1.0)) == pytest.approx([0.0, 3.5, -1.5, 0.2])
    # the first counts twice: the sign of the first place is its own, and it alone is in the mean
    assert values(vectors.ties([ONE, OTHER], [2, 1], 1.0, keep=0.5)) == pytest.approx([1.0, 3.0, -1.0, 0.0])


def test_ties_of_equal_runs_that_keeps_all_is_the_run() -> None:
    assert values(vectors.ties([ONE, ONE], [1, 1], 1.0, keep=1.0)) == pytest.approx(values(ONE))


def test_cosine_of_task_vectors_by_hand() -> None:
    # (-1 + 1.5 + 0.5) / sqrt(2.26 * 10.25)
    assert vectors.cosine(ONE, OTHER) == pytest.approx(1.0 / (2.26 * 10.25) ** 0.5)
    assert vectors.cosine(ONE, {"w": torch.zeros(4)}) == 0.0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["--runs", "a"], "name at least two"),
        (["--runs", "a", "b", "--weights", "1"], "1 for 2 runs"),
        (["--runs", "a", "b", "--method", "ties", "--keep", "0"], "--keep"),
        (["--runs", "a", "b", "--keep", "0.5"], "an option of ties"),
        (["--runs", "a", "b", "--method", "average", "--weights", "1", "-1"], "sum to 0"),
    ],
)
def test_what_cannot_be_merged_is_told_before_anything_is_read(line: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(TransferlabError, match=said):
        options.main([*line, "--root", str(tmp_path)])


def test_the_head_of_a_run_is_kept_and_one_of_another_kind_is_refused(language_folder: Path, tmp_path: Path) -> None:
    encoder = EncoderConfig(str(language_folder))
    task = TaskSpec("mine", "classification", ("bad", "good"), ("accuracy",))
    trained = FullFineTuning(task, encoder)
    with torch.no_grad():
        trained.head.out.weight.fill_(0.25)
    assert with_head(trained, tmp_path).head.out.weight.unique().tolist() == [0.25]
    words = {"bad": ("terrible",), "good": ("great",)}
    nearest = FeatureExtraction(task, encoder, HeadConfig("linear"), solver="knn")
    for other in (Prompting(task, encoder, words=words), nearest):
        with pytest.raises(TransferlabError, match="no head on the vectors"):
            with_head(other, tmp_path)
