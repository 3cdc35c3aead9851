"""``transferlab configs`` and ``transferlab init``: the shipped configs to look at and copy, a project folder."""

import shutil
from pathlib import Path

from transferlab.config import experiments, shipped, trees
from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError, near

TEMPLATE = shipped.SHIPPED / "project"
RENAMED = {"gitignore": ".gitignore", "vscode": ".vscode"}
"""What begins with a dot in a project, which build tools leave out of a package."""


def configs(arguments: list[str]) -> None:
    """Runs ``transferlab configs [copy NAME]``.

    Raises:
        TransferlabError: No such config, or a file that is there already.
    """
    parser = Parser("transferlab configs", description="Experiments and configs, and where they are.")
    parser.add_argument("action", nargs="?", choices=["copy"], help="copy one for editing; list them without")
    parser.add_argument("name", nargs="?", metavar="NAME", help="such as task/sst2 or experiments/lora_sst2")
    asked = parser.parse_args(arguments)
    if asked.action is None:
        _list()
    elif not asked.name:
        raise TransferlabError("configs copy: say which one: transferlab configs copy task/sst2")
    else:
        print(f"copied to {copy(asked.name)}; it wins over the shipped one from now on")


def _known() -> dict[str, Path]:
    found = {f"experiments/{name}": path for name, path in shipped.listed("experiments").items()}
    return found | shipped.listed("configs")


def _list() -> None:
    found = _known()
    width = max(map(len, found))
    for name, path in found.items():
        place = "own    " if shipped.is_own(path) else "shipped"
        print(f"{name:<{width}}  {place}  {trees.describe(path)}".rstrip())
    print("\nCopy one for editing: transferlab configs copy NAME. Your own win over the shipped ones.")


def copy(name: str, root: Path | None = None) -> Path:
    """Copies a shipped experiment or config into the working folder.

    Args:
        name: ``task/mrpc``, ``experiments/lora_sst2``, or the last part where it says which one; ``configs/`` and
            ``.yaml`` may stand there too. ``<strategy>_<task>`` without a file becomes a file with its bases.
        root: The folder that gets it; the working directory where None.

    Returns:
        The copy.

    Raises:
        TransferlabError: No such config, a name of several, or a file of that name.
    """
    root = root or Path.cwd()
    known = _known()
    key = _whole_name(name.removesuffix(".yaml").removeprefix("configs/"), list(known))
    text = known[key].read_text(encoding="utf-8") if key in known else _composed(Path(key).name)
    relative = Path(f"{key}.yaml") if key.startswith("experiments/") else Path("configs") / f"{key}.yaml"
    target = root / relative
    if target.exists():
        raise TransferlabError(f"{target} is there already; nothing was copied. Remove or rename it first.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise TransferlabError(f"cannot write {target}: {error.strerror}") from error
    return relative if root == Path.cwd() else target


def _whole_name(name: str, known: list[str]) -> str:
    if name in known:
        return name
    if name.removeprefix("experiments/") in experiments.names():
        return f"experiments/{name.removeprefix('experiments/')}"
    alike = [other for other in known if other.endswith(f"/{name}")]
    if len(alike) == 1:
        return alike[0]
    if alike:
        raise TransferlabError(f"{name!r} is the name of several: give one of {', '.join(alike)}.")
    parts = known if "/" in name else [other.rpartition("/")[2] for other in known]
    raise TransferlabError(f"no config {name!r}{near(name, parts)}. `transferlab configs` lists all.")


def _composed(name: str) -> str:
    strategy, task = next(pair for pair in experiments.pairs() if "_".join(pair) == name)
    return f"# {strategy} on {task}\nbases: [{', '.join(experiments.bases(name))}]\n"


def init(arguments: list[str]) -> None:
    """Runs ``transferlab init FOLDER``.

    Raises:
        TransferlabError: A file of the project is there already, or the folder cannot be written.
    """
    parser = Parser("transferlab init", description="Makes a project folder for your own data.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="it may exist; no file in it is overwritten")
    folder: Path = parser.parse_args(arguments).folder
    for path in make(folder):
        print(f"  {path}")
    print(
        f"\nNext:\n  cd {folder}\n  transferlab fit --experiment lora_reviews     trains on data/train.csv, tests on "
        "data/test.csv\n  transferlab baseline --experiment lora_reviews\n  transferlab compare\n"
        "Then put your own files into data/ and name their columns in configs/task/reviews.yaml.\n"
        "`transferlab schema --output .schema/` lets VS Code complete and check the keys of these files."
    )


def make(folder: Path) -> list[Path]:
    """Writes the files of a project: a task for CSV files, an experiment, a Makefile, settings of an editor.

    Returns:
        The files.

    Raises:
        TransferlabError: One of them is there already, and then none is written; or the folder cannot be written.
    """
    real = TEMPLATE.resolve()
    sources = [path for path in sorted(real.rglob("*")) if path.is_file()]
    parts = [path.relative_to(real).parts for path in sources]
    targets = [folder.joinpath(*(RENAMED.get(part, part) for part in path)) for path in parts]
    if there := [str(path) for path in targets if path.exists()]:
        raise TransferlabError(f"{', '.join(there)}: there already; nothing was written. Give another folder.")
    try:
        for source, target in zip(sources, targets, strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    except OSError as error:
        raise TransferlabError(f"cannot write {folder}: {error.strerror}") from error
    return targets
