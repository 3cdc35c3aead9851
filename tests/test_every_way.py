"""Every strategy and form of input with every command that uses a run: it works, or is refused with what does."""

import asyncio
import csv
import json
import shutil
import sys
from dataclasses import replace

import pytest
from test_one_way import save_decoder
from test_predictor import KINDS, OTHERS, STRATEGIES, file_of, run_of, test_rows
from test_update import KEYS, new_rows, write
from test_update import update as update_run

import transferlab as tl
from transferlab.analysis.comparison.groups import key_of
from transferlab.analysis.comparison.standing import block_of
from transferlab.encoders import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.record import folder as run_folder
from transferlab.record import predictions
from transferlab.tasks import Source
from transferlab.tasks.embedded import generate
from transferlab.tasks.table import TASKS
from transferlab.use import submission
from transferlab.use.active import options as selecting
from transferlab.use.drift import options as drift
from transferlab.use.explanation import options as explaining
from transferlab.use.export import command as exporting
from transferlab.use.export.formats import FORMATS
from transferlab.use.exported import Exported
from transferlab.use.forgetting import command as forgetting
from transferlab.use.prediction import command as predicting
from transferlab.use.pruning.command import prune
from transferlab.use.quantising.command import Asked
from transferlab.use.quantising.command import run as quantise
from transferlab.use.robustness import options as robustness
from transferlab.use.serving.app import Service
from transferlab.use.serving.options import Keep, Limits
from transferlab.use.serving.questions import read
from transferlab.use.serving.served import Place
from transferlab.use.serving.tokens import Tokens

BILSTM = tl.HeadConfig(kind="bilstm")
FULL = (tl.FullFineTuning, {}, {})
APART = {"pairs": "apart"}
ASKED = {"stride": 16}
SOLVED = {"solver": "lbfgs", "head": tl.HeadConfig(kind="linear")}
OF_CLASSES = {
    **STRATEGIES,
    **OTHERS,
    "full": FULL,
    "dora": (tl.ParameterEfficient, {"method": tl.LoRA(r=2, variant="dora")}, {}),
    "tuner": (tl.ParameterEfficient, {"method": tl.Tuner("vera", {"r": 4})}, {}),
    "solved": (tl.FeatureExtraction, SOLVED, {}),
    "solved on a mix": (tl.FeatureExtraction, SOLVED, {"layers": "mix"}),
    "gradual unfreezing": (tl.FullFineTuning, {"unfreeze_at": (1, 2), "unfreeze_schedule": "layer"}, {}),
    "an MLP on the first token": (tl.FullFineTuning, {"head": tl.HeadConfig(kind="mlp")}, {"pooling": "cls"}),
    "distilled": (tl.Distillation, {}, {"keep_layers": (1,)}),
    "a distilled BiLSTM": (tl.Distillation, {}, {"architecture": "bilstm"}),
    "fewer heads": (tl.FullFineTuning, {}, {"keep_heads": ((0, 1), (2,))}),
    "prompting": (tl.Prompting, {"demonstrations": 2}, {}),
    "prompting, zero-shot": (tl.Prompting, {"tune": "none"}, {}),
    "contrastive": (tl.Contrastive, {}, {}),
    "a decoder": (tl.FullFineTuning, {}, {"name": "llama"}),
    "a decoder with LoRA": (tl.ParameterEfficient, {"method": tl.LoRA(r=2)}, {"name": "gpt2"}),
    "a decoder, solved": (tl.FeatureExtraction, SOLVED, {"name": "qwen3"}),
}
"""Way to strategy, its arguments, and keys of the data or of the encoder; `name` is a family of decoders."""
OF_KINDS = {
    **{kind: (kind, way) for kind, way in KINDS.items() if kind != "classification"},
    "several labels": ("multilabel", FULL),
    "several labels, solved": ("multilabel", (tl.FeatureExtraction, SOLVED, {})),
    "tail": ("windows", (tl.FullFineTuning, {}, {"truncation": "tail", "max_length": 16})),
    "pairs apart": ("pairs", (tl.FullFineTuning, {}, APART)),
    "pairs apart, solved": ("pairs", (tl.FeatureExtraction, SOLVED, APART)),
    "pairs apart, packed": ("pairs", (tl.FullFineTuning, {}, APART | {"packed": True})),
    "windows, packed": (
        "windows",
        (tl.FullFineTuning, {}, {"truncation": "windows", "max_length": 16, "packed": True}),
    ),
    "tagging with constraints": ("tagging", (tl.FullFineTuning, {"head": tl.HeadConfig(decoding="constrained")}, {})),
    "tagging with a BiLSTM": ("tagging", (tl.FeatureExtraction, {"head": BILSTM}, {})),
    "tagging, packed": ("tagging", (tl.FullFineTuning, {}, {"packed": True})),
    "tagging with a decoder": ("tagging", (tl.FullFineTuning, {}, {"name": "gpt2"})),
    "pairs with a decoder": ("pairs", (tl.FullFineTuning, {}, {"name": "llama"})),
    "questions": ("qa", (tl.FullFineTuning, {}, ASKED)),
    "questions with LoRA": ("qa", (tl.ParameterEfficient, {"method": tl.LoRA(r=2)}, ASKED)),
    "questions, packed": ("qa", (tl.FullFineTuning, {}, ASKED | {"packed": True})),
    "questions with a BiLSTM": ("qa", (tl.FullFineTuning, {"head": BILSTM}, ASKED)),
    "relations": ("relation", FULL),
    "texts": ("text", (tl.FromScratch, {}, {"name": "embedded/t5", "architecture": "random"})),
    "relations with LoRA": ("relation", (tl.ParameterEfficient, {"method": tl.LoRA(r=2)}, {})),
    "relations, frozen": ("relation", (tl.FeatureExtraction, {}, {"markers": "punctuation"})),
}
WAYS = {way: ("classification", chosen) for way, chosen in OF_CLASSES.items()} | OF_KINDS
NO_GRAPH = "a BiLSTM .*`transferlab predict` (uses|and tl.Predictor use) the run itself"
LSTM = ("frozen with a BiLSTM", "a distilled BiLSTM", "tagging with a BiLSTM", "questions with a BiLSTM")
INSIDE = (
    "lora",
    "dora",
    "adalora",
    "ia3",
    "tuner",
    "a decoder with LoRA",
    "questions with LoRA",
    "relations with LoRA",
)
"""Updates that were put into the projections of the encoder."""
ADDED = ("adapter", "prompt")
"""Parts that cannot be merged into its weights."""
TAGGERS = ("tagging", "tagging with constraints", "tagging, packed")


