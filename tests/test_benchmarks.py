"""The benchmarks on a tiny encoder: figures that follow from others, and that every side of a comparison trains."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import build_bert, demo_words
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, BertModel
from transformers.trainer_utils import PredictionOutput

from benchmarks import bench, flops, gpu, ours, peers, scaling, starts, steps, table
from benchmarks.generated import LENGTHS, GeneratedData, draw_lengths, make_split
from benchmarks.measure import Job
from benchmarks.rows import read_facts, write_rows
from benchmarks.sides import Sides
from benchmarks.works import WORKS, Start, Work

ROOT = Path(__file__).parents[1]


# the FLOP model ---------------------------------------------------------------------------------------------------------


def tiny_bert(**options):
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    return BertModel(BertConfig(vocab_size=30, **sizes, **options), add_pooling_layer=False)


def test_training_flops_are_those_that_torch_counts():
    model = tiny_bert(attn_implementation="eager")
    rows, length = 3, 7
    with FlopCounterMode(display=False) as counted:
        model(torch.randint(0, 30, (rows, length))).last_hidden_state.sum().backward()
    assert flops.training_flops([length] * rows, flops.matrix_parameters(model), 2, 16) == counted.get_total_flops()


def test_training_flops_of_bert_base_per_token():
    matrices = 12 * (4 * 768 * 768 + 2 * 768 * 3072)
    per_token = flops.training_flops([128], matrices, 12, 768) / 128
    assert per_token == 6 * matrices + 12 * 12 * 768 * 128
    assert per_token == pytest.approx(524e6, rel=1e-3)


def test_peak_rate_is_measured():
    assert flops.peak_rate(torch.device("cpu"), torch.float32, size=64, seconds=0.01) > 0


def test_arithmetic_of_each_strategy():
    point = scaling.Point("lora", layers=4, epochs=3)
    cost = {
        name: scaling.arithmetic(point._replace(strategy=name), lambda layers: 10.0 * layers, lambda layers: layers)
        for name in scaling.STRATEGIES
    }
    assert cost == {
        "feature_extraction": 40,
        "top_layer": 30 + 3 * 3 * 10,
        "lora": 3 * (80 + 4),
        "full_finetuning": 3 * 3 * 40,
        "distillation": 40 + 3 * 3 * 20,
    }


# generated rows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LENGTHS)
def test_generated_lengths_have_the_mean_of_the_task(name):
    lengths = draw_lengths(LENGTHS[name], 5000, seed=1)
    assert lengths.mean() == pytest.approx(LENGTHS[name].mean, rel=0.01)
    assert lengths.min() >= 3
    assert lengths.max() <= LENGTHS[name].longest


def test_generated_rows_are_batches_like_any_other(tiny_encoder):
    lengths = draw_lengths(LENGTHS["sst2"], 200, seed=0)
    data = GeneratedData(tiny_encoder, make_split(lengths, 60, seed=0), batch_size=10)
    data.setup("fit")
    batches = list(data.train_dataloader())
    seen = np.concatenate([batch.index.numpy() for batch in batches])
    assert sorted(seen) == list(range(136))
    assert all((batch.attention_mask.sum(1).numpy() == lengths[batch.index.numpy()]).all() for batch in batches)


# the table --------------------------------------------------------------------------------------------------------------

WORK = Work("LoRA", "HF Trainer + peft", "lora", "lora", least=2.5, aim=4)


def measured(cpu, score=0.9, wall=1.0):
    return {"cpu_s": cpu, "wall_s": wall, "peak_mem_mb": 100.0, "score": score}


def summary(ours_s, peer_s, ours_score=0.9, peer_score=0.9):
    record = {"ours": [measured(s, ours_score) for s in ours_s], "peer": [measured(s, peer_score) for s in peer_s]}
    return table.summarise(WORK, record)


@pytest.mark.parametrize(
    ("peer_s", "verdict"),
    [(9.0, "aim met"), (6.0, "met"), (3.0, "missed"), (1.0, "lost")],
)
def test_verdict(peer_s, verdict):
    assert summary([2.0], [peer_s]).verdict == verdict


def test_a_ratio_is_the_median_of_the_seeds_with_its_spread():
    line = summary([1.0, 2.0, 1.0], [3.0, 10.0, 4.0])
    assert (line.value, line.low, line.high) == (4.0, 3.0, 5.0)
    assert table.cells(line)[2:4] == ["4.00×", "3.00–5.00"]


def test_speed_at_the_cost_of_accuracy_is_missed():
    assert summary([1.0, 1.0], [9.0, 9.0], 0.85, 0.90).verdict == "missed: less accurate"
    assert summary([1.0, 1.0], [9.0, 9.0], 0.897, 0.90).verdict == "aim met"
    # not to be told from one seed
    assert summary([1.0], [9.0], 0.85, 0.90).verdict == "aim met"


def test_a_lost_and_a_failed_row_stay_in_the_table():
    failed = [table.summarise(WORK, record) for record in ({"error": "no such file"}, {"ours": [], "peer": []})]
    lines = [summary([2.0], [1.0]), *failed]
    text = table.markdown(table.HEADINGS, [table.cells(line) for line in lines])
    assert "| 0.50× |" in text
    assert "| lost |" in text
    assert "| failed: no such file |" in text
    assert "| failed: not measured |" in text


def test_a_start_is_measured_in_seconds():
    start = Start("help", "no torch import", 0.3, 0.1)
    assert table.summarise(start, {"ours": [{"wall_s": 0.2}, {"wall_s": 0.05}, {"wall_s": 0.2}]}).verdict == "met"
    torch_line = table.summarise(start, {"ours": [{"wall_s": 0.2, "torch": True}]})
    assert torch_line.verdict == "missed: imports torch"
    assert table.cells(torch_line)[2] == "0.200 s"


def test_picture(tmp_path):
    pytest.importorskip("matplotlib")
    assert table.draw([summary([2.0], [1.0]), summary([1.0, 1.0], [3.0, 4.0])], tmp_path / "ratios.png")
    assert 0 < (tmp_path / "ratios.png").stat().st_size < 100_000


def test_results_go_between_the_marks_of_the_documentation(tmp_path):
    document = tmp_path / "performance.md"
    document.write_text("a\n<!-- bench:cpu -->\nold \\1\n<!-- /bench:cpu -->\nb\n")
    table.paste(document, "bench:cpu", "new \\1\n")
    assert document.read_text() == "a\n<!-- bench:cpu -->\nnew \\1\n<!-- /bench:cpu -->\nb\n"
    with pytest.raises(ValueError, match="bench:gpu"):
        table.paste(document, "bench:gpu", "")


@pytest.mark.parametrize("marker", ["bench:cpu", "bench:gpu", "bench:scaling"])
def test_the_documentation_has_a_place_for_results(marker):
    text = (ROOT / "docs" / "performance.md").read_text()
    assert f"<!-- {marker} -->\n" in text
    assert f"<!-- /{marker} -->" in text


def test_results_are_shown_again(tmp_path, capsys):
    results = {
        "environment": {"processor": "a processor", "cores": 2, "python": "3.11", "packages": {"torch": "2"}},
        "settings": {"seeds": 1},
        "rows": {"lora": {"ours": [measured(2.0)], "peer": [measured(1.0)]}},
    }
    (tmp_path / "cpu.json").write_text(json.dumps(results))
    bench.main(["--report", str(tmp_path / "cpu.json"), "--out", str(tmp_path)])
    assert "lost" in capsys.readouterr().out
    assert "a processor" in (tmp_path / "cpu.md").read_text()


def test_every_target_has_a_row():
    assert len(WORKS) == 15
    assert all(work.least <= work.aim for work in WORKS.values() if isinstance(work, Work))


FACTS = {"kind": "classification", "metric": "accuracy", "text": ["text"], "label": "label", "labels": ["a", "b"]}


def test_ten_heads_against_ten_commands_and_ten_scripts(tmp_path):
    sides = Sides(tmp_path, 24, 16, 10, 10, tmp_path / "older", {}, "encoder")
    sides.data = lambda task: tmp_path
    (tmp_path / "task.json").write_text(json.dumps(FACTS))
    for row, words in {"ten_heads_plain": "benchmarks.scripts.features", "ten_heads_today": "transferlab"}.items():
        one, ten = sides.pair(row)
        assert one.command[2:7] == ("transferlab", "seeds", "bench_frozen", "--seeds", "10")
        commands = [ten.command, *ten.rest]
        assert [command[2] for command in commands] == [words] * 10
        assert [command[command.index(key) + 1] for command in commands for key in command if "seed" in key] == [
            str(seed) for seed in range(10)
        ]
    assert ten.variables["PYTHONPATH"] == str(tmp_path / "older" / "src")


# both sides -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Rows of two generated tasks, and an encoder that is exported like the packaged one."""
    folder = tmp_path_factory.mktemp("bench")
    write_rows("demo_sentences", folder / "sentences", train=24, evaluate=16)
    write_rows("demo_entities", folder / "entities", train=24, evaluate=16)
    build_bert(folder / "encoder", words=demo_words())
    return folder


