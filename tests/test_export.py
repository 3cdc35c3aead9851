"""What is exported gives what the run gives, asked by those who load it, in processes without this package."""

import contextlib
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_predictor import file_of, run_of, test_rows

import transferlab as tl
from tests import forked
from transferlab.ground.errors import TransferlabError
from transferlab.use.export import command, facts, options, parity
from transferlab.use.exported import Exported

LORA = (tl.ParameterEfficient, {"method": tl.LoRA(r=2)}, {})
FULL = (tl.FullFineTuning, {}, {})
WINDOWS = (tl.FullFineTuning, {}, {"truncation": "windows", "max_length": 16})
ONNX = {
    "lora": ("classification", LORA),
    "pairs": ("pairs", FULL),
    "pairs apart": ("pairs", (tl.FullFineTuning, {}, {"pairs": "apart"})),
    "regression": ("regression", FULL),
    "tagging": ("tagging", (tl.FullFineTuning, {"head": tl.HeadConfig(decoding="constrained")}, {})),
    "windows": ("windows", WINDOWS),
    "full windows": ("windows", (*WINDOWS[:2], {**WINDOWS[2], "windows": "full"})),
    "tail": ("windows", (tl.FullFineTuning, {}, {"truncation": "tail", "max_length": 16})),
    "mlp": ("classification", (tl.FeatureExtraction, {"head": tl.HeadConfig(kind="mlp")}, {})),
    "adapter": ("classification", (tl.ParameterEfficient, {"method": tl.Bottleneck()}, {})),
    "prompt": ("classification", (tl.ParameterEfficient, {"method": tl.PromptTuning(tokens=3)}, {})),
    "ia3": ("classification", (tl.ParameterEfficient, {"method": tl.IA3()}, {})),
    "dora": ("classification", (tl.ParameterEfficient, {"method": tl.LoRA(r=2, variant="dora")}, {})),
    "adalora": ("classification", (tl.ParameterEfficient, {"method": tl.AdaLoRA(r=3, target_r=2)}, {})),
}
FAST = ("lora",)


def export(tmp_path, files, encoder, kind, way, form):
    run = run_of(tmp_path / "runs" / "py" / "one", files, encoder, kind, way)
    folder = tmp_path / f"exported-{form}"
    return run, folder, command.export(run, form, folder)


def consumer(code, *arguments):
    """Runs code in a process that cannot import this package."""

    def run():
        for name in ["transferlab", *(name for name in sys.modules if name.startswith("transferlab."))]:
            sys.modules[name] = None
        sys.argv = ["-c", *map(str, arguments)]
        with open("answer", "w") as answer, contextlib.redirect_stdout(answer):
            exec(code, {"sys": sys})

    with tempfile.TemporaryDirectory() as folder:
        status = forked.ended(forked.call(Path(folder), run))
        assert status == 0, (Path(folder) / "output").read_text()
        return json.loads((Path(folder) / "answer").read_text().splitlines()[-1])


@pytest.mark.parametrize("name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in ONNX])
def test_onnx_answers_as_the_run(name, files, tiny_encoder, tmp_path):
    kind, way = ONNX[name]
    run, folder, checks = export(tmp_path, files, tiny_encoder, kind, way, "onnx")
    assert all(check.passed and check.changed == 0 for check in checks)
    assert {path.name for path in folder.iterdir()} >= {"model.onnx", "tokenizer.json", "README.md", "transferlab.json"}
    assert json.loads((folder / "parity.json").read_text())["passed"]
    text = files[file_of(kind)].text
    rows = [{column: row[column] for column in text} for row in test_rows(files, kind)]
    mine, theirs = Exported(folder).predict(rows), tl.Predictor.load(run, device="cpu").predict(rows)
    for one, other in zip(mine, theirs, strict=True):
        assert one.keys() == other.keys()
        if kind == "regression":
            assert one["prediction"] == pytest.approx(other["prediction"], abs=1e-5)
        else:
            assert one["prediction"] == other["prediction"]
            assert one.get("entities") == other.get("entities")
        assert one.get("probabilities") == pytest.approx(other.get("probabilities"), abs=1e-5)


def test_an_exported_folder_is_asked_without_torch(files, tiny_encoder, tmp_path):
    run, folder, _ = export(tmp_path, files, tiny_encoder, "classification", LORA, "onnx")
    texts = [row["text"] for row in test_rows(files, "classification")]
    (tmp_path / "in.txt").write_text("\n".join(texts), encoding="utf-8")
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = sys.modules['datasets'] = None\n"
        "from transferlab.use.prediction.command import main\n"
        "main(['--run', sys.argv[1], sys.argv[2], '--output', sys.argv[3]])"
    )
    out = tmp_path / "out.jsonl"
    subprocess.run([sys.executable, "-c", code, folder, tmp_path / "in.txt", out], check=True)
    found = [json.loads(line)["prediction"] for line in out.read_text().splitlines()]
    assert found == [answer["prediction"] for answer in tl.Predictor.load(run, device="cpu").predict(texts)]


