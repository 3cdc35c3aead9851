import pytest

from transferlab.config import experiments
from transferlab.ground.errors import TransferlabError

FILES = {
    "configs/trainer/auto.yaml": "trainer: {max_epochs: 3, devices: 1}",
    "configs/logger/wandb.yaml": "trainer: {logger: wandb}",
    "configs/task/mrpc.yaml": "data: {class_path: D, init_args: {task: mrpc}}",
    "configs/task/sst2.yaml": "data: {class_path: D, init_args: {task: sst2}}",
    "configs/encoder/minilm_l6.yaml": "encoder: {name: mini}",
    "configs/strategy/lora.yaml": "run: {strategy: lora}\nmodel: {class_path: M, init_args: {r: 8, alpha: 16}}",
    "configs/strategy/full_finetuning.yaml": "run: {strategy: full_finetuning}\nmodel: {class_path: F}",
    "experiments/lora_sst2.yaml": "# LoRA on SST-2\nbases: [task/sst2, strategy/lora]\ntrainer: {max_epochs: 9}",
    "experiments/grid/wide.yaml": "# nested\nbases: [strategy/lora]\nrun: {experiment: other}",
}


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        write(tmp_path, name, text)
    return tmp_path


def write(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def test_a_file_wins_over_the_composed_name(root):
    assert experiments.resolve("lora_sst2") == root / "experiments" / "lora_sst2.yaml"
    tree = experiments.compose("lora_sst2")
    assert tree["trainer"] == {"max_epochs": 9}
    assert tree["run"] == {"strategy": "lora", "experiment": "lora_sst2"}


def test_a_composed_name_needs_no_file(root):
    assert experiments.resolve("lora_mrpc", root) is None
    assert experiments.compose("lora_mrpc", root) == {
        "trainer": {"max_epochs": 3, "devices": 1, "logger": "wandb"},
        "data": {"class_path": "D", "init_args": {"task": "mrpc"}},
        "encoder": {"name": "mini"},
        "run": {"strategy": "lora", "experiment": "lora_mrpc"},
        "model": {"class_path": "M", "init_args": {"r": 8, "alpha": 16}},
    }


def test_a_strategy_with_underscores_composes(root):
    assert experiments.compose("full_finetuning_mrpc")["run"]["strategy"] == "full_finetuning"


def test_the_recipe_of_the_pair_goes_before_that_of_the_task(root):
    write(root, "configs/recipe/mrpc.yaml", "model: {init_args: {r: 1}}")
    assert experiments.compose("lora_mrpc")["model"]["init_args"] == {"r": 1, "alpha": 16}
    write(root, "configs/recipe/lora_mrpc.yaml", "model: {init_args: {alpha: 2}}")
    assert experiments.compose("lora_mrpc")["model"]["init_args"] == {"r": 8, "alpha": 2}
    assert experiments.bases("lora_mrpc", root)[-1] == "recipe/lora_mrpc"


def test_a_nested_file_keeps_the_name_it_gives_itself(root):
    assert experiments.compose("grid/wide")["run"]["experiment"] == "other"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("lora_sst", "lora_sst2"), ("lora_mprc", "lora_mrpc"), ("experiments/lora_sst2.yaml", "lora_sst2")],
)
def test_an_unknown_name_lists_near_files_and_pairs(root, name, hint):
    with pytest.raises(TransferlabError, match=rf"no experiment '{name}' \(did you mean .*'{hint}'"):
        experiments.compose(name)


def test_an_empty_folder_has_the_shipped_experiments(tmp_path):
    assert experiments.compose("lora_sst2", tmp_path)["data"]["init_args"]["task"] == "sst2"


def test_an_own_task_composes_with_a_shipped_strategy(tmp_path):
    write(tmp_path, "configs/task/mine.yaml", "data: {class_path: D, init_args: {task: mine}}")
    tree = experiments.compose("lora_mine", tmp_path)
    assert tree["data"]["init_args"] == {"task": "mine"}
    assert tree["model"]["class_path"] == "transferlab.strategies.ParameterEfficient"


def test_a_shipped_experiment_takes_own_bases(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "configs/task/sst2.yaml", "data: {class_path: D, init_args: {task: other}}")
    assert experiments.compose("lora_sst2")["data"]["init_args"] == {"task": "other"}


def test_list_shows_first_lines_and_how_to_compose(root, capsys):
    experiments.main([])
    lines = capsys.readouterr().out.splitlines()
    shipped = [line.split()[0] for line in lines if line.startswith("best_")]
    assert {"best_sst2", "best_conll2003"} < set(shipped)
    lines = lines[len(shipped) :]
    assert [line.split(maxsplit=1) for line in lines[:3]] == [
        ["full_finetuning_sst2", "Full fine-tuning on SST-2"],
        ["grid/wide", "nested"],
        ["lora_sst2", "LoRA on SST-2"],
    ]
    assert "transferlab fit --experiment STRATEGY_TASK" in lines[4]
    assert {"full_finetuning", "lora", "bitfit"} < set(lines[5].split())
    assert {"mrpc", "sst2", "conll2003"} < set(lines[6].split())


def test_list_of_a_subfolder_still_finds_the_configs(root, capsys):
    experiments.main(["experiments/grid"])
    assert capsys.readouterr().out.splitlines()[0] == "wide  nested"


def test_list_of_a_missing_folder_names_the_nearest(root):
    with pytest.raises(TransferlabError, match="did you mean 'experiments'"):
        experiments.main(["experimets"])