def job(places, variant, tmp_path, data="sentences", **options):
    return Job(variant, str(places / data), str(tmp_path), str(places / "encoder"), batch_size=8, **options)


@pytest.fixture(scope="module")
def teacher(places, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    done = ours.fit(job(places, "teacher", folder, lr=1e-3))
    # a run tells its further processes where it is; the next run in this process is another one
    os.environ.pop("TRANSFERLAB_RUN_DIR")
    return done["run"]


def test_rows_of_a_comparison_are_disjoint(places):
    import datasets

    facts = read_facts(places / "sentences")
    assert (facts["task"], facts["metric"], facts["examples"]) == ("demo_sentences", "accuracy", 24)
    rows = {
        split: datasets.Dataset.from_parquet(str(places / "sentences" / f"{split}.parquet"))["text"][:]
        for split in ("train", "validation", "test")
    }
    assert [len(texts) for texts in rows.values()] == [24, 4, 16]
    assert not set(rows["train"]) & set(rows["validation"])


@pytest.mark.parametrize("variant", ["full", "full_padded", "full_grouped", "frozen", "lora"])
def test_each_peer_trains(places, tmp_path, variant):
    done = peers.fit(job(places, variant, tmp_path, precision="bf16"))
    assert done["cpu_s"] > 0
    assert 0 <= done["score"] <= 1
    assert done["examples"] == 24


def test_a_peer_tags(places, tmp_path):
    done = peers.fit(job(places, "full", tmp_path, data="entities"))
    assert 0 <= done["score"] <= 1


class Oracle:
    """Stands for a Trainer that finds given classes."""

    def __init__(self, labels, change):
        classes = np.where(labels < 0, 0, labels)
        for place in change:
            classes[place] = 0
        self.found = PredictionOutput(np.eye(9)[classes], labels, {})
        self.args = SimpleNamespace()

    def predict(self, rows):
        return self.found


def test_a_peer_is_scored_by_whole_entities():
    facts = {"kind": "tagging", "labels": ["O", "B-X", "I-X", "B-Y"]}
    # first pieces of two sentences: [X X] O [Y] and O [Y]; pieces behind the first and padding carry -100
    labels = np.array([[-100, 1, -100, 2, 0, 3], [-100, 0, 3, -100, -100, -100]])
    assert peers.score(Oracle(labels, change=[]), None, facts) == 1
    # with half of the first entity found: 2 right, 3 gold, 3 found
    assert peers.score(Oracle(labels, change=[(0, 3)]), None, facts) == pytest.approx(2 * 2 / (3 + 3))


def test_a_peer_labels_the_first_piece_of_each_word(places, tmp_path):
    import datasets

    tokenizer = AutoTokenizer.from_pretrained(places / "encoder")
    words = datasets.Dataset.from_parquet(str(places / "entities" / "train.parquet"))
    rows = peers.tokenised(job(places, "full", tmp_path, data="entities"), peers.VARIANTS["full"], tokenizer)
    for row, source in zip(rows["train"], words, strict=True):
        assert [label for label in row["labels"] if label >= 0] == source["tags"]
        assert len(row["labels"]) == len(row["input_ids"])


@pytest.mark.parametrize(("variant", "data"), [("full", "sentences"), ("full", "entities"), ("frozen", "sentences")])
def test_ours_trains_on_the_same_rows(places, tmp_path, variant, data):
    done = ours.fit(job(places, variant, tmp_path, data=data, epochs=2))
    assert done["cpu_s"] > 0
    assert (done["epochs"], done["examples"]) == (2, 24)
    assert 0 <= done["score"] <= 1


def test_steps_of_fit_and_of_a_bare_loop_are_timed(places, tmp_path):
    # four of the six batches warm up
    measured = steps.repeat(replace(job(places, "full", tmp_path), batch_size=4))
    assert measured.keys() == {"fit", "bare", "padded", "packed"}
    assert all(value > 0 for value in measured.values())


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["top_layer", "top_layer_uncached", "lora"])
def test_our_other_variants_train(places, tmp_path, variant):
    assert ours.fit(job(places, variant, tmp_path))["epochs"] == 1