@pytest.fixture(scope="module")
def files(files, tmp_path_factory):
    """Those of all tests, and questions and relations."""
    folder, more = tmp_path_factory.mktemp("questions_and_relations"), {}
    for kind, task in (("qa", "demo_answers"), ("relation", "demo_relations"), ("text", "demo_dates")):
        source = TASKS[task]
        paths = {split: folder / f"{kind}_{split}.jsonl" for split in ("train", "test")}
        for (split, path), count in zip(paths.items(), (40, 8), strict=True):
            rows = [generate(source.config, split)[number] for number in range(count)]
            names = source.labels
            write(path, [row | {"label": names[row["label"]]} if names else row for row in rows])
        given = {split: str(path) for split, path in paths.items()}
        more[kind] = Source(
            files=given, text=source.text, label=source.label, kind=source.kind, labels=source.labels, test=("test",)
        )
    return {**files, **more}


@pytest.fixture(scope="module")
def ran(tmp_path_factory, files, tiny_encoder, tiny_folder, language_folder):
    """The run of a way, made when it is first asked for, in a working directory of its own."""
    root, known = tmp_path_factory.mktemp("ways"), {}

    def get(way):
        if way not in known:
            kind, (strategy, arguments, settings) = WAYS[way]
            of_data = {key: value for key, value in settings.items() if key not in EncoderConfig.__dataclass_fields__}
            of_encoder = {key: value for key, value in settings.items() if key not in of_data}
            family = of_encoder.pop("name", None)
            if family and kind == "text":
                encoder = EncoderConfig(family, **of_encoder)
            else:
                encoder = replace(save_decoder(root, family) if family else tiny_encoder, **of_encoder)
            if strategy is tl.Prompting:
                encoder = EncoderConfig(str(language_folder))
            if strategy is tl.Distillation:
                arguments = {**arguments, "teacher": str(get("full"))}
            # 20 of 40 examples, as a drift needs them
            of_data = {"holdout": 0.5, **of_data}
            place = root / way.replace(" ", "_").replace(",", "") / "runs" / "py" / "one"
            known[way] = run_of(place, files, encoder, kind, (strategy, arguments, of_data))
        return known[way]

    return get


def rows_of(files, kind):
    text = files[file_of(kind)].text
    return [{name: row[name] for name in text} for row in test_rows(files, kind)]


def same_as_recorded(run, answers):
    """Whether answers are those that the test of a run recorded."""
    recorded = predictions.read(run / "predictions" / "test.jsonl")
    for answer, line in zip(answers, recorded, strict=True):
        if isinstance(line["prediction"], float):
            assert answer["prediction"] == pytest.approx(line["prediction"], abs=1e-4)
        else:
            assert answer["prediction"] == line["prediction"]
        if "scores" in line:
            assert list(answer["probabilities"].values()) == pytest.approx(line["scores"], abs=1e-4)
        if "margin" in line:
            assert answer["margin"] == pytest.approx(line["margin"], abs=1e-3)


