"""Kills the real command again and again, and prints a table of how often it went on bit for bit.

``make kill-sweep``, or ``python tests/kill_sweep.py [SECTION ...] [--quick]``. An entry such as 10/10 means that of ten
kills or signals, one after the other in one run, none changed a weight, an optimizer state, a logged number or a batch.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from multiprocessing import forkserver
from pathlib import Path

import kill_commands
import torch
from conftest import build_bert
from kills import (
    CASES,
    FIT,
    STEPS,
    TWO,
    Hook,
    Job,
    batches,
    check_equal,
    output,
    run_case,
    transferlab,
    write_experiment,
)

from transferlab.training import checkpoints


def cases(root, encoder, quick):
    """Kill -9 as a batch begins, for every kind of run."""
    for name, case in CASES.items():
        case = case._replace(batches=case.batches[::4]) if quick else case
        yield name, len(case.batches), lambda place, case=case: run_case(place, encoder, case)


def moments(root, encoder, quick):
    """Kill -9 between a step, its checkpoint, the validation, the end of the epoch and the test."""
    hooks = [
        Hook(2, moment="on_train_batch_end"),
        Hook(6, moment="on_validation_start"),
        Hook(6, moment="on_validation_end"),
        Hook(7, moment="on_train_epoch_end"),
        Hook(9, moment="on_save_checkpoint"),
        Hook(15, moment="on_train_epoch_end"),
        Hook(15, moment="on_train_end"),
        Hook(15, moment="on_test_start"),
    ]
    hooks = hooks[::3] if quick else hooks

    def check(place):
        write_experiment(place, encoder, "FullFineTuning", {}, {STEPS: 2})
        assert transferlab(place, *FIT, "runs/whole") == 0, output(place)
        killed = sum(transferlab(place, *FIT, "runs/killed", hook=hook) == -signal.SIGKILL for hook in hooks)
        assert transferlab(place, *FIT, "runs/killed") == 0, output(place)
        check_equal(place / "runs" / "killed", place / "runs" / "whole")
        return killed

    yield "between step, validation, end of epoch, test", len(hooks), check


def writes(root, encoder, quick):
    """Kill -9 at a random time within the writing of a checkpoint, with TMPDIR on another file system."""
    count, megabytes = (3, 4) if quick else (30, 16)

    def check(place):
        write_experiment(place, encoder, "FullFineTuning", {}, {STEPS: 1, "trainer.max_epochs": 6})
        elsewhere = {"TMPDIR": "/dev/shm"} if Path("/dev/shm").is_dir() else {}
        options = {"ballast": megabytes, "environment": elsewhere}
        began = time.perf_counter()
        assert transferlab(place, *FIT, "runs/whole", **options) == 0, output(place)
        # some hundredths of a second for a checkpoint here; half of the kills are to fall into one
        window = min(0.3, (time.perf_counter() - began) / 60)
        step = 0
        for _ in range(count):
            hook = Hook(step, moment="write", delay=random.uniform(0.001, window))
            ended = transferlab(place, *FIT, "runs/killed", hook=hook, **options)
            assert ended == -signal.SIGKILL, output(place)
            path, damaged = checkpoints.newest(place / "runs" / "killed" / "checkpoints")
            assert not damaged
            if path:
                content = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
                assert (content["ballast"] == content["global_step"]).all()
                step = max(step, content["global_step"])
        assert transferlab(place, *FIT, "runs/killed", **options) == 0, output(place)
        check_equal(place / "runs" / "killed", place / "runs" / "whole")
        return count

    yield f"while {megabytes} MB are written, TMPDIR elsewhere", count, check


def damage(root, encoder, quick):
    """The newest checkpoint damaged: the one before is taken; all damaged: refused."""
    kinds = {
        "truncated": lambda content: content[: len(content) // 2],
        "empty": lambda content: b"",
        "a bit flipped": lambda content: content[:4000] + bytes([content[4000] ^ 1]) + content[4001:],
    }

    def spoil(path, kind):
        path.write_bytes(kinds[kind](path.read_bytes()))

    def check(place, kind):
        write_experiment(place, encoder, "FullFineTuning", {}, {STEPS: 2})
        assert transferlab(place, *FIT, "runs/whole") == 0, output(place)
        folder = place / "runs" / "killed"
        assert transferlab(place, *FIT, "runs/killed", hook=Hook(6)) == -signal.SIGKILL
        spoil(folder / "checkpoints" / "last.ckpt", kind)
        assert transferlab(place, *FIT, "runs/killed", hook=Hook(9)) == -signal.SIGKILL
        kept = {path: path.read_bytes() for path in (folder / "checkpoints").glob("*.ckpt")}
        for name in ("last.ckpt", "previous.ckpt"):
            spoil(folder / "checkpoints" / name, kind)
        assert transferlab(place, *FIT, "runs/killed") == 2, output(place)
        assert "no other checkpoint to resume from" in output(place)
        for path, content in kept.items():
            path.write_bytes(content)
        assert transferlab(place, *FIT, "runs/killed") == 0, output(place)
        check_equal(folder, place / "runs" / "whole")
        return 2

    for kind in list(kinds)[-1:] if quick else kinds:
        yield f"checkpoint {kind}", 2, lambda place, kind=kind: check(place, kind)


def signals(root, encoder, quick):
    """A signal at a random time to a random one of two processes: no step is lost or repeated, all end with 75."""
    count = 2 if quick else 20
    shared = root / "signals"
    shared.mkdir()
    options = {STEPS: 50, "trainer.max_epochs": 10 if quick else 60, "early_stopping.patience": 1000, **TWO}

    def check(number):
        if not (shared / "runs").exists():
            write_experiment(shared, encoder, "FullFineTuning", {}, options)
            assert Job(shared, *FIT, "runs/whole", ranks=2).wait(3000) == [0, 0], output(shared)
        folder = shared / "runs" / number.name
        path = shared / f"batches-runs-{number.name}.jsonl"
        path.touch()
        sent = 0
        for _ in range(count):
            seen, job = path.stat().st_size, Job(shared, *FIT, f"runs/{number.name}", ranks=2)
            while path.stat().st_size == seen and any(process.is_alive() for process in job.processes):
                time.sleep(0.02)
            time.sleep(random.uniform(0, 0.5))
            os.kill(random.choice(job.processes).pid, number)
            ended = job.wait()
            sent += 1
            assert ended == [75, 75], (ended, output(shared))
        assert Job(shared, *FIT, f"runs/{number.name}", ranks=2).wait(3000) == [0, 0], output(shared)
        check_equal(folder, shared / "runs" / "whole")
        assert all(len(begun) == 1 for begun in batches(folder).values()), "a step was repeated"
        return sent

    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT):
        yield f"{number.name} to one of 2 processes", count, lambda place, number=number: check(number)


SECTIONS = {function.__name__: function for function in (cases, moments, writes, damage, signals)}
SECTIONS |= kill_commands.SECTIONS


def spent():
    """CPU seconds of all starts so far."""
    path = Path(f"/proc/{forkserver._forkserver._forkserver_pid}/stat")
    if not path.exists():
        return 0.0
    return sum(map(int, path.read_text().rpartition(")")[2].split()[11:15])) / os.sysconf("SC_CLK_TCK")


def main():
    """Prints a table; status 1 if anything was not as in the run that was left alone."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS) + "; all without one")
    parser.add_argument("--quick", action="store_true", help="fewer kills")
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="NAME", help="rows whose names begin with one of these"
    )
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    random.seed(0)
    missed = 0
    print("| Run | Killed or signalled | Exact | CPU s | Wall s |\n| --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ |= {"TRANSFERLAB_CACHE": str(root / "cache"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        encoder = build_bert(root / "tiny")
        for section in options.sections or SECTIONS:
            for number, (name, wanted, check) in enumerate(SECTIONS[section](root, encoder, options.quick)):
                if not name.startswith(tuple(options.only)):
                    continue
                place, began, cpu, reason = root / f"{section}{number}", time.perf_counter(), spent(), ""
                place.mkdir()
                try:
                    done = check(place)
                    exact = f"{done}/{done}"
                except AssertionError as error:
                    done, exact, reason = wanted, "no", str(error)
                missed += exact == "no"
                wall = time.perf_counter() - began
                print(f"| {name} | {done} | {exact} | {spent() - cpu:.1f} | {wall:.0f} |", flush=True)
                if reason:
                    print(reason[-3000:], file=sys.stderr, flush=True)
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
