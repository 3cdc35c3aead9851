"""`transferlab plan`: what recorded runs say of so many labels and minutes; and how many seeds decide a number."""

import json
import math
import subprocess
import sys

import pytest
from scipy import stats

from transferlab.analysis.claims import power
from transferlab.analysis.claims.effects import Effect, mean
from transferlab.analysis.planning import command
from transferlab.analysis.planning.choose import plan
from transferlab.ground.errors import TransferlabError


def run(strategy, seed, score, size=100, seconds=60.0, **changes):
    return {
        "experiment": f"{strategy}_sst2",
        "run": f"{strategy}-{size}-{seed}",
        "folder": f"runs/{strategy}/{seed}",
        "task": "sst2",
        "kind": "classification",
        "labels": ["bad", "good"],
        "strategy": strategy,
        "seed": seed,
        "primary": "accuracy",
        "protocol": "holdout",
        "encoder": "small",
        "setting": f"{strategy}-{size}",
        "data": {"version": "1", "train_examples": size},
        "test": {"examples": 50},
        "metrics": {"test/accuracy": score},
        "perf": {"wall_s": seconds},
        "status": "finished",
    } | changes


def runs():
    """The best; one about as good at a tenth of its time; one that is worse; one with other labels; a baseline."""
    found = []
    for seed, (best, close, worse) in enumerate([(0.80, 0.79, 0.60), (0.82, 0.82, 0.61), (0.84, 0.82, 0.65)]):
        found += [run("full_finetuning", seed, best, seconds=300), run("lora", seed, close, seconds=30)]
        found += [run("bitfit", seed, worse, seconds=20), run("adapter", seed, 0.9, size=1000)]
        found += [run("majority", seed, 0.5, seconds=0.1, encoder="-"), run("tfidf", seed, 0.55, 100, 0.5, encoder="-")]
    return [*found, run("lora", 3, None, status="failed")]


def test_the_cheapest_of_those_that_are_about_as_good_comes_first():
    found = plan(runs(), "sst2", 100, 600, ["lora", "adapter", "bitfit", "full_finetuning", "prompting"])
    assert (found.task, found.metric, found.labels) == ("sst2", "accuracy", 100)
    assert [one.strategy for one in found.order] == ["lora", "full_finetuning", "bitfit", "tfidf"]
    assert [one.strategy for one in found.options][:2] == ["full_finetuning", "lora"]
    lora, full = found.order[:2]
    assert full.behind is None
    assert lora.behind.mean == pytest.approx(-0.01)
    assert (lora.score.n, lora.failed, lora.runs, full.runs) == (3, 1, 20, 2)
    assert lora.experiment == "lora_sst2"
    assert found.order[-1].experiment == ""
    limits = "\n".join(found.limits)
    assert "adapter was run with 1,000 labels only" in limits
    assert "never run on this test: prompting" in limits
    assert "seeds: 3 at least" in limits


def test_where_less_is_better_the_smallest_error_leads():
    errors = {"full_finetuning": (0.30, 0.31, 0.32), "lora": (0.32, 0.30, 0.33), "bitfit": (0.50, 0.51, 0.55)}
    seconds = {"full_finetuning": 300, "lora": 30, "bitfit": 20}
    found = [
        run(name, seed, None, seconds=seconds[name], primary="mse", metrics={"test/mse": error})
        for name, seeds in errors.items()
        for seed, error in enumerate(seeds)
    ]
    assert [one.strategy for one in plan(found, "sst2", 100, 600, []).options] == list(errors)
    assert [one.strategy for one in plan(found, "sst2", 100, 600, []).order] == ["lora", "full_finetuning", "bitfit"]


def test_a_budget_leaves_out_what_takes_longer():
    assert [one.strategy for one in plan(runs(), "sst2", 100, 25, []).order] == ["bitfit", "tfidf"]
    # lora first, since the best has no room
    assert plan(runs(), "sst2", 100, 60, []).order[0].strategy == "lora"
    with pytest.raises(TransferlabError, match="no room|room for no run"):
        plan([one for one in runs() if one["encoder"] != "-"], "sst2", 100, 5, [])


