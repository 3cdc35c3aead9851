"""What a run says on the terminal: header, result, per-class report."""

from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from transferlab.encoders import lineage
from transferlab.ground.escapes import visible
from transferlab.record import stopping, thresholds
from transferlab.record.predictions import Record
from transferlab.tasks import ceiling, cuts, generation, schemes, words
from transferlab.tasks.inspection import telling
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.kinds.tagging import Tagging
from transferlab.tasks.spans import LONGEST
from transferlab.tasks.spec import WORDED, TaskSpec

FEW = 50
"""Fewer validation examples than these are remarked on: the standard error of an accuracy of 0.8 is over 5 points."""


def header_rows(summary: dict[str, Any], folder: Path) -> dict[str, str]:
    """What is about to run, by name."""
    params, data = summary["params"], summary["data"]
    rows = {
        "task": f"{summary['task']} ({summary['kind']}, {data['train_examples']} training examples)",
        "encoder": summary["encoder"],
        "strategy": summary["strategy"],
        "trainable": f"{params['trainable']:,} of {params['total']:,} parameters ({params['trainable_pct']:.2f} %)",
        "data from": data["origin"] + (f" ({data['form']})" if data.get("form") else ""),
        "note": "; ".join(data.get("notes") or []),
        "texts": texts(data),
        "cut off": cuts.in_words(data.get("cut") or {}, summary["kind"] in WORDED),
        "inspection": telling.in_line(summary.get("inspection") or {}),
        **ceiling.in_words(data.get("questions") or {}, data.get("longest") or LONGEST),
        **generation.in_words(data.get("prompts") or {}, data.get("outputs") or {}),
        "words": words.in_words(data.get("words") or {}),
        "tags": schemes.of_summary(summary).in_words() if summary["kind"] in WORDED else "",
        "weights from": summary["weights"],
        "made from": lineage.in_words(summary.get("lineage") or {}, summary["task"]),
        "starts from": (summary.get("start") or {}).get("run", ""),
        "protocol": protocol(summary),
        "early stopping": stopping.in_words(summary["early_stopping"], summary["primary"])
        if "early_stopping" in summary
        else "",
        "hardware": summary.get("hardware", ""),
        "precision": summary.get("precision", ""),
        "class imbalance": summary.get("imbalance") or "",
        "cached": "; ".join(summary.get("frozen_work", [])),
        "slow": summary.get("slow", "") if summary.get("hardware", "").startswith("processor") else "",
        "without effect": "; ".join(f"{key}: {why}" for key, why in summary.get("without_effect", {}).items()),
        "run directory": str(folder),
    }
    return {name: value for name, value in rows.items() if value}


MARKED = {
    "punctuation": "@ head @ and # tail #",
    "markers": "new tokens around head and tail",
    "typed": "new tokens of each type around head and tail",
    "none": "nothing around head and tail",
}
READ = {
    "start": "read at the token before each, or its first",
    "span": "read as the mean of each",
    "mean": "read as the mean of all tokens",
    "cls": "read at the first token",
}


def texts(data: dict[str, Any]) -> str:
    """How much of a text is read, in words."""
    what = {"head": "the first", "tail": "the last", "head_tail": "the first 128 and the last of"}
    told = ", capitals told as token types" if data.get("case") else ""
    if data.get("markers"):
        how = f"{MARKED[data['markers']]}, {READ[data['pooling']]}"
        return f"at most {data['max_length']} tokens around the entities; {how}"
    if data.get("truncation") != "windows":
        # a baseline reads whole texts
        return f"{what[data['truncation']]} {data['max_length']} tokens{told}" if data.get("truncation") else "whole"
    if (shared := data.get("stride")) is not None:
        return f"contexts whole, in windows of at most {data['max_length']} tokens that share {shared}"
    even = data.get("windows") == "even"
    how = "spread evenly, each counts by its tokens" if even else "full ones and a rest, all alike"
    return f"all of it in windows of at most {data['max_length']} tokens, {how}{told}"


def protocol(summary: dict[str, Any]) -> str:
    """What selects and what tests, in words, and which splits of the data are not used."""
    data = summary["data"]
    tested = (
        f"tested on {', '.join(data['test'])}" if data["test"] else "not tested, since no split is named or called test"
    )
    if summary.get("fold") is not None:
        tested = f"tested on fold {summary['fold']} of {data['test'][0]}"
    unused = f"; not used: {', '.join(data['unused'])}" if data.get("unused") else ""
    return f"{summary['protocol']}: selected on {data['validation']}, {tested}{unused}{_chance(data['validation'])}"


