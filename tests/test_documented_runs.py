"""Every ``transferlab fit --experiment`` of a page that changes its strategy has settings that go together."""

import re
import shlex

import pytest
from conftest import build_bert
from test_docs import PAGES, blocks

from transferlab.cli.parsing import _Parsed
from transferlab.strategies import Strategy
from transferlab.tasks.table import TASKS

WITHOUT = re.compile(r"\.\.\.|RUN|vectors/|--print_config|--resume")
"""What only a reader has, or nothing is trained by."""


def shown():
    """The command lines, each once; models that write have encoders of their own."""
    for page in PAGES:
        for text in blocks(page, "sh", "bash", "console"):
            for line in text.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:3] != ["transferlab", "fit", "--experiment"] or " --model." not in line:
                    continue
                task = max((task for task in TASKS if words[3].endswith(f"_{task}")), key=len, default="")
                if task and TASKS[task].kind != "text" and not WITHOUT.search(line):
                    yield shlex.join(words[1:])


@pytest.fixture(scope="module")
def six_layers(tmp_path_factory):
    """The name of an encoder that has kept its head for masked words."""
    return str(build_bert(tmp_path_factory.mktemp("models") / "six", layers=6, model="BertForMaskedLM"))


@pytest.mark.parametrize("line", sorted(set(shown())))
def test_a_command_of_a_page_builds_its_strategy(line, six_layers):
    command = _Parsed([*shlex.split(line), "--encoder.name", six_layers, "--encoder.revision", "null"])
    parser, tree = command._parser("fit"), command._tree()
    built = parser.instantiate_classes(parser.parse_object({key: tree[key] for key in ("encoder", "model", "data")}))
    assert isinstance(built.model, Strategy)
