"""The JSON schemas: they take every file that is shipped, and refuse what the parser refuses."""

import copy
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jsonargparse import get_loader
from jsonschema import Draft7Validator

from transferlab.cli import project
from transferlab.cli.keys import catalog
from transferlab.cli.parsing import check_text, collected
from transferlab.config import experiments, grids, shipped
from transferlab.ground.errors import TransferlabError
from transferlab.launch import schemas
from transferlab.launch.cluster.settings import Slurm
from transferlab.launch.search.spec import Search

# the parser's own, which reads 1e-3 as a number, as editors do
load = get_loader("yaml")


def kind_of(name):
    folder = name.split("/")[0]
    return folder if folder in schemas.OTHERS else "experiment"


SHIPPED = {
    **{f"experiments/{name}": (path, "experiment") for name, path in shipped.listed("experiments").items()},
    **{name: (path, kind_of(name)) for name, path in shipped.listed("configs").items()},
    **{str(path.relative_to(project.TEMPLATE)): (path, "experiment") for path in project.TEMPLATE.rglob("*.yaml")},
}


@pytest.fixture(scope="module")
def validators(tmp_path_factory):
    """Schema of each kind, written once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRANSFERLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        catalog.save(collected())
        found = {kind: json.loads(schemas.text(kind)) for kind in schemas.KINDS}
    for schema in found.values():
        Draft7Validator.check_schema(schema)
    return {kind: Draft7Validator(schema) for kind, schema in found.items()}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_file_is_right(validators, name):
    path, kind = SHIPPED[name]
    assert [error.message for error in validators[kind].iter_errors(load(path.read_text(encoding="utf-8")))] == []


def test_whole_experiments_are_right_for_schema_and_parser(validators):
    for name in ("lora_sst2", "feature_extraction_conll2003", "distillation_mrpc", "adapter_stsb"):
        tree = experiments.compose(name)
        assert list(validators["experiment"].iter_errors(load(yaml.safe_dump(tree)))) == []
        # what the parser makes of it holds every key with its default
        whole = load(check_text(yaml.safe_dump(tree)).dumped)
        assert [error.message for error in validators["experiment"].iter_errors(whole)] == []


LORA = experiments.compose("lora_sst2")
WRONG = {
    "trainer.max_epoch": 3,
    "trainer.max_epochs": "three",
    "trainer.precision": "bf17",
    "trainr": {"max_epochs": 3},
    "seed_everything": [1],
    "model.class_path": "transferlab.strategies.FullFineTunin",
    "model.init_arg": {},
    "model.init_args.lr": 0.1,
    "model.init_args.layer_decay": 0.9,
    "model.init_args.head.kind": "quadratic",
    "model.init_args.head.widht": 3,
    "model.init_args.method.class_path": "torch.optim.AdamW",
    "model.init_args.method.init_args.rank": 4,
    "model.init_args.method.init_args.r": "four",
    "model.init_args.optimizer.class_path": "torch.optim.AdamWW",
    "model.init_args.optimizer.init_args.learning_rate": 0.1,
    "model.init_args.schedule.kind": "stairs",
    "data.init_args.batch_sise": 3,
    "data.init_args.truncation": "middle",
    "data.init_args.source": {"file": {"train": "a.csv"}},
    "encoder.pooling": "min",
    "run.tags": "one",
    "cache.limit": 3,
    "early_stopping.patience": 1.5,
    "trainer.logger.init_args.projekt": "x",
    "trainer.callbacks": [{"class_path": "EarlyStopping", "init_args": {"patiense": 3}}],
}


def changed(tree, key, value):
    """A tree with another value at a dotted path."""
    tree = below = copy.deepcopy(tree)
    *parents, last = key.split(".")
    for part in parents:
        below = below.setdefault(part, {})
    below[last] = value
    return tree


@pytest.mark.parametrize("key", WRONG)
def test_wrong_keys_and_values_are_refused_by_schema_and_parser(validators, key):
    assert not validators["experiment"].is_valid(changed(LORA, key, WRONG[key]))
    with pytest.raises(TransferlabError):
        check_text(yaml.safe_dump(changed(LORA, key, WRONG[key])))


RIGHT = {
    "trainer.precision": None,
    "model.init_args.optimizer": "torch.optim.SGD",
    "model.init_args.method": {"class_path": "BitFit"},
    "model.init_args.method.init_args.alpha": 8,
    "trainer.callbacks": [{"class_path": "LearningRateMonitor", "init_args": {"log_momentum": True}}],
    "trainer.logger": False,
    "data.init_args.source": {"files": {"train": "a.csv"}, "text": ["a"], "label": "b"},
}


@pytest.mark.parametrize("key", RIGHT)
def test_right_ones_are_taken_by_schema_and_parser(validators, key):
    tree = changed(LORA, key, RIGHT[key])
    assert list(validators["experiment"].iter_errors(tree)) == []
    check_text(yaml.safe_dump(tree))


def test_parts_of_an_experiment_are_right_on_their_own(validators):
    schema = validators["experiment"]
    assert schema.is_valid({"bases": ["task/mine"], "model": {"init_args": {"method": {"init_args": {"r": 4}}}}})
    assert schema.is_valid({"model": {"class_path": "mine.models.Strategy", "init_args": {"anything": 1}}})
    assert not schema.is_valid({"model": {"init_args": {"method": {"init_args": {"rank": 4}}}}})
    assert not schema.is_valid({"bases": "task/sst2"})


WRONG_OTHERS = [
    ("sweep", "demo", "task", ["sst2"]),
    ("sweep", "demo", "seeds", "two"),
    ("sweep", "demo", "train_examples", [1]),
    ("sweep", "demo", "train_fraction", 0.5),
    ("sweep", "demo", "baselines", ["svm"]),
    ("sweep", "demo", "set", {"trainer.max_epoch": 1}),
    ("sweep", "demo", "set_for", {"tfidf": {"data.batchsize": 1}}),
    ("search", "demo", "sampler", "best"),
    ("search", "demo", "trials", 0),
    ("search", "demo", "space", {"model.optimizer.lr": {"low": 1, "hihg": 2}}),
    ("search", "demo", "space", {"model.optimiser.lr": [1, 2]}),
    ("search", "demo", "space", {"model.optimizer.lr": [1]}),
    ("search", "demo", "experiment", None),
]


@pytest.mark.parametrize(("kind", "name", "key", "value"), WRONG_OTHERS)
def test_wrong_keys_and_values_of_sweeps_and_searches(validators, kind, name, key, value):
    tree = load((shipped.SHIPPED / "configs" / kind / f"{name}.yaml").read_text())
    assert validators[kind].is_valid(tree)
    assert not validators[kind].is_valid({**tree, key: value})


def test_wrong_keys_and_values_of_clusters(validators):
    for wrong in ({"node": 1}, {"nodes": 0}, {"time": "soon"}, {"offline": "maybe"}, {"options": ["mail"]}):
        assert not validators["cluster"].is_valid({"cluster": wrong})
    assert validators["cluster"].is_valid({"cluster": {"time": "1-12:00:00", "memory": "32G", "partition": None}})


def test_the_keys_are_those_of_the_code_and_each_says_what_it_means(validators):
    for kind, of in (("sweep", grids.Sweep), ("search", Search)):
        assert {"name", *validators[kind].schema["properties"]} == {item.name for item in dataclasses.fields(of)}
    cluster = validators["cluster"].schema["properties"]["cluster"]["properties"]
    assert set(cluster) == {item.name for item in dataclasses.fields(Slurm)}
    top = validators["experiment"].schema["properties"]
    assert set(top) == {"bases", *(key.name.split(".")[0] for key in collected().of("fit"))}
    assert "sst2" in json.dumps(top["bases"]["items"])
    assert top["trainer"]["properties"]["max_epochs"]["description"]
    for schema in (*cluster.values(), *validators["sweep"].schema["properties"].values()):
        assert schema["description"]


def test_the_command_writes_one_kind_or_all(validators, tmp_path, capsys):
    catalog.save(collected())
    schemas.main([])
    assert json.loads(capsys.readouterr().out) == validators["experiment"].schema
    schemas.main(["--output", str(tmp_path / "all") + "/"])
    assert sorted(path.stem for path in (tmp_path / "all").iterdir()) == sorted(schemas.KINDS)
    schemas.main(["sweep", "--output", str(tmp_path / "one.json")])
    assert json.loads((tmp_path / "one.json").read_text()) == validators["sweep"].schema
    with pytest.raises(TransferlabError, match=r"--output: cannot write .*one.json/experiment.json"):
        schemas.main(["--output", str(tmp_path / "one.json" / "experiment.json")])


def test_a_known_catalog_makes_schemas_without_torch(tmp_path):
    catalog.save(collected())
    for kind in ("pretrain", "multitask"):
        schemas.text(kind)
    code = "import sys\nfrom transferlab.launch import schemas\nschemas.main(['--output', sys.argv[1]])\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, f"{tmp_path}/s/"], check=True)


def test_a_new_project_names_the_schemas_for_its_files(validators, tmp_path, capsys):
    project.make(tmp_path)
    settings = json.loads((tmp_path / ".vscode" / "settings.json").read_text())["yaml.schemas"]
    assert {Path(name).stem for name in settings} == set(schemas.KINDS)
    assert "transferlab schema --output .schema/" in (tmp_path / "Makefile").read_text()
    assert "/.schema/" in (tmp_path / ".gitignore").read_text()