def _chance(selecting: str) -> str:
    """A remark where so few examples select that chance chooses too; takes words such as ``21 examples of train``."""
    count = int(selecting.split()[0])
    return f"; {count} examples are so few that chance selects too" if count < FEW else ""


def per_class(task: TaskSpec, lines: list[Record]) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and support per class, or per entity type; empty for regression."""
    if not lines or "label" not in lines[0]:
        return {}
    gold, found = [line["label"] for line in lines], [line["prediction"] for line in lines]
    kind = KINDS[task.kind]
    if isinstance(kind, Tagging) and not task.entities:
        return kind.per_tag(task.labels, gold, found)
    gold, found = ([kind.read(task.spelling, one) for one in side] for side in (gold, found))
    return kind.per_label(task.labels, gold, found)


def class_table(rows: dict[str, dict[str, float]], title: str) -> Table:
    """The per-class report as a table."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("class")
    # of relations: examples of which the direction alone is wrong
    more = ["direction"] if any("direction" in row for row in rows.values()) else []
    for name in ("precision", "recall", "f1", "support", *more):
        table.add_column("wrong direction" if name == "direction" else name, justify="right")
    for name, row in rows.items():
        numbers = [f"{row[key]:.3f}" for key in ("precision", "recall", "f1")]
        table.add_row(Text(visible(name)), *numbers, str(int(row["support"])), *(str(int(row[key])) for key in more))
    return table


def _writing(test: dict[str, Any]) -> dict[str, str]:
    """How fast texts were written."""
    if (each := test.get("seconds_per_1000")) is None:
        return {}
    tokens = f", {test['generated_tokens_s']:.0f} tokens/s" if test.get("generated_tokens_s") else ""
    # three digits that count, and no powers of ten
    told = f"{each:,.0f}" if each >= 100 else f"{max(each, 0.001):.3g}"
    return {"writing": f"{told} s for 1,000 outputs{tokens}"}


def result_rows(summary: dict[str, Any]) -> dict[str, str]:
    """The lines printed at the end of a run."""
    metrics, perf = summary["metrics"], summary["perf"]
    rows: dict[str, str] = {}
    before, after = summary.get("before", {}), summary.get("after", {})
    primary = f"val/{summary['primary']}"
    if primary in before and primary in after:
        sample = f" ({some} examples)" if (some := summary.get("before_examples")) else ""
        rows[f"{primary}, untrained -> trained"] = f"{before[primary]:.4f}{sample} -> {after[primary]:.4f}"
    rows |= {name: f"{value:.4f}" for name, value in metrics.items() if name.startswith("test")}
    for name, part in ((summary.get("test") or {}).get("parts") or {}).items():
        rows[f"test, {name}"] = (
            f"exact match {part['exact_match']:.4f}, F1 {part['f1']:.4f}, {int(part['questions']):,} questions"
        )
    if known := summary.get("thresholds"):
        rows["thresholds"] = thresholds.in_words(known)
    rows |= summary.get("findings", {})
    if mix := summary.get("layer_mix"):
        shares = " ".join(f"{share:.3f}" for share in mix["weights"])
        rows["layer mix"] = f"{shares} (embeddings to top layer), times {mix['gamma']:.3f}"
    if end := stopping.end_in_words(summary.get("early_stopping") or {}):
        rows["stopped early"] = end
    if perf.get("wall_s") is not None:
        rows["time"] = f"{perf['wall_s']:.1f} s"
    if perf.get("samples_s"):
        tokens = f", {perf['tokens_s']:.0f} tokens/s" if perf.get("tokens_s") else ""
        rows["training speed"] = f"{perf['samples_s']:.0f} samples/s{tokens}"
    rows |= _writing(summary.get("test") or {})
    if perf.get("peak_mem_mb"):
        rows["peak memory"] = f"{perf['peak_mem_mb']:.0f} MB"
    if summary.get("checkpoint_mb"):
        rows["checkpoint"] = f"{summary['checkpoint_mb']:.2f} MB"
    return rows
