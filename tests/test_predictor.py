"""New texts through a finished run: the answers are those of its test, whatever file they come in."""

import csv
import io
import json
import os
import signal
import subprocess
import sys

import pytest
import torch
from test_api import train

import transferlab as tl
from tests import forked
from transferlab.cli.commands import names_a_file
from transferlab.encoders import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.use.prediction import words
from transferlab.use.prediction.command import main

KINDS = {
    "classification": (tl.FullFineTuning, {}, {}),
    "pairs": (tl.FullFineTuning, {}, {}),
    "regression": (tl.FullFineTuning, {}, {}),
    "tagging": (tl.FullFineTuning, {}, {}),
    "windows": (tl.FullFineTuning, {}, {"truncation": "windows", "max_length": 16}),
    "full windows": (tl.FullFineTuning, {}, {"truncation": "windows", "max_length": 16, "windows": "full"}),
}
STRATEGIES = {
    "packed": (tl.FullFineTuning, {}, {"packed": True}),
    "lora": (tl.ParameterEfficient, {"method": tl.LoRA(r=2)}, {}),
    "adapter": (tl.ParameterEfficient, {"method": tl.Bottleneck()}, {}),
    "prompt": (tl.ParameterEfficient, {"method": tl.PromptTuning(tokens=3)}, {}),
    "frozen with a BiLSTM": (tl.FeatureExtraction, {"head": tl.HeadConfig(kind="bilstm")}, {}),
    "from scratch": (tl.FromScratch, {}, {}),
}
OTHERS = {
    "top layers": (tl.FullFineTuning, {"top_layers": 1}, {}),
    "adalora": (tl.ParameterEfficient, {"method": tl.AdaLoRA(r=3, target_r=2)}, {}),
    "ia3": (tl.ParameterEfficient, {"method": tl.IA3()}, {}),
    "bitfit": (tl.ParameterEfficient, {"method": tl.BitFit()}, {}),
    "norms": (tl.ParameterEfficient, {"method": tl.NormTuning()}, {}),
    "frozen": (tl.FeatureExtraction, {}, {}),
    "frozen with an MLP": (tl.FeatureExtraction, {"head": tl.HeadConfig(kind="mlp")}, {}),
}


def run_of(folder, files, encoder, kind, way):
    strategy, arguments, settings = way
    data = tl.TaskDataModule(
        "tiny", encoder, source=files[file_of(kind)], batch_size=8, **{"max_length": 64, **settings}
    )
    train(folder, strategy(data.spec, encoder, **arguments), data, max_epochs=1)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory, files, tiny_encoder):
    """A finished run of each kind, made when it is first asked for."""
    root = tmp_path_factory.mktemp("runs")
    known = {}

    def get(kind="classification"):
        if kind not in known:
            known[kind] = run_of(root / kind / "one", files, tiny_encoder, kind, KINDS[kind])
        return known[kind]

    return get


def file_of(kind):
    return "windows" if kind == "full windows" else kind


def test_rows(files, kind):
    with open(files[file_of(kind)].files["test"], encoding="utf-8") as file:
        return [json.loads(line) for line in file]


test_rows.__test__ = False


def check_record(folder, rows, text):
    predictor = tl.Predictor.load(folder, device="cpu")
    examples = [{name: row[name] for name in text} for row in rows]
    answers = predictor.predict(examples)
    recorded = [json.loads(line) for line in (folder / "predictions" / "test.jsonl").read_text().splitlines()]
    for answer, line in zip(answers, recorded, strict=True):
        if predictor.task.kind == "regression":
            assert answer["prediction"] == pytest.approx(line["prediction"], abs=1e-5)
        else:
            assert answer["prediction"] == line["prediction"]
        if "scores" in line:
            assert list(answer["probabilities"].values()) == pytest.approx(line["scores"], abs=1e-4)
    alone = [predictor(example) for example in examples]
    for one, answer in zip(alone, answers, strict=True):
        assert one.keys() == answer.keys()
        assert one["prediction"] == (
            pytest.approx(answer["prediction"], abs=1e-5)
            if predictor.task.kind == "regression"
            else answer["prediction"]
        )


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_those_of_the_record(kind, runs, files):
    check_record(runs(kind), test_rows(files, kind), files[file_of(kind)].text)