def test_the_nearest_number_of_labels_is_taken_and_told():
    found = plan(runs(), "sst2", 30, 600, [])
    assert found.labels == 100
    assert "the nearest number of labels with runs is 100" in found.limits[0]
    # one strategy alone ranks nothing
    assert plan(runs(), "sst2", 1000, 600, []).labels == 100
    with pytest.raises(TransferlabError, match=r"no finished run of 'sst' \(did you mean 'sst2'\?\)"):
        plan(runs(), "sst", 100, 600, [])


def test_runs_on_another_test_are_not_mixed_in():
    other = [run("ia3", seed, 0.99, test={"examples": 10}) for seed in range(3)]
    assert "ia3" not in {one.strategy for one in plan([*runs(), *other], "sst2", 100, 600, []).options}


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10min", 600), ("10 minutes", 600), ("1.5h", 5400), ("5", 300), ("1d", 86400)]
)
def test_times(text, seconds):
    assert command.seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["soon", "0min", "1.2.3h", "-5min", ""])
def test_what_is_no_time(text):
    with pytest.raises(TransferlabError, match="--budget: .* is no time"):
        command.seconds_of(text)


def test_the_command_reads_a_folder_of_runs_and_imports_no_torch(tmp_path):
    for one in runs():
        folder = tmp_path / "runs" / one["strategy"] / one["run"]
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text(json.dumps(one))
    code = (
        "import sys; from transferlab.analysis.planning.command import main; main(sys.argv[1:]); "
        "print([m for m in ('torch', 'transformers', 'scipy') if m in sys.modules])"
    )
    asked = ["--task", "sst2", "--labels", "100", "--budget", "10min"]
    done = subprocess.run(
        [sys.executable, "-c", code, *asked], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "Try first: lora, the cheapest of those that are about as good as the best" in done.stdout
    assert "transferlab fit --experiment lora_sst2 --data.train_examples 100" in done.stdout
    assert "in runs/" in done.stdout
    assert done.stdout.rstrip().endswith("[]")


# power ----------------------------------------------------------------------------------------------------------------


def power_of(n, effect):
    """Of a two-sided paired t test at 5 %, by the noncentral t distribution."""
    at = stats.t.ppf(0.975, n - 1)
    return 1 - stats.nct.cdf(at, n - 1, effect * math.sqrt(n))


@pytest.mark.parametrize("effect", [0.3, 0.5, 1.0])
def test_so_many_seeds_decide_with_a_power_of_80_percent(effect):
    values = [effect + shift * math.sqrt(3 / 2) for shift in (-1, 0, 0, 1)]
    found = mean(values)
    assert stats.tstd(values) == pytest.approx(1)
    needed = power.seeds_needed(found, 0.0)
    assert power_of(needed, effect) > 0.79
    assert power_of(needed - 2, effect) < 0.8
    assert needed == {0.3: 90, 0.5: 34, 1.0: 10}[effect]
    # the same on the other side of a threshold
    assert power.seeds_needed(mean([2 - value for value in values]), 2.0) == needed


def test_ratios_are_told_by_their_logarithms():
    logs = mean([0.5, 1.0, 1.5])
    ratio = Effect(*map(math.exp, logs[:3]), 3)
    assert power.seeds_needed(ratio, 1.0, ratio=True) == power.seeds_needed(logs, 0.0)


def test_what_no_number_of_seeds_can_be_told_for():
    for effect in (Effect(1, None, None, 1), Effect(1, 0, 2, 3, ">="), Effect(1, 1, 1, 5), Effect(1, 0, math.inf, 3)):
        assert power.seeds_needed(effect, 0.0) is None
    far = power.seeds_needed(Effect(1e-4, -1, 1, 3), 0.0)
    assert power.told(far) == "over 1,000"
    assert power.told(None) == ""
    assert power.told(14) == "14"