@pytest.mark.slow
def test_onnxruntime_alone(files, tiny_encoder, tmp_path):
    run, folder, _ = export(tmp_path, files, tiny_encoder, "classification", FULL, "onnx")
    text = test_rows(files, "classification")[0]["text"]
    code = """
import json
import numpy as np, onnxruntime
from tokenizers import Tokenizer
folder, text = sys.argv[1:]
one = Tokenizer.from_file(folder + "/tokenizer.json").encode(text)
feed = {"input_ids": np.array([one.ids]), "attention_mask": np.ones((1, len(one.ids)), dtype=np.int64)}
logits = onnxruntime.InferenceSession(folder + "/model.onnx").run(None, feed)[0][0]
print(json.dumps((np.exp(logits) / np.exp(logits).sum()).tolist()))
"""
    expected = list(tl.Predictor.load(run, device="cpu")(text)["probabilities"].values())
    assert consumer(code, folder, text) == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classification", "tagging", "windows"])
def test_a_program_of_torch(kind, files, tiny_encoder, tmp_path):
    way = WINDOWS if kind == "windows" else LORA
    _, folder, checks = export(tmp_path, files, tiny_encoder, kind, way, "torch")
    assert all(check.passed for check in checks)
    code = """
import json, torch
program = torch.export.load(sys.argv[1] + "/model.pt2").module()
print(json.dumps(bool(program)))
"""
    assert consumer(code, folder)


@pytest.mark.slow
def test_sentence_transformers(files, tiny_encoder, tmp_path):
    pytest.importorskip("sentence_transformers")
    run, folder, checks = export(tmp_path, files, tiny_encoder, "classification", LORA, "sentence-transformers")
    assert all(check.passed for check in checks)
    text = test_rows(files, "classification")[0]["text"]
    code = """
import json
from sentence_transformers import SentenceTransformer
print(json.dumps(SentenceTransformer(sys.argv[1], device="cpu").encode([sys.argv[2]])[0].tolist()))
"""
    predictor = tl.Predictor.load(run, device="cpu")
    encoded, _ = predictor.encode({"text": [text]})
    with torch.inference_mode():
        expected = predictor.model.represent(encoded.collate([0]))[0][0].tolist()
    assert consumer(code, folder, text) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("variant", ["lora", pytest.param("dora", marks=pytest.mark.slow)])
def test_peft(variant, files, tiny_encoder, tmp_path):
    way = (tl.ParameterEfficient, {"method": tl.LoRA(r=2, variant=variant)}, {})
    run, folder, checks = export(tmp_path, files, tiny_encoder, "classification", way, "peft")
    assert all(check.passed for check in checks)
    text = test_rows(files, "classification")[0]["text"]
    code = """
import json, torch
from peft import PeftModel
from transformers import AutoModel, AutoTokenizer
folder, base, text = sys.argv[1:]
model = PeftModel.from_pretrained(AutoModel.from_pretrained(base), folder).eval()
given = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
with torch.inference_mode():
    print(json.dumps(model(**given).last_hidden_state.mean(1)[0].tolist()))
"""
    predictor = tl.Predictor.load(run, device="cpu")
    encoded, _ = predictor.encode({"text": [text]})
    with torch.inference_mode():
        expected = predictor.model.represent(encoded.collate([0]))[0][0].tolist()
    assert consumer(code, folder, tiny_encoder.name, text) == pytest.approx(expected, abs=1e-4)


