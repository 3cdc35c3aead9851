"""Every mistake ends with one message that names it, status 2, no traceback, and no run folder."""

import os
import subprocess
import sys

import pytest
import yaml

from tests.mistakes import LORA, ROOT, experiment, only_message
from transferlab.__main__ import main as start
from transferlab.cli.keys import where
from transferlab.cli.keys.catalog import save
from transferlab.cli.keys.check import Checker
from transferlab.cli.keys.nearest import SYNONYMS
from transferlab.cli.keys.values import fits
from transferlab.cli.keys.words import choices
from transferlab.cli.parsing import check, collected
from transferlab.cli.train import TransferCLI
from transferlab.ground.errors import TransferlabError
from transferlab.record import folder as run_folder

pytest_plugins = ["tests.mistakes"]

# keys -----------------------------------------------------------------------------------------------------------------

METHOD = LORA["init_args"]["method"]
MISSPELT = [
    ({"modle": {"class_path": "x"}}, "modle", "model"),
    ({"trainer.max_epoch": 2}, "trainer.max_epoch", "trainer.max_epochs"),
    ({"modle": {}}, "modle", "model"),
    ({"trainer.max_epoch": {}}, "trainer.max_epoch", "trainer.max_epochs"),
    ({"model": {**LORA, "init_args": {"metod": {}}}}, "model.init_args.metod", "model.init_args.method"),
    ({"encoder.poling": "cls"}, "encoder.poling", "encoder.pooling"),
    ({"run.experimnt": "x"}, "run.experimnt", "run.experiment"),
    ({"data.init_args.batchsize": 4}, "data.init_args.batchsize", "data.init_args.batch_size"),
    ({"data.init_args.source": {"lable": "x"}}, "data.init_args.source.lable", "data.init_args.source.label"),
    ({"model.init_args.top_layer": 4}, "model.init_args.top_layer", "model.init_args.top_layers"),
    ({"model.init_args.head": {"dropuot": 0.1}}, "model.init_args.head.dropuot", "model.init_args.head.dropout"),
    ({"model.init_args.schedule": {"warmpu": 0}}, "model.init_args.schedule.warmpu", "model.init_args.schedule.warmup"),
    ({"model": {**LORA, "init_args": {"methd": METHOD}}}, "model.init_args.methd", "model.init_args.method"),
    (
        {"model": {**LORA, "init_args": {"method": {**METHOD, "init_args": {"alhpa": 2}}}}},
        "model.init_args.method.init_args.alhpa",
        "model.init_args.method.init_args.alpha",
    ),
    (
        {"model.init_args.optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"weight_deacy": 0}}},
        "model.init_args.optimizer.init_args.weight_deacy",
        "model.init_args.optimizer.init_args.weight_decay",
    ),
    # the class's arguments without `init_args`
    ({"model.lr": 1e-4}, "model.lr", "model.init_args.optimizer.init_args.lr"),
    ({"model.top_layers": 2}, "model.top_layers", "model.init_args.top_layers"),
]


@pytest.mark.parametrize("cached", [False, True], ids=["first time", "keys cached"])
@pytest.mark.parametrize(("changes", "wrong", "right"), MISSPELT, ids=[wrong for _, wrong, _ in MISSPELT])
def test_misspelt_key_in_a_file(fit_fails, changes, wrong, right, cached):
    if cached:
        save(collected())
    assert f"no key {wrong!r} (did you mean {right!r}" in fit_fails(**changes)


OPTIONS = [
    ("--trainer.max_epoch 4", "--trainer.max_epochs"),
    ("--encoder.poling cls", "--encoder.pooling"),
    ("--run.experimnt x", "--run.experiment"),
    ("--data.init_args.batchsize 4", "--data.batch_size"),
    ("--model.init_args.top_layer 4", "--model.top_layers"),
    ("--modle.top_layers 4", "--model.top_layers"),
    ("--lr 1e-4", "--model.optimizer.lr"),
    ("--model.lr 1e-4", "--model.optimizer.lr"),
    ("--learning_rate 1e-4", "--model.optimizer.lr"),
    ("--batch_size 16", "--data.batch_size"),
    ("-experiment x", "--experiment"),
    ("--experimnt x", "--experiment"),
    ("--seed 3", "--seed_everything"),
    ("--epochs 1", "--trainer.max_epochs"),
    ("--gpu 1", "--trainer.accelerator"),
    ("--gpus 2", "--trainer.devices"),
    ("--model.method.rank 4", "--model.method.r"),
    ("--rank 4", "--model.method.r"),
    ("--max_epoch 3", "--trainer.max_epochs"),
]


@pytest.mark.parametrize("cached", [False, True], ids=["first time", "keys cached"])
@pytest.mark.parametrize(("given", "right"), OPTIONS, ids=[given for given, _ in OPTIONS])
def test_misspelt_key_on_the_command_line(fit_fails, given, right, cached):
    if cached:
        save(collected())
    option, value = given.split()
    model = {"model": LORA} if "r" in right.split(".") else {}
    assert f"no key {option!r} (did you mean {right!r}" in fit_fails(option, value, **model)


def test_every_synonym_leads_to_a_key_that_can_be_typed(tiny_folder, place):
    optimizer = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-3}}
    tree = experiment(model={**LORA, "init_args": {**LORA["init_args"], "optimizer": optimizer}})
    checker = Checker(collected(), "fit")
    checker.file(tree)
    reachable = checker.reachable()
    assert {key for key in SYNONYMS.values() if key not in reachable} == set()
    # and what is proposed is taken by the parser itself
    (place / "mine.yaml").write_text(yaml.safe_dump(tree))
    given = ["fit", "--config", "mine.yaml"]
    for key in sorted(set(SYNONYMS.values())):
        entry = keys_by_name(checker)[key]
        values = [entry.default, *choices(entry.schema), "1"]
        value = next(value for value in values if value not in {"", "''", "null"} and fits(entry.schema, value))
        given += [f"--{key}", value]
    check(given)


