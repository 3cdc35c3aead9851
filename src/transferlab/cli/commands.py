"""All commands: what runs them, and what they are for."""

from collections.abc import Sequence
from typing import NamedTuple


class Command(NamedTuple):
    """A command.

    Attributes:
        name: The word behind ``transferlab``.
        usage: What follows it, most often.
        text: One line for the list of commands.
        target: ``module:function`` that takes the rest of the command line; empty for those that train.
        loads: Whether it imports torch, so that its names are checked before.
        keys: Whether it takes the keys of an experiment, each of which has a help page.
    """

    name: str
    usage: str
    text: str
    target: str = ""
    loads: bool = False
    keys: bool = False


TRAIN, USE, COMPARE, WATCH, SETUP = "Train", "Use a trained model", "Compare", "Watch", "Set up"
GROUPS: dict[str, tuple[Command, ...]] = {
    TRAIN: (
        Command("fit", "--experiment NAME", "train, select the best checkpoint, test it", keys=True),
        Command(
            "pretrain",
            "NAME",
            "an encoder on unlabelled text",
            "transferlab.pretraining.options:main",
            loads=True,
        ),
        Command(
            "vectors",
            "FILE --tasks NAME",
            "static word vectors as an encoder, for a BiLSTM",
            "transferlab.pretraining.vectors_options:main",
            loads=True,
        ),
        Command(
            "multitask",
            "NAME",
            "one encoder on several tasks at once",
            "transferlab.several.options:main",
            loads=True,
        ),
        Command(
            "sequence",
            "NAME --method ewc",
            "tasks one after the other, what is forgotten",
            "transferlab.several.sequence_options:main",
            loads=True,
        ),
        Command("sweep", "NAME", "a grid of runs, configs/sweep/NAME.yaml", "transferlab.launch.sweeps.command:main"),
        Command(
            "seeds", "NAME --seeds 5", "one experiment with several seeds", "transferlab.launch.sweeps.command:seeds"
        ),
        Command(
            "search",
            "NAME",
            "hyperparameter search, configs/search/NAME.yaml",
            "transferlab.launch.search.command:main",
        ),
        Command(
            "submit",
            "--experiment NAME",
            "fit as a job of Slurm; --seeds 5: as an array",
            "transferlab.launch.cluster.command:main",
        ),
        Command(
            "demo",
            "",
            "strategies on a small generated task, compared",
            "transferlab.launch.demo:main",
        ),
    ),
    USE: (
        Command("predict", "--run RUN INPUT", "predict the rows of a file with a run", keys=True),
        Command("test", "--run RUN", "test a finished run again", keys=True),
        Command("validate", "--run RUN", "its metrics on the validation set", keys=True),
        Command(
            "export",
            "--run RUN",
            "a folder that others load: ONNX, peft ...",
            "transferlab.use.export.options:main",
            loads=True,
        ),
        Command(
            "explain",
            "--run RUN INPUT",
            "which words an answer comes from: page and JSON",
            "transferlab.use.explanation.options:main",
            loads=True,
        ),
        Command(
            "drift",
            "--run RUN INPUT",
            "whether new texts are like those of validation",
            "transferlab.use.drift.options:main",
            loads=True,
        ),
        Command(
            "extract",
            "--ner RUN ...",
            "entities of texts and the relations between them",
            "transferlab.use.extraction.options:main",
            loads=True,
        ),
        Command("serve", "EXPORT|RUN", "answer new texts over HTTP", "transferlab.use.serving.options:main"),
        Command(
            "robustness",
            "--run RUN",
            "typos, case, synonyms, names: what changes",
            "transferlab.use.robustness.options:main",
            loads=True,
        ),
        Command(
            "quantise",
            "--run RUN",
            "int8 or float16, with what it costs",
            "transferlab.use.quantising.options:main",
            loads=True,
        ),
        Command(
            "prune",
            "--run RUN --heads 25%",
            "drop the attention heads that matter least",
            "transferlab.use.pruning.options:main",
            loads=True,
        ),
        Command(
            "update",
            "--run RUN --data NEW",
            "train on with new examples and replayed ones",
            "transferlab.use.update.options:main",
            loads=True,
        ),
        Command(
            "selftrain",
            "--run RUN POOL",
            "learn from unlabelled texts that it is sure of",
            "transferlab.use.selftraining.options:main",
            loads=True,
        ),
        Command(
            "select",
            "--run RUN POOL",
            "which texts to label next: active learning",
            "transferlab.use.active.options:main",
            loads=True,
        ),
        Command(
            "merge",
            "--runs RUN RUN ...",
            "one encoder from runs, by their weights",
            "transferlab.use.merging.options:main",
            loads=True,
        ),
        Command("card", "--run RUN", "model card of a run", "transferlab.analysis.comparison.card:main"),
        Command(
            "submission",
            "RUN [RUN ...]",
            "zip file for the GLUE server",
            "transferlab.use.submission:main",
        ),
        Command(
            "forgetting",
            "--run RUN",
            "what the tuned encoder still knows",
            "transferlab.use.forgetting.command:main",
            loads=True,
        ),
    ),
    COMPARE: (
        Command(
            "rank-encoders",
            "--task TASK",
            "which encoder suits a task, untuned",
            "transferlab.use.ranking.options:main",
            loads=True,
        ),
        Command(
            "plan",
            "--task TASK ...",
            "what to try first with so many labels and minutes",
            "transferlab.analysis.planning.command:main",
        ),
        Command(
            "compare",
            "[RUNS]",
            "table of all settings with significance tests",
            "transferlab.analysis.comparison.command:main",
        ),
        Command(
            "report",
            "[RUNS]",
            "one HTML file on all runs",
            "transferlab.analysis.page.command:main",
        ),
        Command(
            "baseline",
            "--experiment NAME",
            "methods without an encoder, same examples",
            "transferlab.baselines:main",
            keys=True,
        ),
        Command(
            "curve",
            "[RUNS] --task TASK",
            "quality over the number of labels",
            "transferlab.analysis.comparison.curve:main",
        ),
        Command(
            "claims",
            "[--claim NAME]",
            "the field's claims against the runs",
            "transferlab.analysis.claims.command:main",
        ),
    ),
    WATCH: (
        Command("watch", "RUN", "terminal dashboard of a run, also while it trains", "transferlab.tracking.watch:main"),
        Command(
            "dashboard",
            "[RUNS]",
            "curves of all runs in a local dashboard",
            "transferlab.analysis.comparison.dashboard:main",
        ),
        Command(
            "workspace",
            "[--push]",
            "the W&B page that compares strategies",
            "transferlab.tracking.workspace:main",
        ),
    ),
    SETUP: (
        Command("init", "FOLDER", "a project folder for your own data", "transferlab.cli.project:init"),
        Command(
            "inspect",
            "TASK [TASK ...]",
            "what a task's texts and labels allow to say",
            "transferlab.cli.inspection:main",
        ),
        Command("list", "", "experiments, strategies and tasks", "transferlab.config.experiments:main"),
        Command(
            "configs",
            "[copy NAME]",
            "experiments and configs, to look at and copy",
            "transferlab.cli.project:configs",
        ),
        Command(
            "doctor",
            "",
            "whether this machine has what a run needs",
            "transferlab.launch.doctor.command:main",
        ),
        Command(
            "schema",
            "[--output FILE]",
            "JSON schema: editors complete and check keys",
            "transferlab.launch.schemas:main",
        ),
        Command(
            "completion",
            "bash|zsh|fish",
            "completes commands, names and keys in your shell",
            "transferlab.cli.completion.command:main",
        ),
        Command(
            "fetch",
            "--experiment NAME",
            "download data and weights beforehand",
            "transferlab.launch.fetch:main",
            loads=True,
            keys=True,
        ),
    ),
}
COMMANDS: dict[str, Command] = {command.name: command for group in GROUPS.values() for command in group}
TRAINING = tuple(name for name, command in COMMANDS.items() if not command.target)
"""Those that take the keys of an experiment and import torch."""


