"""Help: first pages at once, every key of the parser on a page of its section, nothing out of date."""

import dataclasses
import inspect
import json
import subprocess
import sys

import lightning as L
import pytest

from transferlab import adapters, strategies
from transferlab.__main__ import main
from transferlab.cli import commands, pages
from transferlab.cli.keys import catalog, words
from transferlab.cli.parsing import collected
from transferlab.encoders import EncoderConfig
from transferlab.learning.heads import HeadConfig
from transferlab.learning.optim import Schedule
from transferlab.record.config import RunConfig
from transferlab.tasks import TaskDataModule
from transferlab.tasks.spec import Source


@pytest.fixture
def known():
    """The catalog, on disk in the cache folder of this test."""
    catalog.save(collected())
    return collected()


@pytest.fixture
def shown(monkeypatch, capsys):
    """Runs a command and returns what it prints on a terminal of 100 columns."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["transferlab", *arguments])
        main()
        return capsys.readouterr().out

    return run


def section(shown, name):
    """The keys that a page shows."""
    lines = shown("fit", "--help", name).splitlines()
    return {line.split()[0] for line in lines if line.startswith("  --")}


FIRST_PAGES = [
    ["--help"],
    ["help"],
    [],
    ["fit", "--help"],
    ["test", "-h"],
    ["validate", "--help"],
    ["predict", "--help"],
]


def test_first_pages_and_the_pages_of_sections_import_no_torch(known):
    pages_of_sections = [["fit", "--help", name] for name in pages.SECTIONS]
    code = """if True:
        import sys
        from transferlab.__main__ import main
        for line in sys.stdin.read().splitlines():
            sys.argv = ["transferlab", *line.split()]
            main()
        sys.exit("torch" in sys.modules or "jsonargparse" in sys.modules)
    """
    asked = "\n".join(" ".join(words) for words in [["--version"], *FIRST_PAGES, *pages_of_sections])
    assert (
        subprocess.run(
            [sys.executable, "-c", code], input=asked, text=True, stdout=subprocess.DEVNULL, check=False
        ).returncode
        == 0
    )


@pytest.mark.parametrize("arguments", FIRST_PAGES, ids=" ".join)
def test_first_pages_fit_a_terminal_of_80_columns(shown, arguments):
    assert max(map(len, shown(*arguments).splitlines())) <= 80


def test_overview_names_every_command_once(shown):
    lines = [line.split()[0] for line in shown("--help").splitlines() if line.startswith("  ")]
    assert sorted(lines) == sorted(["transferlab", *commands.COMMANDS])


def test_first_page_of_fit_shows_how_to_run_and_the_most_used_keys(shown, known):
    page = shown("fit", "--help")
    names = [key.name for key in known.of("fit")]
    for option in ("--experiment NAME", "--config FILE", "--resume RUN", *(f"--{key} " for key in pages.MOST_USED)):
        assert option in page
    for key in pages.MOST_USED:
        assert key in names or list(pages._below(known, known.of("fit"), key)), key


@pytest.mark.parametrize("command", ["test", "validate", "predict"])
def test_first_page_of_a_command_on_a_run_asks_for_a_run(shown, command):
    page = shown(command, "--help")
    assert f"transferlab {command} --run RUN" in page
    assert "--experiment" not in page


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("encoder", EncoderConfig),
        ("run", RunConfig),
        ("model.head", HeadConfig),
        ("model.schedule", Schedule),
        ("data.source", Source),
    ],
)
def test_page_shows_each_field(shown, known, name, kind):
    assert {f"--{name}.{field.name}" for field in dataclasses.fields(kind)} <= section(shown, name.split(".")[0])


def test_page_of_the_trainer_shows_each_argument(shown, known):
    arguments = set(inspect.signature(L.Trainer).parameters)
    assert {f"--trainer.{name}" for name in arguments} <= section(shown, "trainer")


def test_page_of_the_data_shows_what_can_be_given(shown, known):
    arguments = set(inspect.signature(TaskDataModule).parameters) - {"encoder", "seed"}
    # groups of keys by their first one
    shown_keys = {".".join(key.split(".")[:2]) for key in section(shown, "data")}
    assert {f"--data.{name}" for name in arguments} | {"--data"} == shown_keys


def test_page_of_the_model_shows_every_strategy_and_method_with_its_keys(shown, known):
    page, keys = shown("fit", "--help", "model"), section(shown, "model")
    for module, prefix in ((strategies, "--model"), (adapters, "--model.method")):
        for name in set(module.__all__) - {"Strategy", "Method"}:
            assert f"  {name}: " in page
            own = set(inspect.signature(getattr(module, name)).parameters) - {
                "task",
                "encoder",
                "head",
                "schedule",
                "steady",
                "inner",
            }
            assert {f"{prefix}.{argument}" for argument in own} <= keys
    assert {"--model.optimizer.lr", "--model.steady.r_drop", "--model.inner.hidden"} <= keys
    assert "SGD" in page


def test_page_says_type_default_and_meaning(shown, known):
    assert (
        "  --encoder.pooling  mean, cls, max or last  [mean]\n"
        "      How token vectors become one: `mean` over the tokens, `cls` (the first one), `max`, or `last`\n"
    ) in shown("fit", "--help", "encoder")


def test_key_and_class_have_pages(shown, known):
    assert "LoRA\n  --model.method.r  a whole number  [8]" in shown("fit", "--help", "model.method.r")
    assert "--model.method.alpha" in shown("fit", "--help", "LoRA")
    assert "  EarlyStopping: " in shown("fit", "--help", "trainer.callbacks")


def test_unknown_topic_names_the_nearest(monkeypatch, known, capsys):
    monkeypatch.setattr(sys, "argv", ["transferlab", "fit", "--help", "trianer"])
    with pytest.raises(SystemExit):
        main()
    assert "(did you mean 'trainer'?)" in capsys.readouterr().err


def test_version(shown):
    assert shown("--version").startswith("transferlab 0.1.0 (lightning ")


def test_program_is_called_transferlab(shown, capsys):
    with pytest.raises(SystemExit):
        shown("fit", "--model.help", "FullFineTuning")
    assert "__main__" not in capsys.readouterr().out


# the catalog ----------------------------------------------------------------------------------------------------------


def test_catalog_is_read_back_as_it_was_collected(known):
    assert catalog.load() == known


def test_catalog_of_other_sources_or_releases_is_another_one(tmp_path, monkeypatch):
    (tmp_path / "a.py").write_text("x = 1\n")
    first = catalog.fingerprint.__wrapped__(tmp_path)
    (tmp_path / "a.py").write_text("x = 2\n")
    second = catalog.fingerprint.__wrapped__(tmp_path)
    monkeypatch.setattr(catalog.metadata, "version", lambda name: "0")
    assert len({first, second, catalog.fingerprint.__wrapped__(tmp_path)}) == 3


@pytest.mark.parametrize("content", ["", "{", "[]", '{"keys": [{"nmae": 1}], "kinds": {}, "tasks": []}'])
def test_damaged_catalog_is_none(content):
    catalog.place().parent.mkdir(parents=True)
    catalog.place().write_text(content)
    assert catalog.load() is None


def test_unwritable_cache_costs_nothing_but_time(known, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TRANSFERLAB_CACHE", str(tmp_path / "file"))
    catalog.save(known)
    assert catalog.load() is None


def test_old_catalogs_are_removed(known):
    for number in range(catalog.KEPT + 3):
        (catalog.place().parent / f"{number}.json").write_text(json.dumps(number))
    catalog.save(known)
    assert len(list(catalog.place().parent.glob("*.json"))) == catalog.KEPT
    assert catalog.place().exists()


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "integer"}, "a whole number"),
        ({"anyOf": [{"type": "number"}, {"type": "integer"}, {"type": "null"}]}, "a number or null"),
        ({"anyOf": [{"type": "null"}, {"enum": ["a", True]}]}, "a, true or null"),
        ({"type": "array", "items": {"type": "string"}}, "a list of texts"),
        ({}, "anything"),
    ],
)
def test_types_in_words_of_yaml(schema, said):
    assert words.describe(schema) == said
