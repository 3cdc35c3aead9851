"""Static word vectors: files as GloVe, word2vec and fastText write them, means by hand, a whole baseline."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from transferlab.baselines import main
from transferlab.baselines.vectors import WordVectors
from transferlab.encoders import EncoderConfig, build_encoder, load_tokenizer
from transferlab.encoders.content import content_of
from transferlab.encoders.static import read_vectors
from transferlab.ground.errors import TransferlabError
from transferlab.pretraining import vectors_options
from transferlab.strategies import FromScratch
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


def test_static_vectors_are_the_embeddings_of_a_bilstm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    file(tmp_path, "3 2\ngood 1 2\nbad -1 0.5\n. 3 5\n", "w.vec")
    file(tmp_path, "Good food.\nBAD, not good\n", "texts.txt")
    vectors_options.main(["w.vec", "--texts", "texts.txt", "--output", "made"])
    facts = json.loads((tmp_path / "made" / "vectors.json").read_text())
    # Good food . BAD , not good: "food", "," and "not" are unknown
    assert [facts[key] for key in ("words", "as_written", "in_lower_case", "unknown")] == [7, 2, 2, 3]
    assert facts["unknown_share"] == pytest.approx(3 / 7)
    assert "3, 42.9 % of all words in the texts" in " ".join(capsys.readouterr().out.split())
    config = EncoderConfig("made", architecture="bilstm", lstm_size=3)
    encoder, tokenizer = build_encoder(config), load_tokenizer(config)
    embeddings = encoder.backbone.get_input_embeddings().weight  # type: ignore[operator, union-attr]
    ids = tokenizer("Good bad food.")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", "Good", "[UNK]", "[UNK]", ".", "[SEP]"]
    ids = tokenizer("good BAD food.", "x")["input_ids"]
    # an unknown word has the mean of those of Good, ., BAD and good
    mean = [(1 + 3 - 1 + 1) / 4, (2 + 5 + 0.5 + 2) / 4]
    assert embeddings[ids].tolist() == [[0, 0], [1, 2], [-1, 0.5], mean, [3, 5], [0, 0], mean, [0, 0]]
    tokens = encoder(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.long))
    assert tokens.shape == (1, 8, 6)
    assert config.label == "bilstm-3-made"
    # other vectors are another encoder by content
    file(tmp_path, "3 2\ngood 1 2\nbad -1 0.6\n. 3 5\n", "w.vec")
    vectors_options.main(["w.vec", "--texts", "texts.txt", "--output", "other"])
    assert content_of(replace(config, name="other")).weights != encoder.content.weights != ""
    task = TaskSpec("t", "classification", ("a", "b"), ("accuracy",))
    for build in (lambda: FromScratch(task, config), lambda: build_encoder(EncoderConfig("made"))):
        with pytest.raises(TransferlabError, match="made holds static word vectors"):
            build()
    with pytest.raises(TransferlabError, match="is there already"):
        vectors_options.main(["w.vec", "--texts", "texts.txt", "--output", "made"])
