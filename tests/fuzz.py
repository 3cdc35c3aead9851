"""Damaged input, drawn by number: configurations, data files, run directories and command lines, each for one command.

A command runs in a process that is forked from one with all imports behind it, in a folder of its own.
"""

import copy
import json
import random
import shutil
from dataclasses import dataclass

import yaml

from tests.forked import run

VALUES = [
    None,
    True,
    0,
    -1,
    2**40,
    1.5,
    -0.5,
    float("nan"),
    "",
    "x",
    "abc def",
    "../x",
    "[",
    "{}",
    [],
    ["a"],
    [[1]],
    {},
]
VALUES += [
    {"a": 1},
    {"class_path": "no.Such"},
    {"class_path": "torch.nn.Linear"},
    "\x1b[31m",
    "é" * 300,
    "null",
    "1e-3",
]
WORDS = [
    "--",
    "-x",
    "--trainer",
    "--trainer.max_epochs",
    "--data.batch_size=",
    "=",
    "--model.method.r",
    "--help=1",
    "a b",
]
WORDS += [
    "--config",
    "--experiment",
    "--run",
    "--seed_everything",
    "--encoder",
    "--task",
    "--trainer.callbacks+=",
    "\n",
]
DONE = {"finished", "failed", "interrupted"}


@dataclass(frozen=True)
class Found:
    """What came of one input."""

    number: int
    kind: str
    what: str
    fault: str
    code: int
    output: str


def rows(count):
    """A small data file."""
    lines = [
        f"{'good' if n % 2 else 'bad'} {'a ' * (n % 5)}number {n},{'pos' if n % 2 else 'neg'}" for n in range(count)
    ]
    return "text,label\n" + "\n".join(lines) + "\n"


def small(encoder):
    """An experiment that trains a step."""
    source = {"files": {"train": "train.csv", "test": "test.csv"}}
    data = {"task": "own", "source": source, "max_length": 16, "batch_size": 8, "max_unknown": None}
    return {
        "trainer": {"accelerator": "cpu", "devices": 1, "max_epochs": 1, "limit_train_batches": 1, "logger": False},
        "encoder": {"name": str(encoder)},
        "data": {"class_path": "transferlab.tasks.TaskDataModule", "init_args": data},
        "model": {"class_path": "transferlab.strategies.FeatureExtraction", "init_args": {"head": {"dropout": 0.0}}},
        "cache": {"enabled": False},
    }


def leaves(node, path=()):
    """Paths of all nodes of a tree."""
    if path:
        yield path
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from leaves(value, (*path, key))


def mutate_tree(tree, draw):
    """Changes, drops or misspells something in a tree; returns it and what was done."""
    tree = copy.deepcopy(tree)
    *above, last = draw.choice(list(leaves(tree)))
    node = tree
    for key in above:
        node = node[key]
    how = draw.choice(["value", "value", "drop", "misspell"])
    if how == "misspell" and isinstance(last, str):
        node[last + draw.choice("sx_")] = node.pop(last)
    elif how == "drop":
        del node[last]
    else:
        node[last] = draw.choice(VALUES)
    return tree, f"{'.'.join(map(str, (*above, last)))} {how} {str(node)[:80]}"


def mutate_bytes(content, draw):
    """Damages a file."""
    place, other = draw.randrange(len(content) + 1), draw.randrange(len(content) + 1)
    how = draw.choice(["cut", "insert", "flip", "double", "empty", "utf-16", "nul"])
    if how == "cut":
        content = content[:place]
    elif how == "insert":
        content = (
            content[:place]
            + draw.choice([b'"', b"\t", b"\r", b",", b"\xff\xfe", b"{[", b": ", b"&a *a"])
            + content[place:]
        )
    elif how == "flip":
        content = (
            content[:place] + bytes(draw.randrange(256) for _ in content[place : place + 3]) + content[place + 3 :]
        )
    elif how == "double":
        content = content[: max(place, other)] + content[min(place, other) :]
    elif how == "utf-16":
        content = content.decode("utf-8", "replace").encode("utf-16")
    else:
        content = b"" if how == "empty" else content.replace(b"a", b"\0", 5)
    return content, how


def config_input(folder, draw, encoder):
    """A damaged configuration."""
    if draw.random() < 0.5:
        tree, what = mutate_tree(small(encoder), draw)
        (folder / "mine.yaml").write_text(yaml.safe_dump(tree))
    else:
        content, what = mutate_bytes(yaml.safe_dump(small(encoder)).encode(), draw)
        (folder / "mine.yaml").write_bytes(content)
    return ["fit", "--config", "mine.yaml"], what


def data_input(folder, draw, encoder):
    """A damaged data file."""
    name = draw.choice(["train.csv", "test.csv"])
    content, what = mutate_bytes((folder / name).read_bytes(), draw)
    (folder / name).write_bytes(content)
    (folder / "mine.yaml").write_text(yaml.safe_dump(small(encoder)))
    return ["fit", "--config", "mine.yaml"], f"{name} {what}"


