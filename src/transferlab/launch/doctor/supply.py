"""Where data, weights and the tracking server are: on this machine, on the Hub, on W&B."""

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import huggingface_hub.constants

from transferlab.config import experiments, places, shipped, trees
from transferlab.encoders.loading import locate
from transferlab.ground.errors import TransferlabError
from transferlab.launch.doctor.finding import NOTE, OK, WRONG, Finding
from transferlab.tasks.table import TASKS

OFFLINE = "HF_HUB_OFFLINE is set: only what is on this machine is used"
FETCH = "transferlab fetch --experiment NAME, where there is a network; or a copy under $"


def hub(wait: float) -> Finding:
    """Whether the Hub answers.

    Args:
        wait: Seconds that it has.
    """
    constants = huggingface_hub.constants
    if constants.HF_HUB_OFFLINE:
        return Finding("Hub", OK, OFFLINE)
    started = time.monotonic()
    answer = _within(wait, lambda: huggingface_hub.get_session().head(constants.ENDPOINT, timeout=wait).status_code)
    if isinstance(answer, int) and answer < 500:
        return Finding("Hub", OK, f"{constants.ENDPOINT} answers in {time.monotonic() - started:.1f} s")
    reason = "no answer" if answer is None else f"status {answer}" if isinstance(answer, int) else _line(answer)
    text = f"{constants.ENDPOINT} is out of reach after {time.monotonic() - started:.1f} s: {reason}"
    return Finding("Hub", WRONG, text, "mend the network or HTTPS_PROXY; without one set HF_HUB_OFFLINE=1")


def is_online(found: Finding) -> bool:
    """Whether the Hub gives what is not on this machine."""
    return found.state == OK and found.text != OFFLINE


def _within(seconds: float, ask: Callable[[], Any]) -> Any:
    """The answer, or the exception; None where neither comes in time, as when a name cannot be looked up."""
    answers: queue.Queue[Any] = queue.Queue()

    def work() -> None:
        try:
            answers.put(ask())
        except Exception as error:  # whatever the HTTP library of this release raises
            answers.put(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        return None


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def variables() -> Iterator[Finding]:
    """Folders that environment variables name."""
    for name in ("TRANSFERLAB_DATA", "TRANSFERLAB_MODELS"):
        folder = os.environ.get(name)
        if folder and not Path(folder).is_dir():
            yield Finding(name, WRONG, f"{folder} is no folder", "make it, or unset the variable")


def data(online: bool) -> Iterator[Finding]:
    """Which tasks have their data here; wrong are own tasks whose files are not there.

    Args:
        online: Whether the Hub gives the rest.
    """
    here: list[str] = []
    missing: list[str] = []
    for task, path in shipped.listed("configs/task").items():
        try:
            source = source_of(task, path)
        except TransferlabError as error:
            yield Finding("data", WRONG, str(error), f"mend {shipped.shown(path)}")
            continue
        gone = [file for file in source["files"].values() if not Path(str(file)).exists()]
        if gone:
            text = f"{task}: {', '.join(map(str, gone))} not there"
            yield Finding("data", WRONG, text, f"mend data.source.files in {shipped.shown(path)}")
        else:
            (here if source["files"] or _is_here(source["path"], source["config"]) else missing).append(task)
    yield _summary("data", here, missing, online, f"{FETCH}TRANSFERLAB_DATA")


def source_of(task: str, path: Path) -> dict[str, Any]:
    """Where a task's examples lie: ``path`` and ``config`` of a data set, or ``files`` of one's own.

    Raises:
        TransferlabError: The file of the task cannot be read, or names a task that is not in the table.
    """
    section = trees.expand(path).get("data")
    settings = section.get("init_args") if isinstance(section, Mapping) else None
    settings = settings if isinstance(settings, Mapping) else {}
    own = settings.get("source")
    if isinstance(own, Mapping):
        files = own.get("files")
        given = files if isinstance(files, Mapping) else {}
        return {"path": str(own.get("path") or ""), "config": own.get("config"), "files": dict(given)}
    name = str(settings.get("task", task))
    if name not in TASKS:
        raise TransferlabError(experiments.no_task(name, list(TASKS)))
    return {"path": TASKS[name].path, "config": TASKS[name].config, "files": dict(TASKS[name].files or {})}


def _is_here(path: str, config: str | None) -> bool:
    """Whether a data set is generated, in a folder of this machine, or in the cache of the Hub."""
    if path == "embedded" or places.local_folder(path, "TRANSFERLAB_DATA"):
        return True
    constants = huggingface_hub.constants
    home = Path(os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME) / "datasets")
    prepared = home / path.replace("/", "___") / (config or "")
    downloaded = Path(constants.HF_HUB_CACHE) / f"datasets--{path.replace('/', '--')}" / "snapshots"
    return prepared.is_dir() or downloaded.is_dir()


def encoders(online: bool) -> Iterator[Finding]:
    """Which encoders have their weights here.

    Args:
        online: Whether the Hub gives the rest.
    """
    here: list[str] = []
    missing: list[str] = []
    for name, path in shipped.listed("configs/encoder").items():
        try:
            settings = trees.expand(path).get("encoder") or {}
            hub_name = str(settings.get("name") or "")
            place = locate(hub_name, settings.get("revision"), unpack=False) if hub_name else None
        except (TransferlabError, AttributeError) as error:
            yield Finding("encoders", WRONG, f"{name}: {error}", f"mend {shipped.shown(path)}")
            continue
        # one without pretrained weights needs none
        far = place is not None and place.origin.startswith("Hub ") and not place.origin.endswith("(cached)")
        (missing if far else here).append(name)
    yield _summary("encoders", here, missing, online, f"{FETCH}TRANSFERLAB_MODELS")


def _summary(what: str, here: Sequence[str], missing: Sequence[str], online: bool, remedy: str) -> Finding:
    text = f"{len(here)} of {len(here) + len(missing)} on this machine: {', '.join(here) or 'none'}"
    if not missing:
        return Finding(what, OK, text)
    if online:
        return Finding(what, OK, f"{text}; the Hub gives {', '.join(missing)}")
    return Finding(what, NOTE if here else WRONG, f"{text}; not here: {', '.join(missing)}", remedy)


def wandb() -> Finding:
    """Whether runs are sent to W&B; without a key they are kept offline, which is fine too."""
    from transferlab.ground.keys import has_key

    mode = os.environ.get("WANDB_MODE", "")
    if mode in {"offline", "disabled"}:
        return Finding("W&B", OK, f"{mode} by WANDB_MODE")
    if has_key():
        return Finding("W&B", OK, "a key is there: runs are sent")
    return Finding("W&B", OK, "no key: runs are kept offline in their directories; `wandb login` gives it one")
