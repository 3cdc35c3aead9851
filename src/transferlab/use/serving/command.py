"""``transferlab serve``."""

import argparse
import asyncio
import hashlib
import ipaddress
import os
import subprocess
import sys
from pathlib import Path

from transferlab.config.places import cache_folder
from transferlab.ground.errors import TransferlabError
from transferlab.record import folder as run_folder
from transferlab.use.export.facts import is_export
from transferlab.use.serving import manifests
from transferlab.use.serving.options import Keep, Limits
from transferlab.use.serving.tokens import VARIABLE, Tokens


def run(asked: argparse.Namespace, limits: Limits, keep: Keep) -> None:
    """Serves a model until a signal comes, or writes what serves it elsewhere.

    Raises:
        TransferlabError: No such run or export, no tokens where others can reach the service, or a port that is taken.
    """
    if asked.manifests:
        manifests.write(asked.manifests, exported(asked.model, asked.root))
        return
    # the threads are those of the batches
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        from transferlab.use.serving import logs
        from transferlab.use.serving.app import Service
        from transferlab.use.serving.served import Place
        from transferlab.use.serving.server import Server, bind
    except ImportError as error:
        raise TransferlabError(f"{error.name} is missing: pip install 'transferlab[serve]'.") from error
    tokens = Tokens(asked.tokens)
    if not tokens and not asked.without_tokens and not _is_loopback(asked.host):
        raise TransferlabError(
            f"--host {asked.host}: others can reach it; give --tokens FILE or ${VARIABLE}, or --without-tokens."
        )
    listener = bind(asked.host, asked.port)
    folder = exported(asked.model, asked.root)
    place = Place(folder, asked.calibrated, asked.batch_size)
    service = Service(place, limits, tokens, keep, asked.threads or _processors(), asked.batch_size)
    logs.begin()
    asyncio.run(Server(service, listener).serve([listener]))


def exported(name: str, root: Path) -> Path:
    """The exported folder of that name, or one made of a run, kept in the cache.

    Raises:
        TransferlabError: No such run, or one that no ONNX folder can hold.
    """
    if is_export(Path(name)):
        return Path(name)
    found = run_folder.find(name, root)
    best = found / "checkpoints" / "best.ckpt"
    state = best.stat() if best.is_file() else None
    what = f"{found.resolve()} {state.st_mtime_ns if state else 0} {state.st_size if state else 0}"
    digest = hashlib.sha256(what.encode()).hexdigest()[:12]
    folder = cache_folder() / "served" / f"{found.resolve().parent.name}-{digest}"
    if not is_export(folder):
        print(f"exporting {found} to {folder}", file=sys.stderr)
        # in a process of its own: torch would stay in memory
        command = [sys.executable, "-m", "transferlab", "export", "--run", str(found), "--output", str(folder)]
        done = subprocess.run(command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise TransferlabError(done.stderr.strip().rpartition("error: ")[2] or "the export was stopped.")
    return folder


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