def run_input(folder, draw, encoder):
    """A damaged run directory beside one that is whole."""
    run = folder / "runs" / "mine" / "damaged"
    shutil.copytree(folder.parent / "reference" / "runs", folder / "runs")
    shutil.copytree(next((folder / "runs" / "mine").iterdir()), run)
    path = draw.choice(sorted(path for path in run.rglob("*") if path.is_file() and path.stat().st_size))
    if path.name == "summary.json" and draw.random() < 0.7:
        tree, what = mutate_tree(json.loads(path.read_text()), draw)
        path.write_text(json.dumps(tree))
    elif draw.random() < 0.2:
        path.unlink()
        what = "gone"
    else:
        content, what = mutate_bytes(path.read_bytes(), draw)
        path.write_bytes(content)
    commands = [["compare", "--format", "csv"], ["report"], ["card", "--run", str(run)], ["test", "--run", str(run)]]
    commands += [["compare", "--runs"], ["fit", "--resume", str(run)], ["validate", "--run", str(run)]]
    return draw.choice(commands), f"{path.relative_to(run)} {what}"


def line_input(folder, draw, encoder):
    """A damaged command line."""
    (folder / "mine.yaml").write_text(yaml.safe_dump(small(encoder)))
    words = ["fit", "--config", "mine.yaml", "--trainer.max_epochs", "1", "--data.batch_size", "8", "--run.tags", "[a]"]
    words = draw.choice(
        [words, ["compare", "--format", "csv"], ["predict", "--run", "x"], ["test"], ["list"], ["sweep", "x"]]
    )
    words = list(words)
    for _ in range(draw.choice([1, 1, 2])):
        place, how = draw.randrange(len(words) + 1), draw.choice(["insert", "drop", "typo", "value"])
        word = str(draw.choice(VALUES)) if how == "value" else draw.choice(WORDS)
        if how in {"insert", "value"} or place == len(words):
            words.insert(place, word.replace("\0", ""))
        elif how == "drop":
            del words[place]
        else:
            words[place] = words[place][:-1]
    return words, ""


KINDS = {"config": config_input, "data": data_input, "run": run_input, "line": line_input}


def prepare(root, encoder, **changes):
    """Fits the run that others are damaged copies of; returns its accuracy."""
    folder = root / "reference"
    place(folder)
    (folder / "mine.yaml").write_text(yaml.safe_dump({**small(encoder), **changes}))
    code, output = run(folder, ["fit", "--config", "mine.yaml"])
    assert code == 0, output
    (summary,) = folder.glob("runs/*/*/summary.json")
    return json.loads(summary.read_text())["metrics"]["test/accuracy"]


def place(folder):
    """A folder with data."""
    folder.mkdir(parents=True)
    (folder / "train.csv").write_text(rows(40))
    (folder / "test.csv").write_text(rows(20))


def fault(folder, words, code, output, reference):
    """What is wrong with how a command ended; empty where nothing is."""
    if code is None:
        return "hang"
    if "Traceback (most recent call last)" in output or code not in {0, 2}:
        return "traceback"
    for summary in folder.glob("runs/*/*/summary.json"):
        if summary.parent.name != "damaged" and json.loads(summary.read_text()).get("status") not in DONE:
            return "half-written"
    if list(folder.rglob(".*.tmp")):
        return "half-written"
    return "wrong metric" if code == 0 and _is_wrong(folder, words, output, reference) else ""


def _is_wrong(folder, words, output, reference):
    if not words:
        return False
    if words[0] == "compare" and (folder / "runs").is_dir() and "csv" in words:
        return f"{reference}" not in output
    if words[0] == "test" and (folder / "runs" / "mine" / "damaged").is_dir():
        entries = list(folder.glob("runs/mine/damaged/retests/*/result.json"))
        results = [json.loads(entry.read_text())["metrics"]["test/accuracy"] for entry in entries]
        return any(abs(found - reference) > 1e-9 for found in results) and "differs" not in output
    for summary in folder.glob("runs/*/*/summary.json") if words[0] == "fit" else ():
        lines = summary.parent / "predictions" / "test.jsonl"
        if summary.parent.name != "damaged" and lines.is_file():
            answers = [json.loads(line) for line in lines.read_text().splitlines()]
            right = sum(answer["prediction"] == answer["label"] for answer in answers) / len(answers)
            if abs(right - json.loads(summary.read_text())["metrics"]["test/accuracy"]) > 1e-6:
                return True
    return False


def examine(root, number, encoder, reference, seed=0):
    """Draws an input, runs its command and says what came of it."""
    draw = random.Random(f"{seed} {number}")
    kind = list(KINDS)[number % len(KINDS)]
    folder = root / str(number)
    place(folder)
    words, what = KINDS[kind](folder, draw, encoder)
    code, output = run(folder, words)
    found = Found(
        number, kind, f"{' '.join(words)!r} {what}", fault(folder, words, code, output, reference), code or 0, output
    )
    if not found.fault:
        shutil.rmtree(folder)
    return found
