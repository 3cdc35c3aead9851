"""The README of an exported folder: what it is, how it is asked, what it was compared with."""

from collections.abc import Sequence
from pathlib import Path

from transferlab.use.export.facts import Facts
from transferlab.use.export.parity import Check

ASK = {
    "onnx": """from transferlab.use.exported import Exported      # onnxruntime, tokenizers and numpy; no torch

model = Exported("{folder}")
model({example})""",
    "torch": """import torch

program = torch.export.load("{folder}/model.pt2").module()       # reads {inputs}""",
    "hf": """from transformers import {auto}, AutoTokenizer

model = {auto}.from_pretrained("{folder}")
tokenizer = AutoTokenizer.from_pretrained("{folder}")""",
    "sentence-transformers": """from sentence_transformers import SentenceTransformer

SentenceTransformer("{folder}").encode(["a text"])       # the encoder with its pooling; the head is not part of it""",
    "peft": """from peft import PeftModel
from transformers import AutoModel

model = PeftModel.from_pretrained(AutoModel.from_pretrained("{encoder}"), "{folder}")     # without the head""",
}


def write_card(folder: Path, facts: Facts, checks: Sequence[Check]) -> None:
    """Writes ``README.md``."""
    task, name = facts.task, folder.name.removesuffix(".part")
    example = '("a text", "another one")' if len(facts.text) > 1 else '"a text"'
    auto = "AutoModelForTokenClassification" if task.kind == "tagging" else "AutoModelForSequenceClassification"
    code = ASK[facts.format].format(
        folder=name, example=example, inputs=", ".join(facts.inputs), auto=auto, encoder=facts.encoder["name"]
    )
    scores = {key: value for key, value in (facts.run.get("metrics") or {}).items() if key.startswith("test")}
    rows = "\n".join(f"| {key} | {value:.4f} |" for key, value in scores.items() if isinstance(value, int | float))
    compared = "\n".join(
        f"| {check.name} | {check.texts} | {check.difference:.1e} | {'-' if check.changed is None else check.changed} |"
        for check in checks
    )
    labels = f"- Labels: {', '.join(task.labels)}\n" if task.labels else ""
    text = f"""# {facts.run.get("experiment") or name}

{task.kind.capitalize()} ({task.name}), exported by transferlab as {facts.format}.

- Encoder: {facts.encoder["name"]}, pooling {facts.encoder["pooling"]}, layers {facts.encoder["layers"]}
- Strategy: {facts.run.get("strategy")}, run {facts.run.get("run")}, seed {facts.run.get("seed")}
- Text columns: {", ".join(facts.text)}; at most {facts.max_length} tokens, truncation {facts.truncation}
{labels}
```python
{code}
```

| Test | Score |
| --- | ---: |
{rows}

Compared with the run in float32 (largest difference of two numbers, changed predictions):

| Asked | Texts | Difference | Changed |
| --- | ---: | ---: | ---: |
{compared}
"""
    (folder / "README.md").write_text(text, encoding="utf-8")
