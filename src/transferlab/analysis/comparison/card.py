"""``transferlab card``: a model card for a run and the other seeds of its setting, from their records."""

import json
import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from transferlab.analysis.comparison.groups import (
    Estimate,
    Group,
    Summary,
    estimate,
    faults,
    group,
    is_baseline,
    value,
)
from transferlab.analysis.comparison.reading import read
from transferlab.analysis.comparison.standing import block_of, standing
from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError
from transferlab.ground.escapes import markdown, visible
from transferlab.record import folder as run_folder
from transferlab.record import setting
from transferlab.tasks import cuts
from transferlab.tasks.inspection import telling
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.spec import WORDED, Kind

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

MARK = "<!-- written by `transferlab card`, which overwrites it -->"
METRIC_IDS = {"matthews": "matthews_correlation", "pearson": "pearsonr", "spearman": "spearmanr", "f1_macro": "f1"}
"""Our names of metrics that the Hub calls otherwise."""


def main(arguments: list[str]) -> None:
    """Runs ``transferlab card``: writes ``README.md`` into the run directory.

    Raises:
        TransferlabError: No such run, a run that is not finished, or a ``README.md`` that something else wrote.
    """
    parser = Parser("transferlab card", description="Model card of a run and its other seeds.")
    parser.add_argument("--run", required=True, help="folder, experiment (its newest run) or id of a run")
    parser.add_argument("--root", type=Path, default=Path("runs"), help="folder of runs [runs]")
    asked = parser.parse_args(arguments)
    folder = run_folder.find(asked.run, asked.root)
    path = folder / "README.md"
    if path.is_file() and MARK not in path.read_text(encoding="utf-8", errors="replace"):
        raise TransferlabError(f"{path} was not written by this command; move it away first.")
    text = card(folder)
    run_folder.write_text(path, text)
    print(f"{path} ({len(text.splitlines())} lines)")


def card(folder: Path) -> str:
    """The text of the card of a run, with its metadata.

    Args:
        folder: The run directory; the other seeds are looked for in all runs beside it, ``folder/../..``.

    Raises:
        TransferlabError: The run has no test result.
    """
    # its client of the Hub is not needed for help and mistakes
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import ModelCard

    every = read(folder.absolute().parent.parent)
    own = next(run for run in every if Path(str(run["folder"])).resolve() == folder.resolve())
    if own.get("status") != "finished" or "metrics" not in own:
        raise TransferlabError(f"{folder} is not finished (status {own.get('status')}); a card tells test results.")
    one = next(found for found in group(every) if any(run is own for run in found.runs))
    if not one.counted:
        raise TransferlabError(f"{folder} has no test result; a card tells test results.")
    beside = [run for run in every if run.get("task") == own.get("task")]
    config = setting.of_folder(folder)
    metadata = _metadata(one, own, config)
    body = [MARK, "", *_body(one, own, config, beside)]
    return str(ModelCard(f"---\n{metadata.to_yaml()}\n---\n\n" + "\n".join(body) + "\n"))


def _metadata(one: Group, own: Summary, config: dict[str, Any]) -> "ModelCardData":
    from huggingface_hub import EvalResult, ModelCardData

    source = _source(config, str(own.get("task")))
    answers = KINDS.get(cast(Kind, own.get("kind")))
    pipeline = answers.pipeline if answers else None
    split = (own.get("data") or {}).get("test") or ["test"]
    results = [
        EvalResult(
            task_type=pipeline or "other",
            dataset_type=source.get("path") or str(own.get("task")),
            dataset_name=str(own.get("task")),
            dataset_config=source.get("config"),
            dataset_split=str(split[0]),
            dataset_revision=source.get("revision"),
            metric_type=METRIC_IDS.get(name, name),
            metric_name=f"{name}, mean over {found.n} seed{'s' * (found.n > 1)}",
            metric_value=round(found.mean, 6),
        )
        for name, found in scores(one).items()
        if "/" not in name
    ]
    encoder = (config.get("encoder") or {}).get("name")
    on_hub = (
        isinstance(encoder, str) and encoder.count("/") == 1 and not is_baseline(own) and not Path(encoder).exists()
    )
    return ModelCardData(
        model_name=str(own.get("experiment")),
        library_name="transferlab",
        base_model=encoder if on_hub else None,
        datasets=[source["path"]] if source.get("path", "").count("/") == 1 else None,
        pipeline_tag=pipeline,
        metrics=sorted({METRIC_IDS.get(name, name) for name in scores(one) if "/" not in name}),
        tags=["transferlab", str(own.get("task")), str(own.get("strategy"))],
        eval_results=results,
    )