PREDICT = ("text", "format", "output-format", "output", "delimiter", "encoding", "batch-size", "device", "root")
"""Options of ``predict`` with a value that belong to a file of new texts."""


def names_a_file(rest: Sequence[str]) -> bool:
    """Whether a command line of ``predict`` is about a file of new texts, not about splits of the run's data set."""
    value = False
    for word in rest:
        name, given, _ = word.partition("=")
        if word == "-" or name.removeprefix("--") in {*PREDICT, "calibrated", "overwrite"}:
            return True
        if word.startswith("-"):
            value = not given
        elif not value:
            return True
        else:
            value = False
    return False


def on_files(command: str, rest: Sequence[str]) -> bool:
    """Whether a command line is about files that are not of the run's data set."""
    if command == "predict":
        return names_a_file(rest)
    return command in {"test", "validate"} and any(word.partition("=")[0] == "--files" for word in rest)


def overview() -> str:
    """The page of ``transferlab --help``."""
    width = max(len(f"{command.name} {command.usage}") for command in COMMANDS.values())
    lines = ["transferlab: task x encoder x strategy, trained by the Lightning Trainer", ""]
    lines += ["  transferlab COMMAND ...", ""]
    for title, commands in GROUPS.items():
        lines.append(title)
        for command in commands:
            lines.append(f"  {f'{command.name} {command.usage}':<{width}}  {command.text}")
        lines.append("")
    lines += [
        "`transferlab COMMAND --help` shows what a command takes, `--version` the",
        "releases. RUN is an experiment (its newest run), a run ID or a run directory;",
        "RUNS a folder, `runs` if left out. With --debug a mistake shows the traceback;",
        "--trust lets a run that someone else made name code of its own.",
    ]
    return "\n".join(lines) + "\n"