def predict(run, kind, files, place):
    path = write(place / "in.jsonl", rows_of(files, kind))
    predicting.main(["--run", str(run), str(path), "--output", str(place / "out.jsonl"), "--device", "cpu"])
    same_as_recorded(run, predictions.read(place / "out.jsonl"))


def export(form):
    def of(run, kind, files, place):
        checks = exporting.export(run, form, place / "export")
        assert all(check.passed for check in checks)
        if form == "onnx":
            same_as_recorded(run, Exported(place / "export").predict(rows_of(files, kind)))

    return of


def quantised(run, kind, files, place):
    quantise(Asked(str(run), "int8-dynamic", 1.0, place / "small", root=run.parents[1]))
    assert len(Exported(place / "small").predict(rows_of(files, kind))) == 8
    entries = {path.name for path in (run / run_folder.FORMS).iterdir()}
    assert entries == {f"{run.name}-onnx", f"{run.name}-int8-dynamic"}
    shutil.rmtree(run / run_folder.FORMS)


def pruned(run, kind, files, place):
    new = prune(run, 0.25, root=place / "runs")
    answers = tl.Predictor.load(new, device="cpu").predict(rows_of(files, kind))
    assert len(answers) == 8


def updated(run, kind, files, place):
    update_run(run, write(place / "new.jsonl", new_rows(files, file_of(kind))), place / "runs", *KEYS)
    (new,) = (place / "runs").glob("*_updated/*")
    summary = run_folder.read_summary(new)
    assert summary["status"] == "finished"
    recorded = run_folder.read_summary(run)["metrics"]
    told = json.loads((new / "update.json").read_text())["tests"]
    assert list(told) == ["test", "test_new"]
    # so it stands in the tables and pictures of its run
    assert len({block_of(key_of(run_folder.read_summary(one))) for one in (run, new)}) == 1
    assert told["test"]["before"] == pytest.approx(recorded[f"test/{told['test']['metric']}"], abs=1e-4)
    same_as_recorded(new, tl.Predictor.load(new, device="cpu").predict(rows_of(files, kind)))


def explained(run, kind, files, place):
    path = write(place / "in.jsonl", rows_of(files, kind)[:2])
    explaining.main(["--run", str(run), str(path), "--orders", "1", "--device", "cpu"])
    told = json.loads((place / "explanation.json").read_text())["examples"]
    assert len(told) == 2
    # doubled up to 800 steps, where a residue may stay and is told
    residues = [one["residue"] for each in told for one in each["explanations"]]
    assert all(residue <= 0.05 for residue in residues), residues


def robust(run, kind, files, place):
    robustness.main(["--run", str(run), "--change", "typos", "--device", "cpu"])
    told = json.loads((run / "robustness.json").read_text())
    (run / "robustness.json").unlink()
    recorded = run_folder.read_summary(run)["metrics"]
    assert {f"test/{name}": value for name, value in told["metrics"].items()} == pytest.approx(
        {f"test/{name}": recorded[f"test/{name}"] for name in told["metrics"]}, abs=1e-4
    )


def drifted(run, kind, files, place):
    path = write(place / "in.jsonl", new_rows(files, file_of(kind)))
    drift.main(["--run", str(run), str(path), "--output", str(place / "drift.json"), "--device", "cpu"])
    told = json.loads((place / "drift.json").read_text())
    names = {check["name"] for check in told["checks"]}
    assert {"length in tokens", "features (MMD)", "features (classifier)"} <= names
    assert told["quality"]["new texts"]["metric"]


def served(run, kind, files, place):
    exporting.export(run, "onnx", place / "served")
    service = Service(Place(place / "served"), Limits(), Tokens(), Keep(counts=place / "counts"), threads=1, size=8)
    facts, rows = service.place.current.facts, rows_of(files, kind)
    body = json.dumps({"texts": rows}).encode()
    answers = asyncio.run(service._answers(service.place.current, *read(service.form, body, facts, Limits())[:2]))
    service.batcher.close()
    service.kept.flush()
    same_as_recorded(run, answers)
    counts = json.loads((place / "counts").read_text())
    assert counts["texts"] == 8
    if kind not in ("regression", "tagging"):
        # no word of a text is kept, such as an answer to a question
        assert set(counts.get("predictions", ())) <= {*facts.task.labels, "an answer", "no answer"}