def _source(config: dict[str, Any], task: str) -> dict[str, Any]:
    """Where the rows lie on the Hub, as far as that is known."""
    from transferlab.tasks.table import TASKS

    given = ((config.get("data") or {}).get("init_args") or {}).get("source")
    if isinstance(given, dict):
        return {key: given.get(key) for key in ("path", "config", "revision") if given.get(key)}
    known = TASKS.get(task)
    found = {"path": known.path, "config": known.config, "revision": known.revision} if known else {}
    return {key: text for key, text in found.items() if text and text != "embedded"}


def scores(one: Group) -> dict[str, Estimate]:
    """Every test metric over the counted runs; those of further test splits are named ``mismatched/accuracy``."""
    names = [name for name in one.counted[-1].get("metrics", {}) if name.startswith("test")]
    found: dict[str, Estimate] = {}
    for name in names:
        values = [number for run in one.counted if (number := value(run, "metrics", name)) is not None]
        if known := estimate(values):
            found[name.removeprefix("test/").removeprefix("test_")] = known
    return found


def _body(one: Group, own: Summary, config: dict[str, Any], beside: list[Summary]) -> list[str]:
    data = own.get("data") or {}
    seeds = ", ".join(map(str, one.seeds))
    params = own.get("params") or {}
    trained = {
        "task": f"{own.get('task')} ({own.get('kind')})",
        "labels": ", ".join(map(str, own.get("labels") or [])),
        "encoder": f"{own.get('encoder')} ({own.get('weights')})",
        "strategy": own.get("strategy"),
        "trained parameters": f"{params.get('trainable', 0):,} of {params.get('total', 0):,}",
        "training examples": f"{data.get('train_examples')} from {data.get('origin')}",
        "inspection of the data": telling.in_line(own.get("inspection") or {}),
        "version of the data": data.get("version"),
        "tokens per text": f"at most {data['max_length']}, {data.get('truncation')}"
        if data.get("max_length")
        else None,
        "cut off by truncation": cuts.in_words(data.get("cut") or {}, own.get("kind") in WORDED),
        "protocol": f"{own.get('protocol')}: selected on {data.get('validation')}, "
        f"tested on {', '.join(map(str, data.get('test') or []))}",
        "precision": own.get("precision"),
        "seeds": seeds,
    }
    return [
        f"# {markdown(str(own.get('experiment')))}",
        "",
        markdown(f"{own.get('encoder')} transferred to {own.get('task')} by {own.get('strategy')}, ")
        + "trained with transferlab. "
        f"The checkpoint beside this card is that of seed {own.get('seed')}.",
        "",
        "## Training",
        "",
        *_table(["", ""], [[name, markdown(str(text))] for name, text in trained.items() if text]),
        "",
        "## Results",
        "",
        *_results(one, own),
        *_others(one, beside),
        "## Cost",
        "",
        *_cost(one),
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in _limits(one, own, beside)),
        "",
        "## Use",
        "",
        "```sh",
        f"transferlab predict --run {shlex.quote(visible(str(own['run'])))}",
        f"transferlab fit --config config.yaml --seed_everything {own.get('seed')}   # the same again",
        "```",
        *_versions(Path(str(own["folder"]))),
    ]


