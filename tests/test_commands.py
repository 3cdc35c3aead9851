"""The suite of whole commands: that the processes of a command are all counted, and what is said of its results."""

import sys

import numpy as np
import pytest
import torch

from benchmarks import commands, sides, tree

BUSY = "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass"


def python(tmp_path, code, until=""):
    return tree.measure([sys.executable, "-S", "-c", code], tmp_path, {"WORD": "said"}, tmp_path / "log", until)


def test_the_time_of_a_process_that_outlives_its_command_counts(tmp_path):
    left = f"import subprocess, sys; subprocess.Popen([sys.executable, '-S', '-c', {BUSY!r}], start_new_session=True)"
    found = python(tmp_path, f"{left}; import os; print(os.environ['WORD'])")
    assert found["last"] == "said"
    if sys.platform == "linux":
        assert found["cpu_s"] >= 0.4


def test_memory_is_that_of_the_command_and_not_of_who_starts_it(tmp_path):
    held = bytearray(300 * 2**20)
    assert python(tmp_path, "print(1)")["peak_mem_mb"] < 150
    assert python(tmp_path, "x = bytearray(b'1') * (200 * 2**20)")["peak_mem_mb"] > 200
    assert len(held) > 0


def test_a_command_ends_when_what_is_waited_for_is_there(tmp_path):
    code = "import time; open('first', 'w').write('x'); time.sleep(600)"
    assert python(tmp_path, code, f"{tmp_path}/fir*")["wall_s"] < 300


def test_a_command_that_fails_says_why(tmp_path):
    with pytest.raises(tree.Failed, match="no such thing"):
        python(tmp_path, "raise SystemExit('no such thing')")


def test_a_row_tells_median_range_and_scores():
    ours = [{"cpu_s": 10.0, "peak_mem_mb": 500.0, "score": 0.8}, {"cpu_s": 20.0, "peak_mem_mb": 500.0, "score": 0.9}]
    peer = [{"cpu_s": 15.0, "peak_mem_mb": 900.0}, {"cpu_s": 20.0, "peak_mem_mb": 900.0}]
    row = commands.cells("fit_full", {"ours": ours, "peer": peer})
    assert row[2:] == ["1.25×", "1.00–1.50", "15.0 s CPU", "17.5 s CPU", "500 / 900", "85.0 (80.0–90.0)", "–", *row[9:]]
    assert row[-1] == "met"
    assert commands.cells("fit_memory", {"ours": ours, "peer": peer})[2] == "1.80×"
    assert commands.cells("baseline", {"ours": ours, "peer": peer})[-1] == "missed"
    assert commands.cells("baseline", {"ours": [], "peer": []})[-1] == "failed: not measured"


def test_rows_against_today_need_a_checkout(capsys):
    asked = commands.parse(["--rows", "fit_full,compare"])
    assert asked.rows == ["fit_full"]
    assert "--today" in capsys.readouterr().out
    assert commands.parse(["--rows", "fit_full,compare", "--today", "."]).rows == ["fit_full", "compare"]
    with pytest.raises(SystemExit):
        commands.parse(["--rows", "fit_ful"])


def test_every_row_has_two_sides(tmp_path, monkeypatch):
    made = sides.Sides(tmp_path, 8, 4, 4, 5, tmp_path, {"features": tmp_path / "theirs.py"}, "encoder")
    monkeypatch.setattr(sides.Sides, "project", lambda self, *_: tmp_path)
    monkeypatch.setattr(sides.Sides, "data", lambda self, *_: tmp_path)
    writer = sides.Sides.writer
    # the tokenizer of that one comes with a package of its own
    monkeypatch.setattr(
        sides.Sides, "writer", lambda self, shape: tmp_path if "vocabulary" in shape else writer(self, shape)
    )
    for row in sides.CONTESTS:
        if not row.startswith("predict_"):
            ours, peer = made.pair(row)
            assert ours.name == "ours"
            assert peer.command != ours.command or peer.variables != ours.variables
    # a genuine script in the place of ours
    assert str(tmp_path / "theirs.py") in made.pair("fit_frozen")[1].command


def test_questions_have_the_loss_of_run_qa_on_the_same_windows_and_weights(tmp_path):
    from transformers import AutoTokenizer, BertConfig, BertForQuestionAnswering

    from benchmarks.answers import losses
    from tests.conftest import build_tokenizer

    build_tokenizer(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = BertForQuestionAnswering(BertConfig(vocab_size=len(tokenizer), initializer_range=0.5, **sizes))
    contexts = ["Ada met Charles in London. " + "They built an engine. " * length for length in (0, 40)]
    answers = [[{"text": "London", "answer_start": 19}], []]
    found = losses({"question": ["Where?", "Who paid?"], "context": contexts, "answers": answers}, tokenizer, model)
    assert found["windows"] > 2
    assert found["ours"] == pytest.approx(found["theirs"], abs=1e-5)
    # a candidate more makes each softmax smaller
    assert found["theirs_over_all"] > found["theirs"] + 1e-3


def test_a_task_of_one_split_is_divided_by_contexts():
    from benchmarks import rows

    contexts = [f"text {number // 5}" for number in range(50)]
    order = rows._by_context(contexts, np.random.default_rng(0))
    assert sorted(order) == list(range(50))
    assert len(set(contexts[number] for number in order[:10])) == 2
