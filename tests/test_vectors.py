"""Static word vectors: files as GloVe, word2vec and fastText write them, means by hand, a whole baseline."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from transferlab.baselines import main
from transferlab.baselines.vectors import WordVectors, read_vectors
from transferlab.ground.errors import TransferlabError
from transferlab.tasks.spec import TaskSpec

GLOVE = "good 1 2\nbad -1 0.5\n. . . 9 9\ngood 7 7\nGood 3 4\n"


def file(folder: Path, text: str, name: str = "glove.txt") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_glove_word2vec_and_compressed_files_give_the_same_vectors(tmp_path: Path) -> None:
    packed = tmp_path / "cc.vec.gz"
    packed.write_bytes(gzip.compress(("5 2\n" + GLOVE.replace("\n", " \n")).encode()))
    for path in (file(tmp_path, GLOVE), file(tmp_path, f"5 2\n{GLOVE}", "w2v.vec"), packed):
        found = read_vectors(path, {"good", "bad", ". . .", "nowhere"})
        # of a word that stands there twice the first; "Good" was not asked for
        assert {word: vector.tolist() for word, vector in found.items()} == {
            **{"good": [1.0, 2.0], "bad": [-1.0, 0.5], ". . .": [9.0, 9.0]}
        }


@pytest.mark.parametrize(
    ("text", "said"),
    [("a 1 2\nb 3\n", "line 2 has 1 numbers, not 2"), ("a 1 2\nb x 3\n", "line 2 holds"), ("a\n", "no numbers")],
)
def test_a_damaged_file_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(TransferlabError, match=said):
        read_vectors(file(tmp_path, text), {"a", "b"})


def test_means_leave_out_unknown_words_and_prefer_the_word_as_written(tmp_path: Path) -> None:
    task = TaskSpec("t", "classification", ("a", "b"), ("accuracy",))
    method = WordVectors(task, 0)
    method.vectors, method.path = read_vectors(file(tmp_path, GLOVE), {"good", "Good", "bad"}), tmp_path
    # BAD as bad, Good as written
    assert method._mean("Good BAD nowhere").tolist() == pytest.approx([1.0, 2.25])
    assert method._mean("nowhere").tolist() == [0.0, 0.0]
    part = type("Part", (), {"columns": (["good"], ["bad"])})
    one, other = np.array([1.0, 2.0]), np.array([-1.0, 0.5])
    # the cosine of opposite halves: (-1 + 1) / ...
    assert method._features(part)[0].tolist() == pytest.approx([*one, *other, 2.0, 1.5, -1.0, 1.0, 0.0])


def test_a_baseline_of_vectors_is_a_run_whose_setting_is_the_content_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["--data.task", "demo_sentences", "--method", "vectors"]
    with pytest.raises(TransferlabError, match="--vectors FILE"):
        main(line)
    with pytest.raises(TransferlabError, match="no such file: nowhere.txt"):
        main([*line, "--vectors", "nowhere.txt"])
    words = ("the", "was", "a", "and", "I", "it", "is", "very", "not", "this")
    generator = np.random.default_rng(0)
    rows = [f"{word} {' '.join(f'{x:.3f}' for x in generator.normal(size=4))}" for word in words]
    one, other = file(tmp_path, "\n".join(rows), "one.txt"), file(tmp_path, "\n".join(rows[:-1]), "other.txt")
    same = file(tmp_path, "\n".join(rows), "same.txt")
    settings = {}
    for path in (one, other, same):
        main([*line, "--vectors", str(path), "--run.root", path.stem])
        summary = json.loads(next(Path(path.stem).glob("*/*/summary.json")).read_text())
        settings[path.stem] = summary["setting"]
        assert summary["status"] == "finished"
        assert summary["strategy"] == f"vectors_{path.stem}_logreg"
    assert settings["one"] == settings["same"] != settings["other"]