@pytest.mark.parametrize("side", [ours, peers])
def test_distillation_trains_on_both_sides(places, tmp_path, teacher, side):
    done = side.fit(job(places, "distillation", tmp_path, teacher=teacher, keep_layers=(1,)))
    assert 0 <= done["score"] <= 1


def test_both_sides_predict_the_same(places, tmp_path, teacher):
    found = [side.predict(job(places, "predict", tmp_path, teacher=teacher)) for side in (ours, peers)]
    assert found[0]["score"] == found[1]["score"]
    assert found[0]["examples"] == found[1]["examples"] == 16


def test_the_exported_model_gives_the_same_logits(teacher):
    from transferlab.strategies.teacher import restore
    from transferlab.tasks import Batch

    run = Path(teacher)
    own = restore(run)
    exported = AutoModelForSequenceClassification.from_pretrained(run.parents[2] / "exported").eval()
    ids = torch.tensor([[2, 30, 31, 3], [2, 40, 3, 0]])
    mask = (ids > 0).long()
    with torch.no_grad():
        theirs = exported(input_ids=ids, attention_mask=mask).logits
        torch.testing.assert_close(own(Batch(ids, mask, None, torch.arange(2))), theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_bench_goes_on_behind_a_row_that_fails(places, tmp_path, capsys, monkeypatch):
    rows = {"good": replace(WORKS["lora"], task="demo_sentences"), "bad": replace(WORKS["lora"], ours="no such")}
    monkeypatch.setattr(bench, "WORKS", rows)
    options = ["--quick", "--examples", "24", "--encoder", str(places / "encoder"), "--out", str(tmp_path / "out")]
    bench.main([*options, "--rows", "bad", "good"])
    results = json.loads((tmp_path / "out" / "cpu.json").read_text())["rows"]
    assert results["bad"]["error"]
    assert results["good"]["ours"][0]["cpu_s"] > 0
    assert "failed" in capsys.readouterr().out


# starts -----------------------------------------------------------------------------------------------------------------


def test_a_command_is_seen_to_import_torch():
    assert starts.time_command(("{python}", "-c", "import json"))["torch"] is False
    with pytest.raises(RuntimeError, match="ValueError: no"):
        starts.time_command(("{python}", "-c", "raise ValueError('no')"))


@pytest.mark.parametrize("name", ["help", "make_help", "make_list", "make_compare"])
def test_commands_answer_without_torch(name):
    assert starts.time_command(WORKS[name].command)["torch"] is False


@pytest.mark.slow
def test_second_start(places):
    done = starts.second_start(str(places / "sentences"), str(places / "encoder"))
    assert done["wall_s"] > 0


# GPU and scaling --------------------------------------------------------------------------------------------------------

BLOCKED = """
import importlib.metadata as metadata, sys
blocked, version = {"datasets", "wandb", "jsonargparse"}, metadata.version
def without(name):
    if name in blocked:
        raise metadata.PackageNotFoundError(name)
    return version(name)
metadata.version = without
sys.modules.update(dict.fromkeys(blocked))
from benchmarks.gpu import main
main(sys.argv[1:])
"""


def test_throughput_needs_neither_data_nor_command_line(tmp_path):
    options = ["--accelerator", "cpu", "--model", "tiny", "--lengths", "sst2", "--budget", "256", "--quick"]
    options += ["--warmup", "1", "--steps", "2", "--out", str(tmp_path)]
    options += ["--variants", "HF Trainer, group_by_length", "ours, bucketed"]
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, *options],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (path,) = tmp_path.glob("*.json")
    results = json.loads(path.read_text())
    for record in results["rows"]["sst2"].values():
        assert "error" not in record
        assert record["runs"][0]["tokens_s"] > 0
        # of the rate of a product that is timed too: beside other work the step may be the faster of both
        assert record["runs"][0]["mfu"] > 0


