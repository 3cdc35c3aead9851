#!/usr/bin/env bash
# omegaconf 2.3.1: a field of type str does not keep the text that it is given.
#
# Guessed: with `labels: list[str]` and `revision: str` in a structured config, [yes, no] and 1.10 are these texts: the type is
# known, so nothing has to be guessed from their look.
# Seen: the value is read as YAML first and turned back into text afterwards: yes and no become "True" and "False", 1.10 becomes
# "1.1", 010 "8", and the start of a commit such as 12e5 "1200000.0", from a file and from the command line alike. Types
# agree, so nothing is said; class names match no label, another revision is loaded. Quotation marks keep the text.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check omegaconf==2.3.1
"$place/venv/bin/python" - <<'PY'
from dataclasses import dataclass, field
from importlib.metadata import version

from omegaconf import OmegaConf


@dataclass
class Settings:
    revision: str = "main"
    labels: list[str] = field(default_factory=list)


def read(*given):
    settings = OmegaConf.merge(OmegaConf.structured(Settings), *given)
    return settings.revision, list(settings.labels)


line = [read(OmegaConf.from_dotlist([f"revision={text}", "labels=[yes,no]"])) for text in ("1.10", "010", "12e5")]
file = read(OmegaConf.create("revision: 1.10\nlabels: [yes, no]"))
quoted = read(OmegaConf.create("revision: '1.10'\nlabels: ['yes', 'no']"))
print("omegaconf", version("omegaconf"), "from the command line", line, "from a file", file, "in quotation marks", quoted)
assert quoted == ("1.10", ["yes", "no"])
assert [revision for revision, _ in line] == ["1.1", "8", "1200000.0"], "a text stays as it is written now"
assert file == line[0] == ("1.1", ["True", "False"])
PY
