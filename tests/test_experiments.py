"""Every file under configs/ and experiments/ is read, composed, parsed, and every strategy is built."""

import json
from pathlib import Path

import pytest

from transferlab.config import experiments, trees
from transferlab.encoders.tiny import is_tiny
from transferlab.ground.errors import TransferlabError
from transferlab.strategies import Strategy
from transferlab.tasks.table import TASKS

ROOT = Path(__file__).parent.parent
# no experiments; test_sweeps.py, test_search.py, test_pretraining_runs.py and test_several.py read them
GRIDS = {"sweep", "search", "pretrain", "multitask"}
EVERY = sorted([*(ROOT / "configs").rglob("*.yaml"), *(ROOT / "experiments").rglob("*.yaml")])
FILES = [path for path in EVERY if path.parent.name not in GRIDS]
NAMES = [str(path.relative_to(ROOT)) for path in FILES]
KINDS = {"trainer", "logger", "task", "encoder", "strategy", "recipe", "cluster", *GRIDS}
STRATEGIES, TASK_FILES = experiments.strategies(ROOT), experiments.tasks(ROOT)
# every strategy and every task once; the rest is slow
DIAGONAL = {
    (STRATEGIES[n % len(STRATEGIES)], TASK_FILES[n % len(TASK_FILES)])
    for n in range(max(len(STRATEGIES), len(TASK_FILES)))
}
PAIRS = [pytest.param(*pair, marks=[] if pair in DIAGONAL else pytest.mark.slow) for pair in experiments.pairs(ROOT)]


class ParserBuilt(Exception):
    pass


@pytest.fixture(scope="module")
def parser():
    """The parser of `transferlab fit`, built once; nothing is run."""
    from transferlab.cli.train import TransferCLI

    kept = []

    class ParserOnly(TransferCLI):
        def parse_arguments(self, parser, args):
            kept.append(self._parser("fit"))
            raise ParserBuilt

    with pytest.raises(ParserBuilt):
        ParserOnly([])
    return kept[0]


def test_every_file_is_covered():
    assert not [path for top in ("configs", "experiments") for path in (ROOT / top).rglob("*.yml")]
    assert {path.parent.name for path in (ROOT / "configs").rglob("*.yaml")} == KINDS
    assert set(TASK_FILES) == set(TASKS)
    assert len(TASK_FILES) == 35
    assert len(PAIRS) == len(STRATEGIES) * 35
    assert {strategy for strategy, _ in DIAGONAL} == set(STRATEGIES)
    assert {task for _, task in DIAGONAL} == set(TASK_FILES)


@pytest.mark.parametrize("name", NAMES)
def test_every_file_expands_and_is_described(name):
    path = ROOT / name
    tree = trees.expand(path)
    assert tree
    assert "bases" not in tree
    assert trees.describe(path), "the first line says what the file is for"


@pytest.mark.parametrize("name", NAMES)
def test_no_file_sets_what_is_linked(name):
    tree = trees.read_yaml(ROOT / name)
    data = (tree.get("data") or {}).get("init_args") or {}
    model = (tree.get("model") or {}).get("init_args") or {}
    assert not {"encoder", "seed"} & set(data)
    assert not {"encoder", "task"} & set(model)


@pytest.mark.parametrize("name", NAMES)
def test_revisions_are_whole_commits(name):
    encoder = trees.read_yaml(ROOT / name).get("encoder") or {}
    # shapes of the package itself have no commit
    if "/encoder/" in name and "name" in encoder and not is_tiny(encoder["name"]):
        assert len(encoder["revision"]) == 40
        assert int(encoder["revision"], 16)


@pytest.mark.parametrize("name", list(experiments.files(ROOT / "experiments")))
def test_every_experiment_file_parses(name, parser):
    check(parser.parse_object(experiments.compose(name, ROOT)), Path(name).name)


@pytest.mark.parametrize(("strategy", "task"), PAIRS)
def test_every_composed_experiment_parses(strategy, task, parser):
    found = parser.parse_object(experiments.compose(f"{strategy}_{task}", ROOT))
    check(found, f"{strategy}_{task}")
    assert found.data.init_args.task == task
    assert found.run.strategy == ("" if strategy == "tuner" else strategy)  # that is called by its method


@pytest.mark.parametrize("kind", ["trainer", "logger", "encoder"])
def test_the_other_bases_parse(kind, parser):
    common = experiments.compose("lora_sst2", ROOT)
    for path in sorted((ROOT / "configs" / kind).glob("*.yaml")):
        tree = {key: value for key, value in common.items() if key != kind}
        if kind == "logger":
            tree = {**tree, "trainer": {key: value for key, value in tree["trainer"].items() if key != "logger"}}
        found = parser.parse_object(trees.merge(tree, trees.expand(path)))
        assert vars(found.model.init_args.encoder) == vars(found.encoder)