def keys_by_name(checker):
    """Reachable keys by the name that is typed."""
    found = {}
    for short, long in checker.reachable().items():
        node, kinds = checker.root, None
        value = checker.tree
        for part in long.split("."):
            if part == "init_args":
                node, value = checker.inside(kinds, value)
                continue
            node = node.children[part]
            value = value.get(part) if isinstance(value, dict) else None
            kinds = checker._kinds(node.key, value) if node.key and node.key.classes else None
        found[short] = node.key
    return found


def test_argument_of_a_class_that_is_not_named(fit_fails):
    save(collected())
    assert "write --model.optimizer AdamW before it" in fit_fails("--model.optimizer.lr", "1e-3")
    assert "write --trainer.strategy Replicated before it" in fit_fails("--trainer.strategy.timeout", "0:01:00")
    # with the class it is taken, and the next mistake is found
    message = fit_fails("--model.optimizer", "AdamW", "--model.optimizer.lr", "1e-3")
    assert "encoder.name: no/encoder-of-this-name" in message


def test_key_of_another_class_is_named_as_such(fit_fails):
    message = fit_fails("--model.unfreeze_every", "1", model=LORA)
    assert "it is a key of FullFineTuning, which this experiment does not name" in message


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        pytest.param({"trainer.max_epochs": "many"}, ["trainer.max_epochs", "many"]),
        ({"data.init_args.batch_size": "big"}, ["batch_size", "big"]),
        ({"encoder.pooling": "median"}, ["encoder", "pooling", "median", "mean"]),
        (
            {
                "model": {
                    **LORA,
                    "init_args": {"method": {**LORA["init_args"]["method"], "init_args": {"r": "sixteen"}}},
                }
            },
            ["method", "r", "sixteen"],
        ),
        ({"data.init_args.truncation": "middle"}, ["truncation", "middle", "head"]),
        ({"run": "fast"}, ["run", "fast"]),
    ],
    ids=["epochs", "batch", "pooling", "r", "truncation", "run"],
)
def test_wrong_type(fit_fails, changes, parts):
    message = fit_fails(**changes)
    assert [part for part in parts if part not in message] == []