def selected(run, kind, files, place):
    label = files[file_of(kind)].label
    pool = [{name: cell for name, cell in row.items() if name != label} for row in new_rows(files, file_of(kind))]
    path, chosen = write(place / "pool.jsonl", pool), place / "chosen.csv"
    given = ["--run", str(run), str(path), "--strategy", "core_set", "--count", "5", "--output", str(chosen)]
    selecting.main([*given, "--device", "cpu"])
    with chosen.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 5


def forgotten(run, kind, files, place):
    sizes = ["--probes", "2", "--rows", "40", "--test-rows", "40", "--texts", "20"]
    forgetting.main(["--run", str(run), "--probe", "demo_sentences", *sizes])
    told = json.loads((run / "forgetting.json").read_text())
    (run / "forgetting.json").unlink()
    assert told["probes"]["demo_sentences"]


def submitted(run, kind, files, place):
    submission.main([str(run), "--output", str(place / "submission.zip")])


COMMANDS = {
    "predict": predict,
    **{f"export {form}": export(form) for form in FORMATS},
    "quantise": quantised,
    "prune": pruned,
    "update": updated,
    "explain": explained,
    "robustness": robust,
    "drift": drifted,
    "serve": served,
    "select": selected,
    "forgetting": forgotten,
    "submission": submitted,
}
PARTS = "parts that transformers does not have.*use --format onnx or torch"


def refusal(way, command):
    """What a command says where it does not take a way, with the one that does; empty where it works."""
    if way.startswith("prompting") and command.startswith(("export", "quantise", "explain", "serve")):
        return "lays each text into a pattern .*`transferlab predict`"
    if way == "texts":
        return of_texts(command)
    if command == "prune":
        if "decoder" in way:
            return "cannot be dropped; those of .* can|Drop heads first"
        bilstm = "cannot be dropped; those of .* can" if way == "a distilled BiLSTM" else ""
        return "Drop heads first, .* or name a run of full fine-tuning" if way in INSIDE else bilstm
    if command in ("export onnx", "export torch", "quantise", "serve"):
        return NO_GRAPH if way in LSTM else ""
    if command == "explain" and WAYS[way][0] in ("qa", "relation"):
        return "words are not explained; `transferlab predict` gives"
    if command == "forgetting" and way in ("from scratch", "a distilled BiLSTM"):
        return "began with random weights, so it had nothing to forget; name another run"
    if command == "submission":
        return "tiny is not a GLUE task. The server takes cola, sst2"
    refused = {"export hf": hf, "export sentence-transformers": sentence_transformers, "export peft": peft}
    if command in refused and WAYS[way][0] in ("qa", "relation"):
        return "(choose among the windows|reads the vectors of marked entities).*use --format onnx or torch"
    return refused[command](way) if command in refused else ""


def of_texts(command):
    if command in ("predict", "export hf", "export torch"):
        return ""
    if command in ("export onnx", "export sentence-transformers", "quantise", "serve"):
        return "is exported with --format hf"
    if command == "export peft":
        return "only LoRA, rsLoRA and DoRA .* use --format hf"
    others = {"submission": "not a GLUE task", "forgetting": "had nothing to forget"}
    return others.get(command, "does not take runs that write texts.*`transferlab predict`")


def hf(way):
    if "decoder" in way:
        return "transformers' classes for decoders .*use --format onnx .all of it."
    if way in ("an MLP on the first token", *TAGGERS):
        return ""
    if way in ADDED:
        return PARTS
    if way == "a distilled BiLSTM":
        return NO_GRAPH
    if way == "fewer heads":
        return "fewer heads; use --format onnx or torch"
    apart = "apart" in way or "windows" in way
    reads_more = way in LSTM or way == "solved on a mix" or apart
    return "use onnx|" + NO_GRAPH if reads_more else "Use --format onnx .all of it., or sentence-transformers"


def sentence_transformers(way):
    if way in ADDED:
        return PARTS
    if way in (*TAGGERS, "tagging with a BiLSTM", "tagging with a decoder", "solved on a mix"):
        return "use --format onnx"
    return {"a distilled BiLSTM": NO_GRAPH, "fewer heads": "fewer heads; use --format onnx or torch"}.get(way, "")


def peft(way):
    return (
        ""
        if way in ("lora", "dora", "a decoder with LoRA")
        else "only LoRA, rsLoRA and DoRA .* use --format onnx or torch"
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("way", WAYS)
def test_it_works_or_is_refused_with_what_does(way, command, ran, files, tmp_path, monkeypatch):
    run, kind = ran(way), WAYS[way][0]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["transferlab"])
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and ".read" not in path.parts}
    if told := refusal(way, command):
        with pytest.raises(TransferlabError, match=told):
            COMMANDS[command](run, kind, files, tmp_path)
    else:
        COMMANDS[command](run, kind, files, tmp_path)
    assert {path: path.read_bytes() for path in before} == before
