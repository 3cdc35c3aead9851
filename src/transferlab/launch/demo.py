"""``transferlab demo``: what transfer gains, on a generated task, with nothing from the network."""

import os
import subprocess
import sys
import time

from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError
from transferlab.ground.progress import PART

TASK = "demo_sentences"
STRATEGIES = (
    "feature_extraction",
    "full_finetuning",
    "lora",
    "adapter",
    "distillation",
    "distillation_no_teacher",
    "from_scratch",
)


def main(arguments: list[str]) -> None:
    """Runs every strategy and the baselines one after the other, then prints the comparison and writes the report.

    Raises:
        TransferlabError: One of the runs failed.
    """
    parser = Parser("transferlab demo", description="Every strategy on a generated task.", allow_abbrev=False)
    parser.add_argument("--task", default=TASK, help="demo_sentences, demo_pairs, demo_entities or demo_topics")
    parser.add_argument("--root", default="runs", help="folder that holds all runs")
    options, rest = parser.parse_known_args(arguments)
    started = time.monotonic()
    steps = len(STRATEGIES) + 1
    print(f"{steps} steps: {len(STRATEGIES)} strategies on {options.task}, then methods without an encoder.")
    for number, strategy in enumerate(STRATEGIES, start=1):
        print(f"\n=== {number}/{steps} {strategy} on {options.task}{_left(started, number - 1, steps)}", flush=True)
        _run("fit", "--experiment", f"{strategy}_{options.task}", "--run.root", options.root, *rest)
    print(f"\n=== {steps}/{steps} baselines on {options.task}", flush=True)
    _run("baseline", "--config", f"configs/task/{options.task}.yaml", "--run.root", options.root)
    print(f"\nAll runs took {time.monotonic() - started:.0f} s.\n", flush=True)
    _run("compare", options.root, "--task", options.task)
    _run("report", options.root, "--task", options.task)
    if options.task == TASK:
        print(
            "\nThe test sentences use words that the training sentences never have. A pretrained encoder knows them; "
            "random weights (from_scratch) and counts of words (TF-IDF, NB-SVM) can only guess, so they stay near 0.5."
        )
    print("Next: your own data, docs/own_data.md; a task of the field, transferlab fit --experiment lora_sst2.")


def _left(started: float, done: int, steps: int) -> str:
    """What is left, from the mean time of a step so far; nothing before the first one is done."""
    if not done:
        return ""
    minutes = (time.monotonic() - started) / done * (steps - done) / 60
    return f" (about {minutes:.0f} min left)" if minutes >= 1 else " (less than a minute left)"


def _run(*arguments: str) -> None:
    # one thread: on matrices as small as these more of them gain little, and on a busy machine they lose much
    environment = {"OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", **os.environ, PART: "demo"}
    done = subprocess.run([sys.executable, "-m", "transferlab", *arguments], env=environment, check=False)
    if done.returncode:
        raise TransferlabError(f"demo: `transferlab {' '.join(arguments)}` ended with exit code {done.returncode}.")
