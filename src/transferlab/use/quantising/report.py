"""What is told of a quantised model: on the screen, in its folder, in its README."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transferlab.use.export.facts import ALONE, Facts
from transferlab.use.quantising.measure import BATCH, Measured

if TYPE_CHECKING:
    from transferlab.use.quantising.command import Judged


def rows(judged: "Judged") -> list[tuple[str, str, str]]:
    """What was measured: name, in float32, quantised."""
    full, small = judged.full, judged.small
    found = [(name, f"{value:.4f}", f"{small.metrics[name]:.4f}") for name, value in full.metrics.items()]
    if full.ece is not None and small.ece is not None:
        found.append(("ECE", f"{full.ece:.4f}", f"{small.ece:.4f}"))
    count, of = judged.changed
    found += [
        ("changed predictions", "-", f"{count:,} of {of:,} ({judged.share:.2%})"),
        ("other in a batch than alone", "-", "{:,} of {:,}".format(*(small.together or (0, 0)))),
        ("size, MB", f"{full.size_mb:.1f}", f"{small.size_mb:.1f}"),
        ("ms a text, alone", f"{full.alone_ms:.2f}", f"{small.alone_ms:.2f}"),
        (f"ms a text, in batches of {BATCH}", f"{full.batch_ms:.2f}", f"{small.batch_ms:.2f}"),
    ]
    return found


def table(judged: "Judged") -> str:
    """The report as text."""
    lines = [(f"{len(judged.examples.gold):,} examples", "float32", judged.form), *rows(judged)]
    widths = [max(len(line[place]) for line in lines) for place in range(3)]
    text = "\n".join(
        f"{name:<{widths[0]}}  {one:>{widths[1]}}  {other:>{widths[2]}}".rstrip() for name, one, other in lines
    )
    return f"{text}\njudged by {judged.examples.name}; {batching(judged)}"


def batching(judged: "Judged") -> str:
    """How the model is to be asked, and why."""
    if judged.batching != ALONE:
        return "an answer does not depend on the other texts of a batch"
    return f"answered {ALONE}: an activation has one scale, which the other texts of a batch change"


def remedy(form: str) -> str:
    """What changes fewer predictions."""
    return {"fp16": "Stay with float32."}.get(form, "--form fp16 changes fewer.")


def content(judged: "Judged") -> dict[str, Any]:
    """The report as it is kept in the folder."""
    return {
        "form": judged.form,
        "examples": {"name": judged.examples.name, "count": len(judged.examples.gold)},
        "changed_predictions": list(judged.changed),
        "batching": judged.batching,
        "float32": _numbers(judged.full),
        "quantised": _numbers(judged.small),
    }


def _numbers(one: Measured) -> dict[str, Any]:
    return {
        "metrics": one.metrics,
        "ece": one.ece,
        "size_mb": round(one.size_mb, 3),
        "alone_ms": round(one.alone_ms, 3),
        "batch_ms": round(one.batch_ms, 3),
        "other_in_a_batch": one.together and list(one.together),
    }


def write_card(folder: Path, facts: Facts, judged: "Judged") -> None:
    """Writes ``README.md``."""
    name = folder.name.removesuffix(".part")
    measured = "\n".join(f"| {title} | {one} | {other} |" for title, one, other in rows(judged))
    example = '("a text", "another one")' if len(facts.text) > 1 else '"a text"'
    text = f"""# {facts.run.get("experiment") or name}, {judged.form}

{facts.task.kind.capitalize()} ({facts.task.name}), exported by transferlab as onnx and quantised.

- Encoder: {facts.encoder["name"]}, pooling {facts.encoder["pooling"]}, layers {facts.encoder["layers"]}
- Strategy: {facts.run.get("strategy")}, run {facts.run.get("run")}, seed {facts.run.get("seed")}
- Asked: {batching(judged)}.

```python
from transferlab.use.exported import Exported      # onnxruntime, tokenizers and numpy; no torch

model = Exported("{name}")
model({example})
```

Judged by {judged.examples.name} ({len(judged.examples.gold):,} examples), on the machine that quantised it:

| | float32 | {judged.form} |
| --- | ---: | ---: |
{measured}
"""
    (folder / "README.md").write_text(text, encoding="utf-8")