def test_throughput_table_shows_what_lost_and_what_failed():
    def runs(speed, mfu):
        return {"runs": [{"tokens_s": speed, "step_ms": 1.0, "mfu": mfu, "peak_mem_mb": 1.0}]}

    rows = {gpu.PEER: runs(100.0, 0.3), "slow": runs(50.0, 0.1), "fast": runs(160.0, 0.45), "none": {"error": "no"}}
    verdicts = [cells[-1] for cells in gpu.rows_of({"rows": {"sst2": rows}})]
    assert verdicts == ["", "lost", "met", "failed: no"]


def test_scaling_study_from_fixed_points(tmp_path):
    found = []
    for point in scaling.points(("lora",), {axis: values[:3] for axis, values in scaling.AXES.items()}):
        cost = {"cpu_s": point.rows * point.epochs / 100, "peak_mem_mb": 10.0, "floor_mb": 5.0}
        found.append({"point": point._asdict(), **cost, "flops": 1e9, "peak": 1e9})
    (cells,) = scaling.study({"points": found})
    assert cells[3:7] == ["1.00", "0.00", "0.00", "1.00"]
    pytest.importorskip("matplotlib")
    assert scaling.draw({"points": found}, tmp_path / "scaling.png")


@pytest.mark.slow
@pytest.mark.parametrize("name", scaling.STRATEGIES)
def test_each_strategy_of_the_scaling_study_trains(name):
    done = scaling.measure(scaling.Point(name, rows=32, length=8, layers=2, epochs=1))
    assert done["flops"] > 0
    assert done["peak_mem_mb"] > done["floor_mb"] / 2


