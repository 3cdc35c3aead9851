"""A run that is trained on: which examples it sees, what it starts from, what it gains and forgets."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
import torch
from test_predictor import run_of

import transferlab as tl
from tests import forked
from transferlab.analysis.comparison import gained
from transferlab.ground.errors import TransferlabError
from transferlab.record import folder as run_folder
from transferlab.record.setting import fingerprint
from transferlab.strategies import content
from transferlab.strategies.teacher import restore
from transferlab.training import start
from transferlab.use.reread import data_of
from transferlab.use.update import examples, kept
from transferlab.use.update.options import main


@pytest.fixture(scope="module")
def base(tmp_path_factory, files, tiny_encoder):
    """A finished run of each kind, made when it is first asked for."""
    root, known = tmp_path_factory.mktemp("update"), {}

    def get(kind="classification", way=(tl.FullFineTuning, {}, {})):
        name = f"{kind}_{way[0].__name__}_{'_'.join(map(str, way[1].values()))[:12]}".replace("(", "").replace(")", "")
        if name not in known:
            known[name] = run_of(root / "runs" / name.replace("=", "") / "one", files, tiny_encoder, kind, way)
        return known[name]

    return get


def new_rows(files, kind="classification", count=30):
    """Rows that training did not have, in the form of its files."""
    rows = [json.loads(line) for line in Path(files[kind].files["train"]).read_text().splitlines()]
    text = files[kind].text[0]
    marked = [
        {**row, text: [*row[text][:-1], f"x{n}", row[text][-1]] if isinstance(row[text], list) else f"{row[text]} {n}"}
        for n, row in enumerate(rows[:count])
    ]
    if kind == "tagging":
        label = files[kind].label
        marked = [{**row, label: [*row[label][:-1], "O", row[label][-1]]} for row in marked]
    return marked


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def parts_of(run, path, replay=0.5, tested=None):
    model = restore(run)
    old = data_of(run)
    new = examples.read_new(str(path), old, model.task)
    test = examples.read_new(str(tested), old, model.task) if tested else None
    return old, examples.gather(old, model.task, new, test, replay)


OTHERS = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("pairs", "regression", "multilabel")]


@pytest.mark.parametrize("kind", ["classification", "tagging", *OTHERS])
def test_no_text_of_a_test_set_is_trained_or_selected_on(kind, base, files, tmp_path):
    rows = new_rows(files, kind)
    known = [json.loads(line) for line in Path(files[kind].files["test"]).read_text().splitlines()]
    old, parts = parts_of(base(kind), write(tmp_path / "new.jsonl", [*rows, known[0]]))
    texts = {name: {examples.key(row, old.source) for row in rows} for name, rows in parts.splits.items()}
    assert list(parts.splits) == ["train", "validation", "test", "test_new"]
    assert not texts["train"] & texts["validation"]
    assert not (texts["train"] | texts["validation"]) & (texts["test"] | texts["test_new"])
    # 30 new ones: a fifth is tested on, a tenth of the rest selects
    assert len(parts.splits["test_new"]) == 6
    assert parts.counts == {"new": 22, "old": round(0.5 * len(old.part_rows("train")[1]))}
    assert parts.notes == ["1 new examples stand in a test or validation set and are left out"]
    # texts and labels are as they stood in the files
    label, text = old.source.label, old.source.text[0]
    given = {json.dumps(row[text]): row[label] for row in rows}
    for row in parts.splits["test_new"]:
        assert row[label] == pytest.approx(given[json.dumps(row[text])])


def test_replay_is_a_share_and_new_labels_win(base, files, tmp_path):
    learned = [json.loads(line) for line in Path(files["classification"].files["train"]).read_text().splitlines()]
    path = write(tmp_path / "new.jsonl", [*new_rows(files), *learned[:3]])
    tested = write(tmp_path / "test.jsonl", [{**row, "text": row["text"] + " again"} for row in learned[5:15]])
    old, parts = parts_of(base(), path, 1.0, tested)
    trained = [examples.key(row, old.source) for row in parts.splits["train"]]
    assert len(trained) == len(set(trained))
    assert len(parts.splits["test_new"]) == 10
    assert any("old training examples stand among the new ones" in note for note in parts.notes)
    _, none = parts_of(base(), path, 0.0, tested)
    assert none.counts["old"] == 0
    assert none.splits["test_new"] == parts.splits["test_new"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"text": "a", "label": "strange"}], "unknown label 'strange'.*a new label needs a new run"),
        ([{"body": "a", "label": "x"}], "has no column 'text'"),
        ([{"text": 3, "label": "x"}], "must hold text"),
    ],
)
def test_what_is_no_new_example(rows, message, base, files, tmp_path):
    path = write(tmp_path / "new.jsonl", [*new_rows(files)[:2], *rows] if "body" not in rows[0] else rows)
    with pytest.raises(TransferlabError, match=message):
        main(["--run", str(base()), "--data", str(path), "--root", str(tmp_path / "runs")])
    assert not (tmp_path / "runs").exists()


def test_what_an_update_needs(base, files, tmp_path, monkeypatch):
    few = write(tmp_path / "few.jsonl", new_rows(files)[:3])
    with pytest.raises(TransferlabError, match=r"few.jsonl has 3 examples; 10 are needed"):
        main(["--run", str(base()), "--data", str(few), "--root", str(tmp_path)])
    with pytest.raises(TransferlabError, match=r"--replay: 2.0 is not in 0 .. 1"):
        main(["--run", str(base()), "--data", str(few), "--replay", "2"])
    with pytest.raises(TransferlabError, match=r"unrecognized arguments: --replya \(did you mean '--replay'"):
        main(["--run", str(base()), "--data", str(few), "--replya", "0.2"])
    train_file = Path(files["classification"].files["train"])
    text = train_file.read_text()
    try:
        train_file.rename(tmp_path / "gone")
        with pytest.raises(TransferlabError, match="needs the training, validation and test sets of.*no such file"):
            main(["--run", str(base()), "--data", str(few), "--root", str(tmp_path)])
    finally:
        train_file.write_text(text, encoding="utf-8")


def test_the_start_makes_a_setting_of_its_own_and_none_keeps_the_old_one(base):
    tree = {"data": {"init_args": {"task": "x"}}, "run": {"root": "runs", "experiment": "e"}}
    assert fingerprint({**tree, "run": {**tree["run"], "start": None}}) == fingerprint(tree)
    started = {**tree, "run": {**tree["run"], "start": str(base())}}
    assert fingerprint(started) != fingerprint(tree)
    # another name of the run is the same start
    assert fingerprint({**tree, "run": {"start": str(base()), "experiment": "f"}}) == fingerprint(started)


WAYS = {
    "full": (tl.FullFineTuning, {}, {}),
    "lora": (tl.ParameterEfficient, {"method": tl.LoRA(r=2)}, {}),
    "adapter": (tl.ParameterEfficient, {"method": tl.Bottleneck()}, {}),
    "frozen": (tl.FeatureExtraction, {}, {}),
}
SLOW = {
    "adalora": (tl.ParameterEfficient, {"method": tl.AdaLoRA(r=3, target_r=2)}, {}),
    "prompt": (tl.ParameterEfficient, {"method": tl.PromptTuning(tokens=3)}, {}),
    "bitfit": (tl.ParameterEfficient, {"method": tl.BitFit()}, {}),
    "ia3": (tl.ParameterEfficient, {"method": tl.IA3()}, {}),
    "from scratch": (tl.FromScratch, {}, {}),
    "top layers": (tl.FullFineTuning, {"top_layers": 1}, {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", [*WAYS, *SLOW])
def test_the_weights_are_those_of_the_run(way, base):
    chosen = (WAYS | SLOW)[way]
    run = base("classification", chosen)
    model = restore(run)
    fresh = chosen[0](model.task, model.encoder_config, **chosen[1])
    found = start.load(fresh, run)
    assert found["experiment"] == run_folder.read_summary(run)["experiment"]
    assert len(found["checkpoint"]) >= 16
    stored = content.read(run / "checkpoints" / "best.ckpt")["state_dict"]
    own = fresh.state_dict()
    assert stored
    assert all(torch.equal(value, own[name]) for name, value in stored.items())


def update(run, path, root, *arguments):
    sys.argv = ["transferlab"]
    main(["--run", str(run), "--data", str(path), "--root", str(root), *arguments])


KEYS = ("--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--trainer.logger", "false")


def check_update(kind, way, base, files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["transferlab"])
    run = base(kind, way)
    update(run, write(tmp_path / "new.jsonl", new_rows(files, kind)), tmp_path / "runs", "--experiment", "later", *KEYS)
    (folder,) = (tmp_path / "runs" / "later").iterdir()
    summary = run_folder.read_summary(folder)
    assert summary["status"] == "finished"
    assert summary["start"]["run"] == str(run)
    assert summary["strategy"].endswith(" updated")
    assert summary["setting"] != run_folder.read_summary(run)["setting"]
    found = json.loads((folder / gained.NAME).read_text())["tests"]
    assert list(found) == ["test", "test_new"]
    # what the run itself recorded on its test set, and what the new one recorded on both
    metric = found["test"]["metric"]
    assert found["test"]["before"] == pytest.approx(run_folder.read_summary(run)["metrics"][f"test/{metric}"], abs=1e-4)
    for name, each in found.items():
        assert each["after"] == pytest.approx(summary["metrics"][f"{name}/{metric}"], abs=1e-4)
    assert "gained and forgotten since" in capsys.readouterr().out
    return folder


def test_an_update_from_end_to_end(base, files, tmp_path, monkeypatch, capsys):
    check_update("classification", WAYS["lora"], base, files, tmp_path, monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pairs", "regression", "tagging", "multilabel"])
def test_an_update_of_each_kind(kind, base, files, tmp_path, monkeypatch, capsys):
    check_update(kind, WAYS["full"], base, files, tmp_path, monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["adapter", "frozen", "adalora", "prompt", "from scratch", "top layers"])
def test_an_update_of_each_strategy(way, base, files, tmp_path, monkeypatch, capsys):
    check_update("classification", (WAYS | SLOW)[way], base, files, tmp_path, monkeypatch, capsys)


def test_a_start_whose_weights_would_be_lost_is_refused(base):
    """A checkpoint of the new run would lack what only the old one trained, and be read with pretrained weights."""
    run = base()
    model = restore(run)
    task, encoder = model.task, model.encoder_config
    for fewer in (
        tl.FullFineTuning(task, encoder, top_layers=1),
        tl.ParameterEfficient(task, encoder, method=tl.BitFit()),
        tl.FeatureExtraction(task, encoder, head=model.head_config),
    ):
        with pytest.raises(TransferlabError, match="run.start: .* trained encoder.* which this run leaves as it is"):
            start.load(fewer, run)
    with pytest.raises(
        TransferlabError, match=r"run.start: the checkpoint does not fit.*head.inner.0.weight \(missing"
    ):
        start.load(tl.FeatureExtraction(task, encoder, head=tl.HeadConfig(kind="mlp")), run)
    # all that the run trained is trained on
    start.load(tl.FullFineTuning(task, encoder), run)


def test_a_head_that_starts_solved_is_not_solved_anew(base):
    run = base()
    model = restore(run)
    again = tl.FullFineTuning(model.task, model.encoder_config, head=tl.HeadConfig(start="solved"))
    assert again.starts_solved
    start.load(again, run)
    assert not again.starts_solved
    assert again.without_effect()["model.head.start"] == "the head is that of run.start"


@pytest.mark.slow
def test_an_update_is_killed_and_resumed(base, files, tmp_path):
    """Killed while it trains, resumed by `fit --resume`: weights, predictions and the comparison are the same."""
    run = base("classification", WAYS["lora"])
    new = write(tmp_path / "new.jsonl", new_rows(files))
    line = ["--run", str(run), "--data", str(new), "--root", "runs", "--experiment", "later", *KEYS]
    line += ["--run.checkpoint_every_steps", "2", "--run.keep_last", "true"]

    def whole():
        sys.argv = ["transferlab"]
        main(line)

    def killed():
        usual = tl.ParameterEfficient.training_step

        def step(self, batch, batch_idx):
            if batch_idx == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return usual(self, batch, batch_idx)

        tl.ParameterEfficient.training_step = step
        whole()

    places = {name: tmp_path / name for name in ("whole", "killed")}
    for place in places.values():
        place.mkdir()
    assert forked.ended(forked.call(places["whole"], whole)) == 0, (places["whole"] / "output").read_text()
    assert forked.ended(forked.call(places["killed"], killed)) == -signal.SIGKILL
    found = {name: next((place / "runs" / "later").iterdir()) for name, place in places.items()}
    assert not (found["killed"] / "update.json").exists()
    # what it starts from may be gone by now: all that is needed of it is in the run directory
    resume = ["fit", "--resume", str(found["killed"].relative_to(places["killed"]))]
    forked.transferlab(places["killed"], *resume)
    one, other = found["whole"], found["killed"]
    assert json.loads((one / "update.json").read_text()) == json.loads((other / "update.json").read_text())
    for path in ("before/predictions/test.jsonl", "predictions/test.jsonl", "predictions/test_new.jsonl"):
        assert (one / path).read_bytes() == (other / path).read_bytes()
    first, second = (content.read(folder / "checkpoints" / "best.ckpt")["state_dict"] for folder in (one, other))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert run_folder.read_summary(other)["start"] == run_folder.read_summary(one)["start"]


def test_examples_that_no_run_reads_are_cleaned(base, files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(run_folder.VARIABLE, raising=False)
    new = write(tmp_path / "new.jsonl", new_rows(files))
    # a mistake in a key leaves neither a run nor examples
    with pytest.raises((SystemExit, TransferlabError)):
        update(base(), new, Path("runs"), "--trainer.max_epcohs", "1")
    assert kept.folders(Path("runs")) == []
    _, parts = parts_of(base(), new)
    place, _ = examples.keep(parts, Path("runs"))
    read = place.with_name("aaaaaaaaaaaa")
    shutil.copytree(place, read)
    (tmp_path / "runs" / "later" / "one").mkdir(parents=True)
    named = f"data: {{init_args: {{source: {{files: {{train: runs/updates/{read.name}/train.jsonl}}}}}}}}\n"
    (tmp_path / "runs" / "later" / "one" / "config.yaml").write_text(named)
    # a run may be on its way to its folder
    main(["--clean"])
    assert kept.folders(Path("runs")) == sorted([place, read])
    for path in [*place.iterdir(), *read.iterdir()]:
        os.utime(path, (0, 0))
    main(["--clean", "--root", "runs"])
    assert kept.folders(Path("runs")) == [read]
    assert f"removed {place}" in capsys.readouterr().out
    with pytest.raises(TransferlabError, match="--clean goes with --root alone"):
        main(["--clean", "--run", "x"])
    with pytest.raises(TransferlabError, match="the following arguments are required: --data"):
        main(["--run", "x"])


def test_gained_and_forgotten_by_hand(tmp_path):
    summary = {
        "kind": "classification",
        "primary": "accuracy",
        "labels": ["a", "b"],
        "spec": {"tests": ["test", "test_new"]},
    }
    (tmp_path / "summary.json").write_text(json.dumps(summary), encoding="utf-8")

    def put(folder, name, answers):
        lines = [{"id": n, "prediction": answer, "label": "a"} for n, answer in enumerate(answers)]
        (folder / "predictions").mkdir(parents=True, exist_ok=True)
        (folder / "predictions" / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    put(tmp_path / "before", "test", "aaaaaaab")
    put(tmp_path, "test", "aaaaabba")
    found = gained.of_run(tmp_path)
    # two of eight are forgotten, one is gained; a sign test of 1 against 2 has p = 1
    assert list(found) == ["test"]
    one = found["test"]
    assert (one["gained"], one["forgotten"]) == (1, 2)
    assert (one["before"], one["after"], one["difference"]) == pytest.approx((7 / 8, 6 / 8, -1 / 8))
    assert one["p"] == 1
    assert one["low"] < one["difference"] < one["high"]
    put(tmp_path / "before", "test_new", "bbbbbbbb")
    put(tmp_path, "test_new", "aaaaaaaa")
    both = gained.of_run(tmp_path)
    # eight gained: p = 2 / 2^8, times two tests
    assert both["test_new"]["p"] == pytest.approx(2 * 2 / 2**8)
    assert both["test_new"]["gained"] == 8
