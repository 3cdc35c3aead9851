"""A folder from which the service is built and run elsewhere: an image, Compose with its watchers, Kubernetes."""

import os
import secrets
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

from transferlab.config.shipped import SHIPPED
from transferlab.ground.errors import TransferlabError
from transferlab.use.serving.tokens import VARIABLE

TEMPLATE = SHIPPED / "serving"
RENAMED = {"dockerignore": ".dockerignore", "gitignore": ".gitignore"}
NEEDED = (
    "annotated-doc",
    "annotated-types",
    "anyio",
    "click",
    "fastapi",
    "h11",
    "idna",
    "numpy",
    "onnxruntime",
    "opentelemetry-api",
    "prometheus-client",
    "pydantic",
    "pydantic-core",
    "starlette",
    "tokenizers",
    "typing-extensions",
    "typing-inspection",
    "uvicorn",
)
"""All that a service imports, directly or not; torch is not among them."""


def write(folder: Path, export: Path) -> None:
    """Writes the folder: manifests, pinned packages, a copy of this package and of the model, a fresh token.

    Args:
        folder: Where to write; it may exist and be empty.
        export: An exported ONNX folder.

    Raises:
        TransferlabError: It is not empty, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TransferlabError(f"--manifests: {folder} is there already; give an empty folder.")
    try:
        shutil.copytree(TEMPLATE, folder, dirs_exist_ok=True)
        for name, hidden in RENAMED.items():
            (folder / name).rename(folder / hidden)
        shutil.copytree(export, folder / "model")
        ignored = shutil.ignore_patterns("__pycache__", "shipped")
        shutil.copytree(SHIPPED.parent, folder / "package" / "transferlab", ignore=ignored)
        pins = [f"{name}=={version(name)}" for name in NEEDED if _is_there(name)]
        (folder / "requirements.txt").write_text("\n".join(pins) + "\n", encoding="utf-8")
        # for its owner alone
        with os.fdopen(os.open(folder / "tokens.env", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(f"{VARIABLE}={secrets.token_urlsafe(32)}\n")
    except OSError as error:
        raise TransferlabError(f"--manifests: {error.filename or folder}: {error.strerror}.") from error
    print(
        f"{folder}: the service with its model, and one token in {folder / 'tokens.env'}\n"
        f"  cd {folder} && docker compose up --build      on this machine, with Prometheus and Grafana\n"
        f"  {folder / 'kubernetes'}                        kustomization.yaml says how",
        file=sys.stderr,
    )


def _is_there(name: str) -> bool:
    try:
        return bool(version(name))
    except ModuleNotFoundError:
        # a release of before or after may need fewer
        return False