def test_wrong_type_on_the_command_line(fit_fails):
    message = fit_fails("--trainer.max_epochs", "many")
    assert "trainer.max_epochs" in message
    assert "many" in message


def test_in_a_log_the_error_stands_behind_what_came_before():
    code = """
from transferlab.cli.boundary import run
from transferlab.ground.errors import TransferlabError

def command():
    print("resuming")
    raise TransferlabError("wrong.")

run(command)
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.stdout.splitlines() == ["resuming", "error: wrong."]
    assert done.returncode == 2


def test_null_on_the_command_line_inside_of_a_class(capsys):
    given = {"model.head.lr": None, "model.steady.ema": None, "model.optimizer.init_args.foreach": None}
    words = ["fit", "--experiment", "full_finetuning_sst2", "--model.steady.ema", "0.9", "--trainer.logger", "false"]
    for key in given:
        words += [f"--{key}", "null"]
    with pytest.raises(SystemExit) as end:
        TransferCLI([*words, "--print_config"])
    assert not end.value.code
    tree = yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]
    assert tree["head"]["lr"] is None
    assert tree["steady"]["ema"] is None
    assert tree["optimizer"]["init_args"]["foreach"] is None


def test_target_module_that_does_not_exist(fit_fails, tiny_folder):
    method = {**LORA["init_args"]["method"], "init_args": {"targets": ["qery"]}}
    message = fit_fails(model={**LORA, "init_args": {"method": method}}, **{"encoder.name": str(tiny_folder)})
    assert "qery" in message
    assert "query" in message


@pytest.mark.parametrize(
    ("changes", "wrong", "right"),
    [
        ({"model.class_path": "transferlab.strategies.FullFinetuning"}, "FullFinetuning", "FullFineTuning"),
        ({"data.class_path": "transferlab.tasks.TaskDataModul"}, "TaskDataModul", "TaskDataModule"),
        (
            {"model": {**LORA, "init_args": {"method": {"class_path": "transferlab.adapters.LORA"}}}},
            "transferlab.adapters.LORA",
            "LoRA",
        ),
    ],
)
def test_unknown_class(fit_fails, changes, wrong, right):
    message = fit_fails(**changes)
    assert wrong in message
    assert f"'{right}'" in message


# files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("", ["mine.yaml is empty"]),
        ("# a comment\n", ["mine.yaml is empty"]),
        ("- a\n- b\n", ["mine.yaml must hold `key: value` pairs"]),
        ("a: [1\n", ["mine.yaml is not valid YAML", "line 2"]),
        ("bases: [task/sst3]\n", ["mine.yaml: unknown base 'task/sst3'", "'task/sst2'"]),
        ("bases: task/sst2\n", ["mine.yaml: bases must be a list"]),
    ],
)
def test_unusable_file(fails, place, content, parts):
    (place / "mine.yaml").write_text(content)
    message = fails("fit", "--config", "mine.yaml")
    assert [part for part in parts if part not in message] == []


def test_missing_file(fails, place):
    (place / "lora.yaml").write_text("a: 1\n")
    assert "no such file: lor.yaml (did you mean 'lora'?)" in fails("fit", "--config", "lor.yaml")


def test_config_without_a_value(fails):
    assert "--config" in fails("fit", "--config")


def test_unknown_experiment(fails):
    message = fails("fit", "--experiment", "lora_sst3")
    assert "no experiment 'lora_sst3' (did you mean 'lora_sst2'" in message


def test_unknown_command(fails):
    assert "no command 'fti' (did you mean 'fit'" in fails("fti")


def test_unknown_run(fails):
    assert "no run 'nothing': there are no runs under runs/ yet" in fails("test", "--run", "nothing")


def test_unknown_run_names_runs_and_no_experiments(tmp_path):
    for number, name in enumerate(
        ["lora_demo_sentences/20260101-000000-s0-aaaa", "adapter_mrpc/20260102-000000-s1-bbbb"]
    ):
        (tmp_path / "runs" / name).mkdir(parents=True)
        summary = tmp_path / "runs" / name / "summary.json"
        summary.write_text("{}")
        os.utime(summary, (number, number))
    root = tmp_path / "runs"
    with pytest.raises(
        TransferlabError, match=r"no run 'lora_demo_sentence' .*\(did you mean 'lora_demo_sentences'\?\)"
    ):
        run_folder.find("lora_demo_sentence", root)
    with pytest.raises(
        TransferlabError, match=r"no run 'lora_stt2' .*The newest are adapter_mrpc, lora_demo_sentences\."
    ):
        run_folder.find("lora_stt2", root)


WORDS_ALONE = [
    ("fit lora_sst2", "transferlab fit --experiment lora_sst2"),
    ("fit lora_sst3", "transferlab fit --experiment lora_sst2"),
    ("fit mine.yaml", "transferlab fit --config mine.yaml"),
    ("fit nonsense", "'nonsense' stands alone"),
    ("test lora_sst2", "transferlab test --run lora_sst2"),
    ("fit --experiment lora_sst2 bert", "'bert' stands alone"),
    ("fit --run lora_sst2", "--resume lora_sst2"),
    ("test --resume lora_sst2", "test takes --run RUN"),
    ("test", "test needs --run RUN"),
    ("predict", "predict needs --run RUN"),
    ("validate --data.batch_size 2", "validate needs --run RUN"),
    ("fit", "nothing to train, no data and no model: give --experiment NAME (`transferlab list` shows the names)"),
]


@pytest.mark.parametrize(("line", "said"), WORDS_ALONE, ids=[line for line, _ in WORDS_ALONE])
def test_word_that_stands_alone_or_is_missing(fails, line, said):
    assert said in fails(*line.split())


EARLY = [
    "fti",
    "fit --experiment lora_sst3",
    "fit lora_sst2",
    "fit",
    "test",
    "test --run nothing",
    "predict",
    "fit --config gone.yaml",
    "fit --config base.yaml",
    "fit --experiment lora_sst2 --lr 3",
    "fit --experiment lora_sst2 --modle.top_layers 3",
    "fit --experiment lora_sst2 --data.task sst3",
    "fetch --experiment lora_sst3",
    "baseline --experiment lora_sst3",
    "baseline lora_sst2",
    "forgetting --run nothing",
    "submit --experiment lora_sst3",
    "seeds lora_sst3",
    "sweep nothing",
    "search nothing",
    "watch nothing",
    "card --run nothing",
]
LATER = [
    "fit --experiment lora_sst2 --trainer.max_epoch 3",
    "fit --experiment lora_sst2 --model.method.rank 3",
    "fit --config wrong.yaml",
    "fetch --experiment lora_sst2 --trainer.max_epoch 3",
]


@pytest.mark.parametrize("cached", [False, True], ids=["first time", "keys cached"])
def test_typo_is_answered_without_torch(place, cached):
    (place / "base.yaml").write_text("bases: [task/sst3]\n")
    (place / "wrong.yaml").write_text("bases: [task/sst2, strategy/lora]\nrun: {experimnt: x}\n")
    if cached:
        save(collected())
    code = """if True:
        import sys
        from transferlab.__main__ import main
        for line in sys.stdin.read().splitlines():
            sys.argv = ["transferlab", *line.split()]
            try:
                main()
            except SystemExit as stopped:
                print(stopped.code, "torch" in sys.modules, line)
    """
    lines = [*EARLY, *(LATER if cached else [])]
    done = subprocess.run(
        [sys.executable, "-c", code], input="\n".join(lines), capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == [f"2 False {line}" for line in lines], done.stderr


def test_nothing_to_fit(fails):
    message = fails("fit")
    assert "data" in message
    assert "--config" in message


# data -----------------------------------------------------------------------------------------------------------------

CSV = "text,label\n" + "".join(f"text {number},{'xy'[number % 2]}\n" for number in range(20))
DATA = {
    "empty": ({"train.csv": ""}, {}, ["train.csv", "is empty"]),
    "header only": ({"train.csv": "text,label\n"}, {}, ["train.csv", "no rows"]),
    "one class": ({"train.csv": CSV.replace(",y", ",x")}, {}, ["train.csv", "'label'", "need two"]),
    "unknown label": (
        {"train.csv": CSV, "validation.csv": CSV + "odd,z\n"},
        {},
        ["validation.csv", "line 22", "'z'", "x, y", "data.source.labels"],
    ),
    "missing column": ({"train.csv": CSV}, {"text": ["txt"]}, ["train.csv", "'txt'", "'text'", "data.source.text"]),
    "no text": ({"train.csv": CSV + ",x\n"}, {}, ["train.csv", "line 22", "'text'"]),
    "missing file": ({}, {"files": {"train": "gone.csv"}}, ["data.source.files.train", "no such file: gone.csv"]),
    "conll": (
        {"train.conll": "EU B-X\nsays O\n\nalone\n"},
        {"kind": "tagging", "text": ["tokens"], "label": "tags"},
        ["train.conll, line 4", "1 column(s)"],
    ),
    "no source": ({}, {}, ["data.source", "`path`", "`files`"]),
}


@pytest.mark.parametrize("case", DATA)
def test_unusable_data(fit_fails, place, tiny_folder, case):
    contents, options, parts = DATA[case]
    for name, content in contents.items():
        (place / name).write_text(content)
    source = {"files": {name.split(".")[0]: name for name in contents}, **options}
    changes = {"encoder.name": str(tiny_folder), "data.init_args.source": source, "data.init_args.task": "own"}
    message = fit_fails(**changes)
    assert [part for part in parts if part not in message] == []


def test_unknown_task(fit_fails):
    message = fit_fails(**{"data.init_args.task": "sst3"})
    assert "data.task: no task named 'sst3' (did you mean 'sst2'" in message
    assert "data.source" in message


def test_hub_out_of_reach(fit_fails, tiny_folder):
    message = fit_fails(**{"data.init_args.task": "sst2", "encoder.name": str(tiny_folder)})
    for part in ("nyu-mll/glue (sst2)", "$TRANSFERLAB_DATA/glue", "HF_HUB_OFFLINE=1", "transferlab demo"):
        assert part in message


def test_encoder_out_of_reach(fit_fails):
    message = fit_fails()
    for part in ("encoder.name: no/encoder-of-this-name", "$TRANSFERLAB_MODELS", "HF_HUB_OFFLINE=1"):
        assert part in message


def test_run_folder_that_cannot_be_written(fit_fails, place, tiny_folder):
    (place / "file").write_text("in the way")
    message = fit_fails("--run.root", "file/runs", **{"encoder.name": str(tiny_folder)})
    assert "run.root: cannot write the run directory file/runs/" in message


# checkpoints ----------------------------------------------------------------------------------------------------------


def test_missing_checkpoint(fails, place, tiny_folder):
    (place / "mine.yaml").write_text(yaml.safe_dump(experiment(**{"encoder.name": str(tiny_folder)})))
    assert "ckpt_path" in fails("test", "--config", "mine.yaml", "--ckpt_path", "gone.ckpt")
    assert "test needs --run RUN" in fails("test", "--config", "mine.yaml")


def test_checkpoint_of_other_labels(fails, place, tiny_encoder):
    import lightning as L
    import torch

    from transferlab.strategies import FullFineTuning
    from transferlab.tasks import TaskSpec

    model = FullFineTuning(TaskSpec("t", "classification", ("a", "b", "c"), ("accuracy",)), tiny_encoder)
    checkpoint = {
        "state_dict": model.state_dict(),
        "pytorch-lightning_version": L.__version__,
        "epoch": 0,
        "global_step": 0,
    }
    model.on_save_checkpoint(checkpoint)
    torch.save({**checkpoint, "loops": {}, "callbacks": {}}, place / "other.ckpt")
    optimizer = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-3}}
    changes = {"encoder.name": tiny_encoder.name, "model.init_args.optimizer": optimizer}
    (place / "mine.yaml").write_text(yaml.safe_dump(experiment(**changes)))
    message = fails("test", "--config", "mine.yaml", "--ckpt_path", "other.ckpt")
    for part in ("ckpt_path", "['a', 'b', 'c']", "['negative', 'positive']", "num_labels 3 against 2"):
        assert part in message


# the real command -----------------------------------------------------------------------------------------------------


def test_command(tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(experiment()))
    done = subprocess.run(
        [sys.executable, "-m", "transferlab", "fit", "--config", "mine.yaml", "--data.init_args.task", "sst3"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "did you mean 'sst2'" in only_message(done.stderr)
    assert not (tmp_path / "runs").exists()


def test_what_is_no_path_of_a_class_is_one_line(tmp_path):
    tree = experiment(model={"class_path": "../x", "init_args": {"head": {"dropout": 0.0}}})
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(TransferlabError, match=r"model: no module '\.'"):
        check(["fit", "--config", str(tmp_path / "mine.yaml")])


@pytest.mark.parametrize("group", ["trainer", "encoder", "run", "cache", "checkpoint", "early_stopping"])
@pytest.mark.parametrize("value", [[], 0.3])
def test_a_value_in_place_of_the_keys_of_a_group(group, value, tmp_path, monkeypatch):
    from transferlab.cli.train import TransferCLI

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(experiment() | {group: value}))
    with pytest.raises(TransferlabError, match=group):
        TransferCLI(["fit", "--config", "mine.yaml"])
    assert not (tmp_path / "runs").exists()


WHERE = """\
bases: [trainer/auto, task/demo_sentences, encoder/minilm_l6, strategy/lora, mine]
trainer: {max_epochs: 2}
model:
  init_args:
    method:
      init_args:
        rnk: 4
