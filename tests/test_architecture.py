"""The house stays one: who may import whom, and what must not import torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "transferlab"
FLOORS = (
    ("ground",),
    ("config", "adapters"),
    ("encoders",),
    ("tasks",),
    ("learning",),
    ("strategies",),
    ("record",),
    ("tracking",),
    ("analysis", "training"),
    ("cli",),
    ("api", "baselines", "pretraining"),
    ("several",),
    ("use",),
    ("launch",),
)
"""From the ground up. A room imports from floors below its own, never from its own floor or above."""
LIGHT = ("ground", "config", "analysis")
"""Rooms that must not import torch; of the ground floor that holds without ``hardware``."""


def rooms() -> list[str]:
    return sorted(path.name for path in SOURCE.iterdir() if (path / "__init__.py").is_file())


def imported(path: Path) -> set[str]:
    """Modules of ours that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "transferlab":
            found |= {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name.split(".")[0] == "transferlab"}
    return found


def test_each_room_has_a_floor_and_says_what_may_enter() -> None:
    assert sorted(room for floor in FLOORS for room in floor) == rooms()
    for room in rooms():
        doc = ast.get_docstring(ast.parse((SOURCE / room / "__init__.py").read_text(encoding="utf-8")))
        assert doc, f"{room}/__init__.py does not say what may enter"


def test_no_module_stands_outside_of_the_rooms() -> None:
    assert {path.name for path in SOURCE.glob("*.py")} == {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("room", rooms())
def test_imports_go_down(room: str) -> None:
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    wrong = []
    for path in sorted((SOURCE / room).rglob("*.py")):
        for module in sorted(imported(path)):
            other = module.split(".")[1]
            # the entry point stands outside of the house: a sweep's process enters through it again
            if other in {room, "__main__"} or other not in floor:
                continue
            if floor[other] >= floor[room]:
                wrong.append(f"{path.relative_to(SOURCE)} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_what_reads_run_directories_imports_no_torch() -> None:
    modules = [
        "transferlab." + ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for room in LIGHT
        for path in sorted((SOURCE / room).rglob("*.py"))
        if path.name != "hardware.py"
    ]
    code = f"import sys, importlib\nfor m in {modules!r}: importlib.import_module(m)\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_saved_configs_with_old_class_paths_mean_the_same_and_keep_their_fingerprint() -> None:
    from importlib import import_module

    from transferlab.config.renamed import RENAMED, renamed
    from transferlab.record.setting import fingerprint

    for old, new in RENAMED.items():
        module, _, name = new.rpartition(".")
        assert hasattr(import_module(module), name)
        tree = {"trainer": {"strategy": {"class_path": old}, "callbacks": [{"class_path": old}]}}
        assert renamed(tree) == {"trainer": {"strategy": {"class_path": new}, "callbacks": [{"class_path": new}]}}
        strategy = {"trainer": {"strategy": {"class_path": old}}}
        # what release 0.1.0 computed for the old path
        assert fingerprint(strategy) == fingerprint(renamed(strategy))
