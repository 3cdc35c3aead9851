"""``transferlab curve``: quality over the number of training examples, and how many labels transfer saves."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from transferlab.analysis.comparison import groups, labels
from transferlab.analysis.comparison.groups import Estimate, Group, Summary
from transferlab.config import shipped, trees
from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError, near
from transferlab.record import folder as run_folder

REFERENCES = ("from_scratch", "tfidf")
"""What needs labels where transfer has a pretrained encoder; the default of ``--reference``."""
PICTURES = (".png", ".svg", ".pdf")


class Line(NamedTuple):
    """One method.

    Attributes:
        name: Its strategy, with the encoder where several take part.
        strategy: Its strategy; that of TF-IDF says behind an underscore which linear model reads it.
        points: Number of training examples -> seed -> result.
        scores: Number of training examples -> mean and interval.
    """

    name: str
    strategy: str
    points: dict[int, dict[int, float]]
    scores: dict[int, Estimate]


class Curves(NamedTuple):
    """All methods on a task.

    Attributes:
        task: Its name.
        metric: The metric that leads.
        lines: The methods.
        remarks: What must be said beside them.
    """

    task: str
    metric: str
    lines: list[Line]
    remarks: list[str]


def main(arguments: list[str]) -> None:
    """Runs ``transferlab curve``.

    Raises:
        TransferlabError: No runs, unknown task or reference, or a picture that cannot be drawn.
    """
    parser = Parser("transferlab curve", description="Label-efficiency curves from run directories.")
    parser.add_argument("root", nargs="?", type=Path, default=Path("runs"), metavar="ROOT", help="[runs]")
    parser.add_argument("--task", help="which task; not needed where there is one only")
    parser.add_argument("--tag", help="only runs with this tag; a sweep tags its runs with its name")
    parser.add_argument(
        "--reference", help=f"strategies that are asked how many labels they need [{','.join(REFERENCES)}]"
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw it: a name that ends in .png, .svg or .pdf")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the tables there instead of printing them")
    asked = parser.parse_args(arguments)
    if asked.picture and asked.picture.suffix not in PICTURES:
        raise TransferlabError(f"--picture: {asked.picture} must end in one of {', '.join(PICTURES)}.")
    found = read(asked.root, asked.task, asked.tag)
    written = tables(found, asked.reference)
    if asked.output:
        run_folder.write_text(asked.output, written + "\n")
        print(f"wrote {asked.output}")
    else:
        print(written)
    if asked.picture:
        _draw(asked.picture, found.task, found.metric, found.lines)
        print(f"wrote {asked.picture}")


def read(root: Path, task: str | None = None, tag: str | None = None) -> Curves:
    """The curves of a task from the runs below a folder.

    Args:
        root: Folder of runs.
        task: Its name; None where the runs have one task only.
        tag: Only runs with this tag.

    Raises:
        TransferlabError: No such runs, or none with several numbers of training examples.
    """
    found = [{**summary, "folder": str(path)} for path, summary in run_folder.summaries(root)]
    if not found:
        raise TransferlabError(f"no runs under {root}/. {_makers(task)}")
    if tag:
        tags = sorted({str(one) for summary in found for one in summary.get("tags") or ()})
        found = [summary for summary in found if tag in map(str, summary.get("tags") or ())]
        if not found:
            raise TransferlabError(f"--tag: no run with tag {tag!r}{near(tag, tags)}. {_makers(task, tag)}")
    tasks = sorted({str(summary["task"]) for summary in found if summary.get("task")})
    if task is None and len(tasks) > 1:
        raise TransferlabError(f"--task: say which one: {', '.join(tasks)}.")
    task = task or "".join(tasks)
    if task not in tasks:
        raise TransferlabError(f"--task: no run with task {task!r}{near(task, tasks)}. Known: {', '.join(tasks)}.")
    known = [group for group in groups.group([s for s in found if s.get("task") == task]) if group.score]
    chosen, remarks = pick(group for group in known if group.key.train_examples)
    lines = join(chosen)
    if not any(len(line.points) > 1 for line in lines):
        raise TransferlabError(
            f"no method was run on {task} with several numbers of training examples. {_makers(task)}"
        )
    return Curves(task, chosen[0].key.metric, lines, remarks)


def _makers(task: str | None, tag: str | None = None) -> str:
    """Which sweeps make the runs of a curve: the one of that name, or those with several numbers of examples."""
    files = shipped.listed("configs/sweep")
    if tag in files:
        return f"A sweep tags its runs with its name, and this one has not been run: make sweep SWEEP={tag}"
    read = {name: trees.read_yaml(path) for name, path in files.items()}
    several = [
        name
        for name, tree in read.items()
        if len(tree.get("train_examples") or tree.get("train_fraction") or ()) > 1
        if task is None or task in (tree.get("tasks") or ())
    ]
    if not several:
        return f"No sweep has several numbers of training examples of {task}; docs/sweeps.md says how to write one."
    return f"Such runs are made by a sweep with several numbers of training examples: {', '.join(several)}."


def tables(found: Curves, reference: str | None = None) -> str:
    """The curves and what the labels are worth, as Markdown.

    Args:
        found: What `read` returns.
        reference: Strategies that are asked how many labels they need, with commas between; None: `REFERENCES`.

    Raises:
        TransferlabError: No such strategy.
    """
    saved = _saved(found.lines, _references(reference, found.lines))
    return "\n".join([*_table(found.task, found.metric, found.lines), "", *saved, *found.remarks])


def pick(found: Iterable[Group]) -> tuple[list[Group], list[str]]:
    """One group for each method and size of training set: that with the most seeds; a remark where there were more."""
    best: dict[tuple[str, str, int], Group] = {}
    doubled: set[str] = set()
    for group in found:
        place = (group.key.strategy, group.key.encoder, group.key.train_examples or 0)
        if place in best:
            doubled.add(f"{place[0]} with {place[2]:,} examples")
        if place not in best or len(group.seeds) > len(best[place].seeds):
            best[place] = group
    remarks = [
        f"\nOf several settings the one with the most seeds is shown (--tag chooses): {', '.join(sorted(doubled))}."
    ]
    return list(best.values()), remarks if doubled else []


def join(chosen: list[Group]) -> list[Line]:
    """The groups of each method as one line, in the order of the names."""
    encoders: dict[str, set[str]] = {}
    for group in chosen:
        encoders.setdefault(group.key.strategy, set()).add(group.key.encoder)
    lines: dict[str, Line] = {}
    for group in sorted(
        chosen, key=lambda group: (group.key.strategy, group.key.encoder, group.key.train_examples or 0)
    ):
        many = len(encoders[group.key.strategy]) > 1
        name = f"{group.key.strategy} ({group.key.encoder})" if many else group.key.strategy
        line = lines.setdefault(name, Line(name, group.key.strategy, {}, {}))
        size = group.key.train_examples or 0
        line.points[size] = {_seed(run): score for run in group.counted if (score := groups.score_of(run)) is not None}
        if group.score:
            line.scores[size] = group.score
    return list(lines.values())


def _seed(run: Summary) -> int:
    seed = run.get("seed")
    return seed if isinstance(seed, int) else 0


def _references(asked: str | None, lines: list[Line]) -> list[Line]:
    wanted = asked.split(",") if asked else REFERENCES
    known = [line.strategy for line in lines]
    for name in wanted if asked else ():
        if not any(_is(strategy, name) for strategy in known):
            raise TransferlabError(f"--reference: no {name!r}{near(name, known)}. Known: {', '.join(known)}.")
    return [line for line in lines if any(_is(line.strategy, name) for name in wanted) and len(line.points) > 1]


def _is(strategy: str, name: str) -> bool:
    return strategy == name or (name == "tfidf" and strategy.startswith("tfidf_"))


def _table(task: str, metric: str, lines: list[Line]) -> list[str]:
    sizes = sorted({size for line in lines for size in line.scores})
    shown = [f"{task}, test/{metric} by number of training examples; mean and half of its 95 % interval over seeds", ""]
    shown.append("| | " + " | ".join(f"{size:,}" for size in sizes) + " |")
    shown.append("| --- |" + " ---: |" * len(sizes))
    for line in lines:
        cells = (_score(line.scores[size]) if size in line.scores else "" for size in sizes)
        shown.append(f"| {line.name} | " + " | ".join(cells) + " |")
    return shown


def _score(score: Estimate) -> str:
    return f"{score.mean:.3f}" + ("" if score.high is None else f" ± {score.high - score.mean:.3f}")


def _saved(lines: list[Line], references: list[Line]) -> list[str]:
    shown: list[str] = []
    for reference in references:
        others = [line for line in lines if line.strategy not in {other.strategy for other in references}]
        sizes = sorted({size for line in others for size in line.points})
        shown += [f"Labels that {reference.name} needs for the same, and how many times as many (95 % interval):", ""]
        shown.append("| with | " + " | ".join(f"{size:,}" for size in sizes) + " |")
        shown.append("| --- |" + " ---: |" * len(sizes))
        for line in others:
            needs = {size: labels.equivalent(line.points, reference.points, size) for size in line.points}
            cells = (labels.text(needs[size], size) if size in needs else "" for size in sizes)
            shown.append(f"| {line.name} | " + " | ".join(cells) + " |")
        shown.append("")
    return shown


def _draw(path: Path, task: str, metric: str, lines: list[Line]) -> None:
    try:
        import matplotlib as mpl
    except ImportError:
        raise TransferlabError("--picture needs matplotlib: pip install 'transferlab[plot]'.") from None
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8.5, 4.5), layout="constrained")
    # a single point is no curve; the table has it
    curves = [line for line in lines if len(line.scores) > 1]
    for number, (line, mark) in enumerate(zip(curves, "osD^vPX*<>" * len(curves), strict=False)):
        sizes = sorted(line.scores)
        scores = [line.scores[size] for size in sizes]
        half = [0 if score.high is None else score.high - score.mean for score in scores]
        dashed = "--" if any(_is(line.strategy, name) for name in REFERENCES) else "-"
        means = [score.mean for score in scores]
        # side by side, so that no interval hides another
        places = [size * 1.02 ** (number - len(curves) / 2) for size in sizes]
        axes.errorbar(places, means, half, label=line.name, marker=mark, linestyle=dashed, capsize=3, markersize=5)
    axes.set_xscale("log")
    ticks = sorted({size for line in curves for size in line.scores})
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("training examples")
    axes.set_ylabel(f"test/{metric}, mean and 95 % interval over seeds")
    axes.set_title(task)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
