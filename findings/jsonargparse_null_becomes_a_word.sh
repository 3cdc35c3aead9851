#!/usr/bin/env bash
# jsonargparse 4.47.0: null on the command line for a field of a dataclass inside a class becomes the word None.
#
# Guessed: --m.head.name null and --m.head.rate null set the fields to None, as they do for an argument of the class itself, for the
# same dataclass outside of a class, and in a YAML file.
# Seen: the value is read, then written out with str() for the parser of the class. A str | None silently becomes the text "None", a
# float | None is refused ("Expected a <class 'float'>"). LightningCLI, whose model and data are classes, has it all over.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check "jsonargparse[signatures]==4.47.0"
cat > "$place/seen.py" <<'PY'
from dataclasses import dataclass

import jsonargparse


@dataclass
class Head:
    name: str | None = "mean"
    rate: float | None = 0.1


class Model:
    def __init__(self, head: Head = Head(), name: str | None = "mean"):
        pass


def parsed(inside, *words):
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    if inside:
        parser.add_subclass_arguments(Model, "m")
        return parser.parse_args(["--m", "Model", *words]).m.init_args
    parser.add_class_arguments(Model, "m")
    return parser.parse_args([*words]).m


def refused(*words):
    try:
        parsed(*words)
    except jsonargparse.ArgumentError:
        return True
    return False


argument = parsed(True, "--m.name", "null").name
outside = parsed(False, "--m.head.name", "null").head.name
file = parsed(True, "--m", '{"class_path": "Model", "init_args": {"head": {"name": null}}}').head.name
inside = parsed(True, "--m.head.name", "null").head.name
rate = refused(True, "--m.head.rate", "null")
print("jsonargparse", jsonargparse.__version__, "argument:", repr(argument), "| outside:", repr(outside), "| file:", repr(file))
print("in a dataclass inside a class:", repr(inside), "| a number or null is refused:", rate)
assert argument is outside is file is None
assert (inside, rate) == ("None", True), "null is null there now"
PY
"$place/venv/bin/python" "$place/seen.py"
