"""Kills of what starts runs, or stands beside them: sweeps, searches, baselines, caches, one of two processes."""

import json
import random
import signal
import time

import torch
import yaml
from kills import FIT, STEPS, TWO, Hook, Job, check_equal, lines, output, same, transferlab, write_experiment

AGAIN = 20
"""Starts within which a command has to end well: what a killed one left may still save in its directory."""


def sweeps(root, encoder, quick):
    """Kill -9 of a sweep while its cells train."""
    file = {"experiments": ["mine"], "tasks": ["demo_sentences"], "baselines": ["tfidf"], "seeds": 2 if quick else 3}
    yield from commands("sweep", file, ["--jobs", "2"], encoder, 2 if quick else 6)


def searches(root, encoder, quick):
    """Kill -9 of a search while its trials train."""
    space = {"model.optimizer.lr": {"low": 1.0e-3, "high": 1.0e-2, "step": 3.0e-3}, "model.head.dropout": [0.0, 0.2]}
    for sampler in ["grid"] if quick else ["grid", "random"]:
        file = {"experiment": "mine", "sampler": sampler, "pruner": "none", "trials": 5, "space": space}
        yield from commands("search", file, ["--trials", "5"], encoder, 2 if quick else 6)


def commands(name, file, options, encoder, count):
    """A command that trains several runs, killed while it does and started again at once."""

    def check(place):
        write_experiment(place, encoder, "FullFineTuning", {}, {STEPS: 1, "trainer.max_epochs": 3})
        (place / "experiments").mkdir()
        (place / "mine.yaml").rename(place / "experiments" / "mine.yaml")
        (place / "several.yaml").write_text(yaml.safe_dump(file))

        def command(where):
            winner = ["--winner", f"{where}-winner.yaml"] if name == "search" else []
            return [name, "several.yaml", "--root", where, *options, *winner]

        assert transferlab(place, *command("whole")) == 0, output(place)
        kills = 0
        for _ in range(count):
            kills += killed(place, command("killed"), place / "killed")
        finish(place, command("killed"))
        compare(place / "killed", place / "whole")
        if name == "search":
            winners = [(place / f"{where}-winner.yaml").read_text() for where in ("killed", "whole")]
            assert winners[0] == winners[1]
        return kills

    kind = f", {file['sampler']}" if "sampler" in file else ""
    yield f"{name}{kind}: the command that trains several runs", count, check


def killed(place, command, root):
    """Starts a command, kills it up to a second after one of its runs has written, and says whether it was alive."""
    seen, job = newest(root), Job(place, *command)
    (process,) = job.processes
    while process.is_alive() and newest(root) == seen:
        time.sleep(0.02)
    time.sleep(random.uniform(0, 1))
    process.kill()
    return job.wait() == [-signal.SIGKILL]


def newest(root):
    """When a run last wrote a log or a record."""
    found = [path for name in ("metrics.jsonl", "summary.json") for path in root.glob(f"*/*/{name}")]
    return max((path.stat().st_mtime_ns for path in found if path.exists()), default=0)


def finish(place, command):
    """Starts a command until all is done; a run that a killed one still saves is waited for."""
    for _ in range(AGAIN):
        ended = transferlab(place, *command)
        assert ended in {0, 1, 75}, output(place)
        if ended == 0:
            return
        assert "failed:" not in output(place), output(place)
        time.sleep(1)
    raise AssertionError(f"not done after {AGAIN} starts: {output(place)}")