def test_transformers_where_its_head_can_hold_ours(files, tiny_encoder, tmp_path):
    encoder = replace(tiny_encoder, pooling="cls")
    way = (tl.FullFineTuning, {"head": tl.HeadConfig(kind="mlp")}, {})
    run, folder, checks = export(tmp_path, files, encoder, "classification", way, "hf")
    assert all(check.passed and check.changed == 0 for check in checks)
    text = test_rows(files, "classification")[0]["text"]
    code = """
import json
from transformers import pipeline
found = pipeline("text-classification", model=sys.argv[1], top_k=None)([sys.argv[2]])[0]
print(json.dumps({one["label"]: one["score"] for one in found}))
"""
    expected = tl.Predictor.load(run, device="cpu")(text)["probabilities"]
    assert consumer(code, folder, text) == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_transformers_tags_words(files, tiny_encoder, tmp_path):
    run, folder, checks = export(tmp_path, files, tiny_encoder, "tagging", FULL, "hf")
    assert all(check.passed and check.changed == 0 for check in checks)
    code = """
import json
from transformers import AutoModelForTokenClassification
print(json.dumps(AutoModelForTokenClassification.from_pretrained(sys.argv[1]).config.id2label))
"""
    labels = tl.Predictor.load(run, device="cpu").task.labels
    assert list(consumer(code, folder).values()) == list(labels)


@pytest.mark.parametrize(
    ("form", "way", "message"),
    [
        ("hf", FULL, "can only hold a run with encoder.pooling: cls and model.head.kind: mlp.*Use --format onnx"),
        ("hf", (tl.ParameterEfficient, {"method": tl.Bottleneck()}, {}), "parts that transformers does not have"),
        ("peft", FULL, "only LoRA, rsLoRA and DoRA"),
        ("onnx", (tl.FeatureExtraction, {"head": tl.HeadConfig(kind="bilstm")}, {}), "a BiLSTM reads sequences"),
    ],
)
def test_what_a_format_cannot_hold(form, way, message, files, tiny_encoder, tmp_path):
    with pytest.raises(TransferlabError, match=message):
        export(tmp_path, files, tiny_encoder, "classification", way, form)
    assert not list(tmp_path.glob("exported*"))


def test_the_gate_sees_what_differs(files, tiny_encoder, tmp_path, monkeypatch):
    from transferlab.use.export import formats

    def wrong(model, form, example, folder):
        made = formats.hugging_face(model, form, example, folder)
        return made._replace(ask=lambda given: made.ask(given) + 2e-3 * given["attention_mask"].sum())

    monkeypatch.setitem(formats.FORMATS, "hf", wrong)
    with pytest.raises(TransferlabError, match="does not give what the run gives:\nDIFFERS in batches of 8"):
        export(tmp_path, files, tiny_encoder, "tagging", FULL, "hf")
    assert not list(tmp_path.glob("exported*"))


def test_facts_come_back(files, tiny_encoder, tmp_path):
    _, folder, _ = export(tmp_path, files, tiny_encoder, "tagging", FULL, "hf")
    found = facts.read(folder)
    assert (found.task.kind, found.text, found.format) == ("tagging", files["tagging"].text, "hf")
    again = tmp_path / "again"
    again.mkdir()
    found.write(again)
    assert facts.read(again) == found
    content = json.loads((again / facts.NAME).read_text())
    (again / facts.NAME).write_text(json.dumps(content | {"form": 99}))
    with pytest.raises(TransferlabError, match="has form 99, this release reads 1"):
        facts.read(again)
    (again / facts.NAME).write_text("{")
    with pytest.raises(TransferlabError, match="cannot be read"):
        facts.read(again)


def test_a_folder_that_is_no_export_stays(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("x")
    (tmp_path / "runs" / "a" / "b").mkdir(parents=True)
    for name in ("config.yaml", "summary.json"):
        (tmp_path / "runs" / "a" / "b" / name).write_text("{}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TransferlabError, match="mine is there already; it is no export"):
        options.main(["--run", "runs/a/b", "--output", "mine", "--overwrite"])
    assert (tmp_path / "mine" / "file").read_text() == "x"


def test_samples_are_of_all_lengths():
    found = parity.samples(("a", "b"))
    assert len(found["a"]) == len(found["b"]) == len(parity.SENTENCES) + 3
    assert found["a"] != found["b"]
    assert max(map(len, found["a"])) > 1500