def check(found, name):
    assert found.run.experiment == name
    assert vars(found.model.init_args.encoder) == vars(found.encoder)
    assert vars(found.data.init_args.encoder) == vars(found.encoder)
    assert found.data.init_args.seed == found.seed_everything == 0


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_is_built_and_configures_its_optimizer(strategy, parser, data, deep_encoder, fit):
    module = data("classification", deep_encoder)
    tree = experiments.compose(f"{strategy}_demo_sentences", ROOT)
    tree["encoder"] = {**tree["encoder"], "name": deep_encoder.name, "revision": None}
    if "keep_layers" in tree["encoder"]:
        tree["encoder"]["keep_layers"] = [1, 3]
    built = parser.instantiate_classes(parser.parse_object({key: tree[key] for key in ("encoder", "model", "data")}))
    model = built.model
    assert isinstance(model, Strategy)
    assert type(model).__name__ == tree["model"]["class_path"].rsplit(".", 1)[-1]
    assert model.task.name == "demo_sentences"
    assert model.learned()
    if strategy == "distillation":
        assert model.teacher_name == "full_finetuning_demo_sentences"
        return
    if strategy == "fusion":
        with pytest.raises(TransferlabError, match="no finished run adapter_mnli, adapter_{task}; train"):
            model.on_train_start()
        return
    trainer = fit(model, model.wrap_data(module), limit_train_batches=1, gradient_clip_val=1.0)
    assert trainer.global_step == 1
    # a solved head has none
    assert trainer.optimizers[0].defaults["fused"] or strategy == "feature_extraction"


@pytest.mark.parametrize(
    ("task", "encoder", "template"),
    [
        ("xsum", "facebook/bart-base", None),
        ("cnn_dailymail", "google-t5/t5-small", "summarize: {article}"),
        ("wmt16_en_ro", "google-t5/t5-small", "translate English to Romanian: {en}"),
        ("samsum", "Qwen/Qwen3-0.6B", "{dialogue}\n\nSummary: "),
        ("aclsum", "HuggingFaceTB/SmolLM2-135M-Instruct", "{abstract}\n\nOutcome: "),
    ],
)
def test_texts_have_a_model_that_writes_and_its_prompt(task, encoder, template):
    from transferlab.tasks.generation import check_template

    tree = experiments.compose(f"lora_{task}", ROOT)
    assert (tree["encoder"]["name"], len(tree["encoder"]["revision"])) == (encoder, 40)
    assert tree["data"]["init_args"]["generation"].get("template") == template
    source = TASKS[task]
    if template:
        check_template(template, source.text)
    # ACLSum lies in a package
    assert task == "aclsum" or len(source.revision) == 40
    assert (source.validation, source.test) == ("validation", ("test",))


def test_another_encoder_takes_the_place_of_that_of_a_recipe():
    def encoder(name, **chosen):
        return experiments.compose(name, chosen=chosen)["encoder"]

    assert encoder("from_scratch_demo_dates")["name"] == "embedded/llama"
    assert encoder("from_scratch_demo_dates")["revision"] is None
    assert encoder("from_scratch_demo_dates", encoder="tiny_t5")["name"] == "embedded/t5"
    gpt2 = encoder("lora_demo_dates", encoder="gpt2")
    assert (gpt2["name"], bool(gpt2["revision"])) == ("openai-community/gpt2", True)
    # what a recipe says of any encoder stays
    assert encoder("feature_extraction_conll2003", encoder="bert_base")["layers"] == "concat_last_four"


@pytest.mark.parametrize(
    ("experiment", "option", "path"),
    [
        ("from_scratch_demo_dates", "--data.generation.template", ("data", "generation", "template")),
        ("prompting_sst2", "--model.pattern", ("model", "pattern")),
    ],
)
def test_a_template_on_the_command_line_is_a_text(experiment, option, path):
    from transferlab.cli.early import check
    from transferlab.cli.expansion import expand_arguments

    for text in ("sum: {a}", "{a}", "\u00e4: {a}"):
        for given in ([option, text], [f"{option}={text}"]):
            check(["fit", "--experiment", experiment, *given])
            name, value = expand_arguments(["fit", "--experiment", experiment, *given])[-2:]
            tree = json.loads(value)
            inside = tree["init_args"] if path[0] == "model" else tree
            assert (name, inside) == (f"--{'.'.join(path[:-1])}", {path[-1]: text})
    for text in ("sum {a}", "{a} ist: b", "null"):
        assert expand_arguments(["fit", "--experiment", experiment, option, text])[-2:] == [option, text]