@pytest.mark.parametrize("way", [*STRATEGIES, *(pytest.param(way, marks=pytest.mark.slow) for way in OTHERS)])
def test_answers_of_each_strategy(way, files, tiny_encoder, tmp_path):
    chosen = (STRATEGIES | OTHERS)[way]
    folder = run_of(tmp_path / "runs" / "py" / "one", files, tiny_encoder, "classification", chosen)
    check_record(folder, test_rows(files, "classification"), files["classification"].text)


def test_answers_of_a_distilled_bilstm(runs, files, tiny_folder, tmp_path):
    student = EncoderConfig(str(tiny_folder), architecture="bilstm")
    teacher = runs()
    data = tl.TaskDataModule("tiny", student, source=files["classification"], batch_size=8, max_length=64)
    model = tl.Distillation(data.spec, student, teacher=str(teacher))
    folder = tmp_path / "runs" / "py" / "one"
    train(folder, model, data, max_epochs=1)
    check_record(folder, test_rows(files, "classification"), files["classification"].text)


def test_margin_and_probability_by_hand(runs, files):
    text = test_rows(files, "classification")[0]["text"]
    predictor = tl.Predictor.load(runs(), device="cpu")
    answer = predictor(text)
    first, second = sorted(answer["probabilities"].values(), reverse=True)[:2]
    assert answer["probability"] == first
    assert answer["probabilities"][answer["prediction"]] == first
    assert answer["margin"] == pytest.approx(first - second, abs=1e-6)
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_a_temperature_divides_the_logits(runs, files):
    text = test_rows(files, "classification")[0]["text"]
    predictor = tl.Predictor.load(runs(), device="cpu")
    plain = torch.tensor(list(predictor(text)["probabilities"].values()))
    predictor.temperature = 2.0
    found = torch.tensor(list(predictor(text)["probabilities"].values()))
    assert torch.allclose(found, (plain.log() / 2).softmax(-1), atol=1e-5)


def test_calibrated_refuses_a_temperature_that_says_nothing(runs):
    with pytest.raises(TransferlabError, match="not to be trusted: only 4 validation examples"):
        tl.Predictor.load(runs(), calibrated=True)
    with pytest.raises(TransferlabError, match="a temperature is for classification"):
        tl.Predictor.load(runs("regression"), calibrated=True)


@pytest.mark.parametrize(
    ("kind", "example", "wanted"),
    [
        ("classification", "", "a text"),
        ("classification", 3, "a text"),
        ("classification", ["a", "b"], "a text"),
        ("pairs", "one", "2 texts"),
        ("tagging", [1, 2], "a text or a list of words"),
        ("classification", {"body": "x"}, "there is no 'text'; it has body"),
    ],
)
def test_what_is_no_example(kind, example, wanted, runs):
    good = ("a", "b") if kind == "pairs" else "a"
    predictor = tl.Predictor.load(runs(kind), device="cpu")
    with pytest.raises(TransferlabError, match=f"example 1.*{wanted}"):
        predictor.predict([good, example])


def test_words_of_a_text_have_their_places():
    text = "Ada's e-mail (to U.S. Steel, Inc.) isn't here."
    found = words.of_text(text)
    assert found.words == ["Ada's", "e-mail", "(", "to", "U.S.", "Steel", ",", "Inc", ".", ")", "isn't", "here", "."]
    assert [text[slice(*place)] for place in found.places] == found.words
    tags = ["B-PER", "O", "O", "O", "B-ORG", "I-ORG", "O", "O", "O", "O", "O", "O", "O"]
    assert words.entities(found, tags) == [
        {"type": "PER", "start": 0, "end": 5, "text": "Ada's"},
        {"type": "ORG", "start": 17, "end": 27, "text": "U.S. Steel"},
    ]
    assert words.of_words(["New", "York"]).places == [(0, 3), (4, 8)]