def _results(one: Group, own: Summary) -> list[str]:
    rows = [
        [
            name,
            f"{found.mean:.4f}" + (f" ± {found.std:.4f}" if found.std is not None else ""),
            "" if found.low is None else f"{found.low:.4f} to {found.high:.4f}",
            str(found.n),
            _number(value(own, "metrics", f"test/{name}")),
        ]
        for name, found in scores(one).items()
    ]
    lines = [*_table(["test metric", "mean ± std", "95 % interval of the mean", "seeds", "this checkpoint"], rows), ""]
    classes = own.get("per_class") or {}
    if classes:
        cells = [
            [name, *(_number(row.get(key)) for key in ("precision", "recall", "f1")), str(int(row.get("support", 0)))]
            for name, row in classes.items()
        ]
        lines += [*_table(["class", "precision", "recall", "F1", "support"], cells), ""]
    return lines


def _others(one: Group, beside: list[Summary]) -> list[str]:
    rows = standing(group(beside), tests=False)
    rows = [row for row in rows if block_of(row.group.key) == block_of(one.key) and row.group.score]
    if len(rows) < 2:
        return []
    cells = []
    for row in rows:
        score = row.group.score
        assert score is not None
        label = markdown(row.label)
        label = f"**{label}**" if row.group.key == one.key else label
        spread = f" ± {score.std:.4f}" if score.std is not None else ""
        cells.append(
            [label, markdown(row.group.key.encoder), str(row.group.key.train_examples), f"{score.mean:.4f}{spread}"]
        )
    return [
        "On the same test examples:",
        "",
        *_table(["setting", "encoder", "training examples", one.key.metric], cells),
        "",
    ]


def _cost(one: Group) -> list[str]:
    named = {
        "time of the run, s": ("perf", "wall_s"),
        "training examples per second": ("perf", "samples_s"),
        "peak memory, MB": ("perf", "peak_mem_mb"),
        "checkpoint, MB": ("checkpoint_mb",),
        "one example alone, ms": ("test", "latency_ms"),
    }
    rows = []
    for name, keys in named.items():
        known = estimate([number for run in one.counted if (number := value(run, *keys)) is not None])
        if known:
            rows.append([name, f"{known.mean:.1f}"])
    return _table(["mean over the runs", ""], rows)


def _limits(one: Group, own: Summary, beside: list[Summary]) -> Iterable[str]:
    data = own.get("data") or {}
    if len(one.seeds) < 2:
        yield "A single seed: another one may give another result, and how much so is not known."
    else:
        yield f"The interval is over {len(one.seeds)} seeds on the same test examples; other examples would add to it."
    wrong = [f"seed {run.get('seed')}: {', '.join(found)}" for run in one.runs if (found := faults(run))]
    if wrong:
        yield f"Not all runs went well ({'; '.join(wrong)}); finished ones are in the mean."
    for row in standing(group(beside), tests=False):
        if row.group.key == one.key and row.below:
            yield f"It is below a baseline without any encoder: {row.below}."
    if own.get("protocol") == "official":
        yield "The checkpoint was selected on the examples that it was tested on, so the result is too good."
    if data.get("max_length"):
        if data.get("truncation") == "windows":
            yield f"It reads a text in windows of {data['max_length']} tokens, none of which sees another."
        else:
            yield f"It reads {data['max_length']} tokens of a text ({data.get('truncation')})."
    yield "Nothing was tested but these examples: not other domains or languages, and not fairness towards people."


def _versions(folder: Path) -> list[str]:
    try:
        known = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
        packages, hardware = known["packages"], known["hardware"]
    except (OSError, ValueError, KeyError):
        return []
    names = ", ".join(f"{name} {version}" for name, version in packages.items() if version)
    where = ", ".join(hardware.get("gpus") or []) or hardware.get("processor") or hardware.get("system")
    return ["", f"Made with {names}, on {where}."]


def _number(number: float | None) -> str:
    return "" if number is None else f"{number:.4f}"


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]