"""


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([], "no key 'model.init_args.method.init_args.rnk'; model.method takes r, alpha, "),
        ([], " It stands in experiments/here.yaml, line 7."),
        (["--model.method.rnk", "2"], "no key"),
    ],
)
def test_a_wrong_key_in_a_file_is_told_with_its_file_and_line(words, wanted, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for folder, text in (("experiments", WHERE), ("configs", "data: {init_args: {batch_size: 0}}\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / ("here.yaml" if folder == "experiments" else "mine.yaml")).write_text(text)
    monkeypatch.setattr("sys.argv", ["transferlab", "fit", "--experiment", "here", *words])
    with pytest.raises(SystemExit) as end:
        start()
    told = capsys.readouterr().err
    assert end.value.code == 2
    assert wanted in told
    # a key that was given on the command line stands in no file
    assert ("It stands in" in told) == (not words)


def test_a_key_is_looked_for_in_the_file_and_then_in_its_bases(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "configs").mkdir()
    (tmp_path / "experiments" / "here.yaml").write_text(WHERE)
    (tmp_path / "configs" / "mine.yaml").write_text("# of mine\ndata: {init_args: {batch_size: 0}}\nmodel.lr: 2\n")
    for line in (["fit", "--experiment", "here"], ["fit", "--config=experiments/here.yaml"]):
        assert where.told(line, "trainer.max_epochs: must be") == " It stands in experiments/here.yaml, line 2."
        assert where.told(line, "data.batch_size: 0 is below") == " It stands in configs/mine.yaml, line 2."
        assert where.told(line, "no key 'model.lr' (did") == " It stands in configs/mine.yaml, line 3."
        # of the package's own bases nobody can mend a line
        assert where.told(line, "model.optimizer.lr: must be") == ""
        assert where.told(line, "The disk is full") == ""
    assert where.told(["fit", "--experiment", "here", "--trainer.max_epochs", "x"], "trainer.max_epochs: must") == ""


def test_a_value_that_an_option_replaces_is_told_in_words_too(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.yaml").write_text("bases: [task/demo_sentences, strategy/lora]\ntrainer: {max_epochs: many}\n")
    monkeypatch.setattr("sys.argv", ["transferlab", "fit", "--config", "here.yaml", "--trainer.max_epochs", "2"])
    with pytest.raises(SystemExit):
        start()
    assert "trainer.max_epochs: must be a whole number or null, not 'many'." in capsys.readouterr().err