@pytest.mark.parametrize("scheme", ["BIOES", "tags"])
def test_tags_are_those_of_the_training_files(scheme, tiny_encoder, tmp_path):
    text = {
        "BIOES": "Ada S-PER\nsaid O\nNew B-LOC\nYork E-LOC\n\nin O\nRio S-LOC\n\n",
        "tags": "Ada NOUN\nsaid VERB\n\nshe PRON\nwas VERB\n\n",
    }[scheme]
    # a sentence that stands on one side of a hold-out stands on no other
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.conll").write_text(text * 8, encoding="utf-8")
    paths = {split: str(tmp_path / f"{split}.conll") for split in ("train", "validation", "test")}
    source = tl.Source(files=paths, text=("words",), label="tags", kind="tagging")
    folder = tmp_path / "runs" / "py" / "one"
    data = tl.TaskDataModule("tiny", tiny_encoder, source=source, batch_size=4, max_length=32)
    model = tl.FullFineTuning(data.spec, tiny_encoder, optimizer=lambda p: torch.optim.AdamW(p, lr=3e-3))
    train(folder, model, data, max_epochs=12)
    cells = text.split("\n\n")[0].split()
    answer = tl.Predictor.load(folder, device="cpu")(cells[::2])
    assert answer["prediction"] == cells[1::2]
    entities = [(each["type"], each["text"]) for each in answer["entities"]]
    assert entities == ([] if scheme == "tags" else [("PER", "Ada"), ("LOC", "New York")])


