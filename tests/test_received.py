"""What others wrote is data: configurations that look like less than they are, names that look like instructions."""

import csv
import io

import pytest
import yaml

from transferlab.config import plain, trees
from transferlab.ground import escapes, screen
from transferlab.ground.errors import TransferlabError

# YAML -----------------------------------------------------------------------------------------------------------------

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30)
)
REFUSED = {
    "aliases that multiply": (BOMB, r"its aliases \(\*name\) make more than 100,000 values of \d+"),
    "alias within itself": ("a: 1\nb: &b\n  c: [*b]\n", "line 2: an alias stands inside of what it names"),
    "brackets": ("a: " + "[" * 3000, "line 1: nested more than 100 deep"),
    "dashes": ("- " * 100_000 + "a", "line 1: nested more than 100 deep"),
    "indented": ("\n".join(" " * deep + "a:" for deep in range(500)), "line 101: nested more than 100 deep"),
    "key twice": (
        "lr: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n",
        "key 'c' stands twice, in line 3 and line 5; keep one of them",
    ),
    "key twice in a line": ("a: {b: 1, b: 2}", "key 'b' stands twice, in line 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_yaml_that_is_refused(case, tmp_path):
    text, message = REFUSED[case]
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(TransferlabError, match=rf"mine\.yaml is not valid YAML: .*{message}") as refused:
        trees.read_yaml(path)
    assert "\n" not in str(refused.value)


def test_yaml_of_every_day_is_read_as_before():
    text = (
        "base: &base {lr: 1.0e-3, names: [a, b]}\nmine:\n  <<: *base\n  lr: 2\n'1': x\n1.5: [null, true, 2020-01-01]\n"
    )
    assert plain.load(text) == yaml.safe_load(text)
    assert plain.load("") is None
    assert plain.load("~") is None


# what is shown ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ±★▼ näive 日本", "plain ±★▼ näive 日本"),
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("a\rb\x9bc", "a\\rb\\x9bc"),
        ("abc\u202etxt", "abc\\u202etxt"),
        ("two\tthree\nfour", "two\tthree\nfour"),
    ],
)
def test_control_characters_are_seen_and_do_nothing(text, shown):
    assert escapes.visible(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("lora_sst2 (r=4, 95 %) < 0.001 [0.1, 0.2]", "lora_sst2 (r=4, 95 %) < 0.001 [0.1, 0.2]"),
        ("a|b", "a\\|b"),
        ("<img src=x>", "\\<img src=x>"),
        ("[click](http://x)", "[click\\](http://x)"),
        ("*bold* _it_ `code` \\|", "\\*bold\\* \\_it\\_ \\`code\\` \\\\\\|"),
        ("one\n# two", "one # two"),
    ],
)
def test_markdown_is_text(text, shown):
    assert escapes.markdown(text) == shown


@pytest.mark.parametrize("text", ["=1+1", "+cmd|x", "-2+3", "@SUM(A1)"])
def test_a_spreadsheet_computes_nothing(text):
    assert escapes.cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-", "+", "-1", "+1.5", "-1e-3", "a=b", "lora", "", "-12.5%"])
def test_cells_that_compute_nothing_stay(text):
    assert escapes.cell(text) == text


def test_names_in_a_table_of_facts_are_text(capsys):
    screen.console().print(screen.facts({"label": "[red]a[/red] \x1b[31m"}, "facts"))
    assert "[red]a[/red] \\x1b[31m" in capsys.readouterr().out


def test_a_hostile_name_in_every_form_of_compare(tmp_path, capsys):
    from transferlab.analysis.comparison import command
    from transferlab.record.folder import write_json

    name = "=cmd|'\x1b[31m<b>"
    for number, experiment in enumerate([name, "lora"]):
        folder = tmp_path / f"e{number}" / f"20260101-00000{number}-s0-abcd"
        folder.mkdir(parents=True)
        write_json(
            folder / "summary.json",
            {"experiment": experiment, "strategy": experiment, "encoder": "bert", "task": "t", "primary": "accuracy"}
            | {"kind": "classification", "metrics": {"test/accuracy": 0.5}, "status": "finished", "seed": 0},
        )
    shown = {}
    for form in command.FORMATS:
        command.main([str(tmp_path), "--format", form])
        shown[form] = capsys.readouterr().out
        assert "\x1b[31m" not in shown[form]
    rows = list(csv.DictReader(io.StringIO(shown["csv"])))
    assert any(row["strategy"].startswith("'=cmd|") for row in rows)
    assert r"=cmd\|" in shown["markdown"]
    assert r"\<b>" in shown["markdown"]
