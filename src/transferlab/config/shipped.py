"""Where experiments and configs are found: in the working folder, then among those that the package ships."""

from importlib.resources import files
from pathlib import Path

SHIPPED = Path(str(files("transferlab"))) / "shipped"
"""Holds ``configs/`` and ``experiments/`` of the package."""


def roots(root: Path | None = None) -> list[Path]:
    """Folders that may hold ``configs/`` and ``experiments/``; what stands in the first one wins.

    Args:
        root: A project's folder; the working directory where None.
    """
    own = root or Path.cwd()
    same = (own / "configs").is_dir() and (own / "configs").resolve() == (SHIPPED / "configs").resolve()
    return [own] if same else [own, SHIPPED]


def find(name: str, root: Path | None = None) -> Path | None:
    """The file of a name such as ``configs/task/sst2.yaml``; None where there is none."""
    return next((place / name for place in roots(root) if (place / name).is_file()), None)


def listed(folder: str, root: Path | None = None) -> dict[str, Path]:
    """The YAML files of a folder such as ``configs/task`` by name, sorted; in subfolders ``subfolder/name``."""
    found: dict[str, Path] = {}
    for place in roots(root):
        for name in _names(place / folder):
            found.setdefault(name, place / folder / f"{name}.yaml")
    return dict(sorted(found.items()))


def is_own(path: Path) -> bool:
    """Whether a file is the user's, not one that the package ships."""
    return not path.resolve().is_relative_to(SHIPPED.resolve()) and not any(
        path.resolve().is_relative_to((SHIPPED / name).resolve()) for name in ("configs", "experiments")
    )


def shown(path: Path) -> str:
    """A file as a user knows it: relative to the working directory, or ``shipped`` with its name in the package."""
    if path.is_relative_to(SHIPPED):
        return f"shipped {path.relative_to(SHIPPED)}"
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _names(folder: Path) -> list[str]:
    # a folder that is a link is not entered otherwise
    real = folder.resolve()
    return [str(path.relative_to(real).with_suffix("")) for path in sorted(real.rglob("*.yaml")) if path.is_file()]