def compare(root, whole):
    """The same runs as where nothing was killed, and in each the same log, results, predictions and weights."""
    names = [{str(path.parent.relative_to(base)) for path in base.glob("*/*/summary.json")} for base in (root, whole)]
    if any("baseline" in name for name in names[1]):
        assert len(names[1]) > 2
    assert names[0] == names[1]
    for name in names[0]:
        one, other = root / name, whole / name
        summaries = [json.loads((path / "summary.json").read_text()) for path in (one, other)]
        assert [summary["status"] for summary in summaries] == ["finished", "finished"], name
        assert summaries[0]["metrics"] == summaries[1]["metrics"], name
        for path in other.glob("predictions/*.jsonl"):
            assert (one / "predictions" / path.name).read_text() == path.read_text(), path
        if (other / "metrics.jsonl").is_file():
            assert lines(one) == lines(other), name
            best = [torch.load(p / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"] for p in (one, other)]
            assert same(*best), name


def baselines(root, encoder, quick):
    """Kill -9 of a baseline at a random time: it has nothing to resume; the next start is whole, nothing is broken."""
    count = 3 if quick else 10

    def check(place):
        write_experiment(place, encoder, "FullFineTuning")
        command = ("baseline", "--config", "mine.yaml", "--method", "tfidf", "--run.root")
        began = time.perf_counter()
        assert transferlab(place, *command, "whole") == 0, output(place)
        length = time.perf_counter() - began
        kills = 0
        for _ in range(count):
            job = Job(place, *command, "killed")
            time.sleep(random.uniform(0.3, 1) * length)
            job.processes[0].kill()
            kills += job.wait() == [-signal.SIGKILL]
        assert transferlab(place, *command, "killed") == 0, output(place)
        found = [json.loads(path.read_text()) for path in place.glob("killed/*/*/summary.json")]
        (wanted,) = (json.loads(path.read_text()) for path in place.glob("whole/*/*/summary.json"))
        done = [summary for summary in found if summary["status"] == "finished"]
        assert done
        assert all(summary["metrics"] == wanted["metrics"] for summary in done)
        # what was cut off is shown as such and stands in nobody's way
        assert transferlab(place, "compare", "killed") == 0, output(place)
        return kills

    yield "baseline, at a random time", count, check


def caches(root, encoder, quick):
    """Kill -9 while cached features, hidden states or token ids are written: nothing half written is ever read."""

    def check(place, strategy, arguments, hooks):
        # parts of eight examples
        options = {STEPS: 2, "data.init_args.eval_batch_size": 8}
        write_experiment(place, encoder, strategy, arguments, options)
        own = {where: {"TRANSFERLAB_CACHE": str(place / f"cache-{where}")} for where in ("whole", "killed")}
        assert transferlab(place, *FIT, "runs/whole", environment=own["whole"]) == 0, output(place)
        kills = 0
        for hook in hooks:
            kills += transferlab(place, *FIT, "runs/killed", hook=hook, environment=own["killed"]) == -signal.SIGKILL
        assert transferlab(place, *FIT, "runs/killed", environment=own["killed"]) == 0, output(place)
        check_equal(place / "runs" / "killed", place / "runs" / "whole")
        kept = [
            {str(path.relative_to(place / f"cache-{where}")): path.read_bytes() for path in arrays(place, where)}
            for where in ("killed", "whole")
        ]
        assert kept[0]
        assert kept[0] == kept[1]
        return kills

    for name, strategy, arguments, moment in (
        ("features", "FeatureExtraction", {}, "features"),
        ("hidden states", "FullFineTuning", {"top_layers": 1}, "features"),
        ("token ids", "FullFineTuning", {}, "tokens"),
    ):
        hooks = [Hook(number, moment=moment) for number in ((0, 2) if quick else (0, 1, 2, 3, 5))]
        yield (
            f"while cached {name} are written",
            len(hooks),
            lambda place, what=(strategy, arguments, hooks): check(place, *what),
        )


def arrays(place, where):
    """The arrays of a cache."""
    return [path for path in (place / f"cache-{where}").rglob("*.npy") if "outcomes" not in path.parts]


def ranks(root, encoder, quick):
    """Kill -9 of one of two processes after the first checkpoint: the other ends too, and both resume."""
    hooks = [
        Hook(2, rank=1),
        Hook(3, moment="on_train_batch_end", rank=1),
        Hook(3, moment="on_validation_start", rank=0),
        Hook(4, moment="on_validation_end", rank=1),
        Hook(7, moment="on_train_epoch_end", rank=1),
        Hook(9, moment="on_train_batch_end", rank=0),
    ]
    hooks = hooks[::3] if quick else hooks

    def check(place):
        write_experiment(place, encoder, "FullFineTuning", {}, {STEPS: 1, "trainer.max_epochs": 3, **TWO})
        assert Job(place, *FIT, "runs/whole", ranks=2).wait() == [0, 0], output(place)
        kills = 0
        for hook in hooks:
            ended = Job(place, *FIT, "runs/killed", hook=hook, ranks=2).wait()
            assert all(ended), (ended, output(place))
            kills += ended[hook.rank] == -signal.SIGKILL
            assert (place / "runs" / "killed" / "checkpoints" / "last.ckpt").is_file()
            summary = json.loads((place / "runs" / "killed" / "summary.json").read_text())
            assert summary["status"] != "finished"
        assert Job(place, *FIT, "runs/killed", ranks=2).wait() == [0, 0], output(place)
        check_equal(place / "runs" / "killed", place / "runs" / "whole")
        return kills

    yield "one of 2 processes, after the first checkpoint", len(hooks), check


SECTIONS = {function.__name__: function for function in (sweeps, searches, baselines, caches, ranks)}
