"""The README of an exported folder: what it is, how it is asked, what it was compared with."""

from collections.abc import Sequence
from pathlib import Path

from transferlab.tasks.texts import usual_template
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

OF_TEXTS = {
    "hf": """from transformers import {auto}, AutoTokenizer

model = {auto}.from_pretrained("{folder}")
tokenizer = AutoTokenizer.from_pretrained("{folder}")
{prompt}
outputs = model.generate(**inputs)[:, {behind}:]       # as generation_config.json says
texts = [text.strip() for text in tokenizer.batch_decode(outputs, skip_special_tokens=True)]""",
    "torch": """import torch

program = torch.export.load("{folder}/model.pt2").module()
logits = program({inputs})       # of the token that comes next, [batch, vocabulary]""",
    "peft": """from peft import PeftModel
from transformers import {auto}, AutoTokenizer, GenerationConfig

model = PeftModel.from_pretrained({auto}.from_pretrained("{encoder}", revision={revision!r}), "{folder}")
model.generation_config = GenerationConfig.from_pretrained("{folder}")
tokenizer = AutoTokenizer.from_pretrained("{folder}")
{prompt}
outputs = model.generate(**inputs)[:, {behind}:]
texts = [text.strip() for text in tokenizer.batch_decode(outputs, skip_special_tokens=True)]""",
}
"""How a model that writes is asked."""

CASE = (
    "Token types: of all pieces of a word 1 where it begins with a capital, 2 where all its letters are capitals and "
    "there are two at least, 3 where a capital stands elsewhere in it; else 0"
)
"""What graphs read that are told capitals."""


def _asked(facts: Facts) -> dict[str, str]:
    """What the code for a model that writes has in the places of its names."""
    prompts = facts.prompts or {}
    causal = bool(prompts["causal"])
    inside = 'return_tensors="pt", padding=True, truncation=True'
    if prompts["chat"]:
        messages = '[{"role": "user", "content": "a text"}]'
        prompt = f"inputs = tokenizer.apply_chat_template([{messages}], add_generation_prompt=True, return_dict=True,"
        prompt += ' return_tensors="pt", padding=True)'
    else:
        template = usual_template(facts.text, causal) if prompts["template"] is None else prompts["template"]
        filled = "".join(f'.replace({f"{{{name}}}"!r}, "a text")' for name in facts.text)
        prompt = (
            f"prompts = [{template!r}{filled}]\ninputs = tokenizer(prompts, {inside}, max_length={facts.max_length})"
        )
    return {
        "auto": "AutoModelForCausalLM" if causal else "AutoModelForSeq2SeqLM",
        "behind": "inputs.input_ids.shape[1]" if causal else "1",
        "prompt": prompt,
    }


def write_card(folder: Path, facts: Facts, checks: Sequence[Check]) -> None:
    """Writes ``README.md``."""
    task, name = facts.task, folder.name.removesuffix(".part")
    example = '("a text", "another one")' if len(facts.text) > 1 else '"a text"'
    auto = "AutoModelForTokenClassification" if task.kind == "tagging" else "AutoModelForSequenceClassification"
    places = {"folder": name, "example": example, "inputs": ", ".join(facts.inputs), "auto": auto}
    places |= {"encoder": facts.encoder["name"], "revision": facts.encoder["revision"]}
    texts = task.kind == "text"
    code = (OF_TEXTS if texts else ASK)[facts.format].format(**places | (_asked(facts) if texts else {}))
    read = "" if texts else f", pooling {facts.encoder['pooling']}, layers {facts.encoder['layers']}"
    scores = {key: value for key, value in (facts.run.get("metrics") or {}).items() if key.startswith("test")}
    rows = "\n".join(f"| {key} | {value:.4f} |" for key, value in scores.items() if isinstance(value, int | float))
    compared = "\n".join(
        f"| {check.name} | {check.texts} | {check.difference:.1e} | {'-' if check.changed is None else check.changed} |"
        for check in checks
    )
    labels = f"- Labels: {', '.join(task.labels)}\n" if task.labels else ""
    if task.case:
        labels += f"- {CASE}\n"
    text = f"""# {facts.run.get("experiment") or name}

{task.kind.capitalize()} ({task.name}), exported by transferlab as {facts.format}.

- {"Model" if texts else "Encoder"}: {facts.encoder["name"]}{read}
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
