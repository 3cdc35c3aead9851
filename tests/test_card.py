import json

import pytest

from transferlab.analysis.comparison import card
from transferlab.ground.errors import TransferlabError

huggingface_hub = pytest.importorskip("huggingface_hub")

CONFIG = """
seed_everything: {seed}
data: {{init_args: {{task: {task}}}}}
encoder: {{name: sentence-transformers/all-MiniLM-L6-v2}}
"""


def add(root, seed, score=0.9, strategy="lora", status="finished", **changes):
    folder = root / f"{strategy}_sst2" / f"s{seed}"
    folder.mkdir(parents=True)
    summary = {
        "experiment": f"{strategy}_sst2",
        "run": folder.name,
        "strategy": strategy,
        "seed": seed,
        "setting": strategy,
        "task": "sst2",
        "kind": "classification",
        "labels": ["negative", "positive"],
        "primary": "accuracy",
        "encoder": "all-MiniLM-L6-v2",
        "protocol": "holdout",
        "data": {"origin": "Hub", "version": "v1", "train_examples": 100, "test": ["validation"], "max_length": 128},
        "params": {"trainable": 10, "total": 1000, "trainable_pct": 1.0},
        "metrics": {"val/accuracy": 0.8, "test/accuracy": score},
        "perf": {"wall_s": 10.0 + seed},
        "test": {"latency_ms": 5.0, "collapsed": False, "not_finite": 0},
        "status": status,
        **changes,
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "config.yaml").write_text(CONFIG.format(seed=seed, task="sst2"))
    return folder


def test_a_card_tells_the_mean_over_seeds_in_text_and_metadata(tmp_path, capsys):
    folders = [add(tmp_path, seed, score) for seed, score in enumerate((0.8, 0.9, 1.0))]
    add(tmp_path, 0, 0.95, strategy="tfidf", encoder="-")
    card.main(["--run", str(folders[1])])
    assert "README.md" in capsys.readouterr().out
    found = huggingface_hub.ModelCard.load(folders[1] / "README.md")
    [result] = found.data.eval_results
    assert (result.metric_type, result.metric_value) == ("accuracy", pytest.approx(0.9))
    assert (result.dataset_type, result.dataset_config, result.dataset_split) == ("nyu-mll/glue", "sst2", "validation")
    assert found.data.base_model == "sentence-transformers/all-MiniLM-L6-v2"
    assert found.data.pipeline_tag == "text-classification"
    # mean, standard deviation, t interval by hand: 0.9 ± 4.3027 * 0.1 / sqrt(3)
    assert "| accuracy | 0.9000 ± 0.1000 | 0.6516 to 1.1484 | 3 | 0.9000 |" in found.text
    assert "| time of the run, s | 11.0 |" in found.text
    assert "below a baseline without any encoder: tfidf" in found.text
    card.main(["--run", str(folders[1])])  # its own file is written anew


def test_a_single_seed_and_a_failed_run_are_limits(tmp_path):
    folder = add(tmp_path, 0, protocol="official")
    add(tmp_path, 1, protocol="official", status="failed", metrics={})
    text = card.card(folder)
    assert "A single seed" in text
    assert "seed 1: failed" in text
    assert "so the result is too good" in text


def test_what_cannot_have_a_card_says_why(tmp_path):
    folder = add(tmp_path, 0, status="running", metrics={})
    with pytest.raises(TransferlabError, match="not finished"):
        card.main(["--run", str(folder)])
    other = add(tmp_path, 1)
    (other / "README.md").write_text("mine")
    with pytest.raises(TransferlabError, match="not written by this command"):
        card.main(["--run", str(other)])
    assert (other / "README.md").read_text() == "mine"
    with pytest.raises(TransferlabError, match="no run"):
        card.main(["--run", "nothing", "--root", str(tmp_path)])