def test_the_loss_of_texts_is_that_of_run_summarization():
    import torch

    from benchmarks.summaries import losses
    from transferlab.encoders import EncoderConfig, build_encoder
    from transferlab.encoders.loading import load_tokenizer

    config = EncoderConfig("embedded/t5", architecture="random")
    torch.manual_seed(0)
    model = build_encoder(config, writes=True).backbone
    rows = {
        "input": ["3 March 2021", "7", "the 1st of June 2020"],
        "target": ["2021-03-03", "x", "2020-06-01 more"],
    }
    told = losses(rows, load_tokenizer(config), model)
    assert told["rows"] == 3
    assert told["ours"] == pytest.approx(told["theirs"], abs=1e-6)


def test_keys_of_all_arms_do_not_undo_an_arm(tmp_path: Path) -> None:
    from argparse import Namespace

    from benchmarks.choices import CHOICES, cell, run

    options = Namespace(
        choice="steady",
        strategy=None,
        examples=9,
        test=None,
        holdout=0.1,
        output=tmp_path,
        key=["--trainer.max_epochs=10"],
    )
    folder, command = cell("sst2", CHOICES["steady"], "twice as long", 0, options)
    assert [key for key in command if "max_epochs" in key][-1] == "--trainer.max_epochs=20"
    # a finished run with other keys is not taken for this one
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text('{"status": "finished"}')
    (folder.parent / "0.json").write_text('["fit"]')
    with pytest.raises(SystemExit, match="other keys"):
        run("sst2", CHOICES["steady"], "twice as long", 0, options)