# files --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def place(runs, tmp_path, monkeypatch):
    """A working folder beside the runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def predict(run, *arguments):
    main(["--run", str(run), "--device", "cpu", *map(str, arguments)])


def texts(files, kind="classification"):
    return [row["text"] for row in test_rows(files, kind)]


def answers(run, files, kind="classification"):
    return [line["prediction"] for line in tl.Predictor.load(run, device="cpu").predict(texts(files, kind))]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_keeps_its_rows_and_columns(delimiter, runs, files, place):
    rows = [[number, f'{text}{delimiter}\n"so"', "x,y"] for number, text in enumerate(texts(files))]
    name = "in.tsv" if delimiter == "\t" else "in.csv"
    with open(name, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([["id", "text", "note"], *rows])
    out = name.replace("in", "out")
    predict(runs(), name, "--output", out)
    with open(out, newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file, delimiter=delimiter))
    assert [[int(row["id"]), row["text"], row["note"]] for row in found] == rows
    predictor = tl.Predictor.load(runs(), device="cpu")
    for row, answer in zip(found, predictor.predict([row[1] for row in rows]), strict=True):
        assert row["prediction"] == answer["prediction"]
        assert {k: float(row[f"probability_{k}"]) for k in answer["probabilities"]} == answer["probabilities"]
    assert not list(place.glob("*.part*"))


def test_json_lines_parquet_and_plain_lines(runs, files, place, capsys):
    import pyarrow
    from pyarrow import parquet

    given = [{"id": f"r{n}", "text": text, "more": {"a": [n]}} for n, text in enumerate(texts(files))]
    (place / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given), encoding="utf-8")
    (place / "in.txt").write_text("\n".join(texts(files)) + "\n", encoding="utf-8")
    parquet.write_table(pyarrow.Table.from_pylist(given), place / "in.parquet")
    expected = answers(runs(), files)
    for name in ("in.jsonl", "in.parquet"):
        predict(runs(), name, "--output", "out.jsonl", "--overwrite")
        found = [json.loads(line) for line in (place / "out.jsonl").read_text().splitlines()]
        assert [{key: row[key] for key in ("id", "text", "more")} for row in found] == given
        assert [row["prediction"] for row in found] == expected
    predict(runs(), "in.jsonl", "--output", "out.parquet")
    assert parquet.read_table("out.parquet").column("prediction").to_pylist() == expected
    capsys.readouterr()
    predict(runs(), "in.txt")
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["text"], row["prediction"]) for row in found] == list(zip(texts(files), expected, strict=True))


def test_standard_input_and_rows_without_text(runs, files, place, capsys, monkeypatch):
    given = [texts(files)[0], "", "  ", texts(files)[1]]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO("\n".join(given).encode()))))
    predict(runs(), "-")
    said = capsys.readouterr()
    found = [json.loads(line) for line in said.out.splitlines()]
    assert [row["text"] for row in found] == given
    assert [row["prediction"] is None for row in found] == [False, True, True, False]
    assert "2 row(s) without text have no prediction" in said.err


@pytest.mark.parametrize("kind", ["classification", "tagging"])
def test_texts_that_the_encoder_cannot_read_are_told(kind, runs, place, capsys):
    (place / "in.txt").write_text("the \u5f88 \u597d\n", encoding="utf-8")
    predict(runs(kind), "in.txt", "--format", "lines")
    said = capsys.readouterr()
    assert "warning: of 3 words looked at 66.7 % read as one and the same [UNK]" in said.err
    assert len(said.out.splitlines()) == 1
    (place / "in.txt").write_text("the the \u597d\n", encoding="utf-8")
    predict(runs(kind), "in.txt", "--format", "lines")
    assert "warning" not in capsys.readouterr().err


def test_tagging_in_and_out(runs, files, place):
    rows = [row[files["tagging"].text[0]] for row in test_rows(files, "tagging")]
    text = "-DOCSTART- O\n\n" + "".join("".join(f"{word} _\n" for word in row) + "\n" for row in rows)
    (place / "in.conll").write_text(text, encoding="utf-8")
    predict(runs("tagging"), "in.conll", "--output", "out.conll")
    blocks = (place / "out.conll").read_text().strip("\n").split("\n\n")
    found = [[line.split("\t") for line in block.split("\n")] for block in blocks]
    assert [[word for word, _ in block] for block in found] == rows
    expected = tl.Predictor.load(runs("tagging"), device="cpu").predict(rows)
    assert [[tag for _, tag in block] for block in found] == [answer["prediction"] for answer in expected]
    predict(runs("tagging"), "in.conll", "--output", "out.jsonl")
    lines = [json.loads(line) for line in (place / "out.jsonl").read_text().splitlines()]
    assert [line["entities"] for line in lines] == [answer["entities"] for answer in expected]


def test_other_columns(runs, files, place):
    (place / "in.csv").write_text("body\n" + "\n".join(f'"{text}"' for text in texts(files)), encoding="utf-8")
    with pytest.raises(TransferlabError, match="no column 'text'. Its first line names body"):
        predict(runs(), "in.csv")
    predict(runs(), "in.csv", "--text", "body", "--output", "out.csv")
    with pytest.raises(TransferlabError, match="out.csv is there already; --overwrite"):
        predict(runs(), "in.csv", "--text", "body", "--output", "out.csv")
    with pytest.raises(TransferlabError, match=r"reads 1 column\(s\), text; 2 given"):
        predict(runs(), "in.csv", "--text", "body", "title")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("in.csv", "text,id\na,1\nb\n", "in.csv, line 3: 1 fields where the first line has 2"),
        ("in.csv", 'text,id\n"a\nb",1\n"c', "in.csv, line 4: unexpected end of data"),
        ("in.csv", "text,prediction\na,1\n", "column 'prediction' is called as one of the predictions"),
        ("in.jsonl", '{"text": "a"}\n\n{"text": 3}\n', "in.jsonl, line 3: 'text' must be text, not '3'"),
        ("in.jsonl", '{"text": "a"}\n{"body": "b"}\n', "in.jsonl, line 2: no 'text' among body"),
        ("in.jsonl", '{"text": "a"}\n[1]\n', "in.jsonl, line 2: an object such as"),
        ("in.jsonl", '{"text": "a"\n', "in.jsonl, line 1: this is not JSON"),
        ("in.parquet", "no", "cannot read in.parquet"),
        ("in.csv", "", "in.csv is empty"),
    ],
)
def test_what_cannot_be_read(name, content, message, runs, place):
    (place / name).write_text(content, encoding="utf-8")
    with pytest.raises(TransferlabError, match=message.replace("[", r"\[")):
        predict(runs(), name, "--output", "out.jsonl")
    assert not (place / "out.jsonl").exists()


def test_encodings(runs, place):
    for encoding in ("utf-8-sig", "utf-16", "cp1252"):
        (place / "in.csv").write_bytes("id,text\r\n1,a café in the town\r\n".encode(encoding))
        predict(runs(), "in.csv", "--output", "out.jsonl", "--overwrite")
        (row,) = (json.loads(line) for line in (place / "out.jsonl").read_text(encoding="utf-8").splitlines())
        assert (row["id"], row["text"]) == ("1", "a café in the town")
    (place / "in.txt").write_bytes(b"good\n" * 300_000 + b"caf\xe9\n")
    with pytest.raises(TransferlabError, match=r"behind line \d+: this is not UTF-8"):
        list(_input("in.txt").rows)


def _input(name):
    from transferlab.use.prediction.inputs import Input, Wanted

    return Input(name, Wanted(("text",)))


def test_a_killed_run_goes_on_without_a_row_twice_or_missing(runs, files, place):
    rows = [f'{n},"{texts(files)[n % 8]}"' for n in range(400)]
    (place / "in.csv").write_text("\n".join(["id,text", *rows]) + "\n", encoding="utf-8")
    run = str(runs())

    def killed():
        from transferlab.use.prediction import command, outputs

        command.ROWS, command.KEEP_EVERY = 64, 0
        usual = outputs.Output.write

        def write(self, text):
            usual(self, text)
            if "\n200," in text:
                os.kill(os.getpid(), signal.SIGKILL)

        outputs.Output.write = write
        command.main(["--run", run, "--device", "cpu", "in.csv", "--output", "out.csv"])

    assert forked.ended(forked.call(place, killed)) == -signal.SIGKILL, (place / "output").read_text()
    done = json.loads((place / "out.csv.part.json").read_text())["rows"]
    assert done == 192
    # what was written behind the note is not trusted
    with open("out.csv.part", "ab") as file:
        file.write(b"half a li")
    predict(runs(), "in.csv", "--output", "out.csv")
    with open("out.csv", encoding="utf-8") as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    assert ids == [str(n) for n in range(400)]
    assert not list(place.glob("*.part*"))


def test_a_part_of_other_input_is_begun_anew(runs, files, place):
    from transferlab.use.prediction.outputs import Output

    part = Output(place / "out.jsonl", {"input": "other"})
    part.write("rubbish\n")
    part.keep(1)
    (place / "in.txt").write_text("\n".join(texts(files)), encoding="utf-8")
    predict(runs(), "in.txt", "--output", "out.jsonl")
    assert len((place / "out.jsonl").read_text().splitlines()) == 8


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(runs, files, place):
    def peak(count):
        with open("in.csv", "w", encoding="utf-8") as file:
            file.write("id,text\n")
            file.writelines(f'{n},"{texts_of[n % 8]}"\n' for n in range(count))
        code = (
            "import resource, sys, transferlab.use.prediction.command as c; "
            f"c.main(['--run', {str(runs())!r}, '--device', 'cpu', 'in.csv', '--output', 'out.csv', '--overwrite']); "
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return int(found.stdout)

    texts_of = texts(files)
    # the second is forty times as long, 14 MB
    assert peak(200_000) < peak(5_000) + 40_000


def test_the_record_stays(runs, files, place):
    before = {path: path.read_bytes() for path in runs().rglob("*") if path.is_file()}
    (place / "in.txt").write_text("\n".join(texts(files)), encoding="utf-8")
    predict(runs(), "in.txt", "--output", "out.jsonl")
    assert {path: path.read_bytes() for path in runs().rglob("*") if path.is_file()} == before


def test_a_name_that_no_file_can_have(place):
    with pytest.raises(TransferlabError, match="no run"):
        predict("x" * 300, "in.csv")
    with pytest.raises(TransferlabError, match="no such file"):
        _input("x" * 300)


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("--run x in.csv", True),
        ("in.csv --run x", True),
        ("--run=x -", True),
        ("--run x --output y", True),
        ("--run x", False),
        ("--run x --data.predict [a]", False),
        ("--config c.yaml --ckpt_path d", False),
    ],
)
def test_a_command_line_about_a_file(line, file):
    assert names_a_file(line.split()) is file
