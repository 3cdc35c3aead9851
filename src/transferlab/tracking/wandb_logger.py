"""Weights & Biases as a second view of a run, which may fail at any time without harm.

``metrics.jsonl`` is the truth. Every start gives W&B what that file holds already, so each segment of a run is whole,
and a server that knows a step drops it the second time.
"""

import contextlib
import json
import logging
import os
import queue
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from transferlab.ground.keys import has_key
from transferlab.record import history

STEP = "trainer/global_step"
ID = "wandb-id.txt"
ROOM = 100_000
"""Calls that may wait; a client that hangs must not fill the memory."""

Call = Callable[[Any], None]
"""Does something with a ``wandb.Run``."""


def in_sweep() -> bool:
    """Whether ``wandb agent`` started this process: then the run's id, project and entity are the sweep's."""
    return bool(os.environ.get("WANDB_SWEEP_ID"))


def run_id(folder: Path) -> str:
    """The W&B id of a run directory: chosen at its first start, and kept there for all others."""
    path = folder / ID
    if not path.is_file():
        # runs of earlier versions were called like their folder
        own = folder.name if (folder / "wandb").is_dir() else secrets.token_hex(4)
        # the agent of a sweep has chosen one already
        chosen = os.environ.get("WANDB_RUN_ID") if in_sweep() else None
        path.write_text(chosen or own, encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()


class WandbLogger(Logger):
    """Gives a run to W&B from a thread of its own, so that training waits for nothing.

    A client that dies is started again, once, with all that it was told; a server that is out of reach or refuses makes
    the run an offline one. Either prints a line. What is wrong after that ends the view, not the run.

    Args:
        project: Project on the server.
        entity: User or team; the key's default where empty.
        name: Shown name; ``<strategy>-<task>-<encoder>-s<seed>`` where empty.
        group: What is averaged over; ``<task>/<strategy>`` where empty.
        job_type: ``train``, ``distill`` or ``eval`` where empty; ``$WANDB_JOB_TYPE`` counts too.
        tags: Words to filter by, beside task, strategy, encoder and `run.tags`.
        save_dir: Folder for W&B's files; the run directory is filled in.
        id: Id on the server; kept in the run directory where empty.
        offline: Write files only.
        checkpoints: Which become artifacts: ``best``, ``last``, both or none.
        artifact_limit_mb: A larger checkpoint (MB of 2**20 bytes) is named by its hash instead of uploaded.
        predictions: Rows of the table of test predictions, those with the lowest ids; 0 for no tables.
        init_timeout: Seconds until a server counts as out of reach.
        finish_timeout: Seconds to wait for uploads at the end.
    """

    def __init__(
        self,
        project: str = "transferlab",
        entity: str | None = None,
        name: str | None = None,
        group: str | None = None,
        job_type: str | None = None,
        tags: tuple[str, ...] = (),
        save_dir: str = "runs",
        id: str | None = None,
        offline: bool = False,
        checkpoints: tuple[str, ...] = ("best",),
        artifact_limit_mb: float = 500.0,
        predictions: int = 1000,
        init_timeout: float = 30.0,
        finish_timeout: float = 60.0,
    ) -> None:
        super().__init__()
        self.folder = Path(save_dir)
        self.facts = {"project": project, "entity": entity, "name": name, "group": group, "job_type": job_type}
        self.tags, self.id = tuple(tags), id
        mode = os.environ.get("WANDB_MODE") or ("online" if has_key() else "offline")
        self.offline = offline or mode in {"offline", "dryrun"} or not has_key()
        self.checkpoints = tuple(checkpoints)
        self.artifact_limit_mb = artifact_limit_mb
        self.predictions = predictions
        self.init_timeout, self.finish_timeout = init_timeout, finish_timeout
        self._calls: queue.Queue[Call | None] = queue.Queue(ROOM)
        self._done: list[Call] = []
        self._thread: threading.Thread | None = None
        self._run: Any = None
        self._closed = mode == "disabled"
        self._dead = self._restarted = False

    @property
    def name(self) -> str:
        """No folder of its own."""
        return ""

    @property
    def version(self) -> str:
        """No folder of its own."""
        return ""

    # what Lightning calls -------------------------------------------------------------------------------------------

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Puts nested facts into the run's configuration."""
        facts = json.loads(json.dumps(params, default=str))
        self.tell(lambda run: run.config.update(facts, allow_val_change=True))

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Adds to the row of a step; the parts of a step become one row, as in ``metrics.jsonl``."""
        row = {name: float(value) for name, value in metrics.items()}
        self.tell(lambda run: run.log({**row, STEP: step}, step=step))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Closes a run that failed; one that goes well has more to say."""
        if status != "success":
            self.close(exit_code=1)

    # what we call ---------------------------------------------------------------------------------------------------

    @rank_zero_only
    def tell(self, call: Call) -> None:
        """Queues a call; it is made in the thread, and made again where the client is started again."""
        if self._closed or self._dead:
            return
        if self._thread is None:
            # here, not in the thread: half-imported modules are a danger to whoever imports beside it
            import wandb  # noqa: F401

            # that a client is gone it would say with tracebacks, from threads of its own
            logging.getLogger("wandb.sdk").setLevel(logging.CRITICAL)
            self.id = self.id or run_id(self.folder)
            self._thread = threading.Thread(target=self._work, name="wandb", daemon=True)
            self._thread.start()
        try:
            self._calls.put_nowait(call)
        except queue.Full:
            self._give_up("it no longer answers")

    @rank_zero_only
    def close(self, exit_code: int = 0, timeout: float | None = None) -> str:
        """Ends the view, and waits until all is uploaded, but not for ever.

        Args:
            exit_code: 0 for a finished run, 75 for one that was asked to stop, else it failed.
            timeout: Seconds to wait; `finish_timeout` and the start of the client where None.

        Returns:
            The command that uploads what is not on the server yet; empty where there is nothing.
        """
        if self._closed or self._thread is None:
            return ""
        self.tell(lambda run: _finish(run, exit_code))
        self._closed = True
        with contextlib.suppress(queue.Full):
            self._calls.put_nowait(None)
        # the client takes seconds to start, on a busy machine more
        self._thread.join(timeout or self.finish_timeout + self.init_timeout + 30)
        if self._thread.is_alive():
            self._give_up("it does not finish")
            _abandon()
        place = self._place
        return f"wandb sync {place}" if place and (self.offline or self._dead) else ""

    @property
    def _place(self) -> str:
        """The newest segment, which is whole."""
        found = sorted(self.folder.glob("wandb/*run-*/*.wandb"), key=lambda path: path.stat().st_mtime)
        return os.path.relpath(found[-1].parent) if found else ""

    # the thread -----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            if not self._dead:
                self._make(call)
            self._calls.task_done()

    def _make(self, call: Call) -> None:
        try:
            self._run = self._run or self._start()
            call(self._run)
            self._done.append(call)
        except TimeoutError:
            self._give_up("not all was uploaded in time")
        except Exception as error:
            if self._restarted:
                return self._give_up(_reason(error))
            self._restarted = True
            say(f"W&B stopped ({_reason(error)}) and is started again.")
            self._again([*self._done, call])
        return None

    def _again(self, calls: list[Call]) -> None:
        _teardown(self._run)
        try:
            self._run = self._start()
            for call in calls:
                call(self._run)
        except Exception as error:
            self._give_up(_reason(error))

    def _start(self) -> Any:
        run = None
        if not self.offline:
            try:
                run = self._init("online")
            except Exception as error:
                say(f"W&B cannot be reached ({_reason(error)}); this start of the run stays offline.")
                _teardown()
                self.offline = True
        run = run or self._init("offline")
        run.define_metric(STEP)
        run.define_metric("*", step_metric=STEP, step_sync=True)
        # a test of a finished run is a run of its own
        for row in history.rows(self.folder) if self.facts["job_type"] != "eval" else []:
            step = row.pop("step")
            run.log({**row, STEP: step}, step=step)
        return run

    def _init(self, mode: str) -> Any:
        import wandb

        settings = wandb.Settings(
            silent=True,
            # what is printed would pass through the client, which may be dead
            console="off",
            # else a run that was begun elsewhere in this process would be taken for this one
            reinit="create_new",
            init_timeout=self.init_timeout,
            finish_timeout=self.finish_timeout,
            finish_timeout_raises=True,
        )
        facts: Any = {**self.facts, "id": self.id, "tags": [tag[:64] for tag in self.tags], "dir": str(self.folder)}
        facts |= {"mode": mode, "resume": None if mode == "offline" else "allow"}
        if in_sweep():
            # it would warn of each of them
            facts = {name: value for name, value in facts.items() if name not in {"id", "project", "entity", "resume"}}
        return wandb.init(settings=settings, **facts)

    def _give_up(self, reason: str) -> None:
        if not self._dead:
            self._dead = True
            say(f"W&B: {reason}; training continues, and metrics.jsonl in the run directory holds every step.")
            if threading.current_thread() is self._thread:
                _teardown(self._run)


def say(line: str) -> None:
    """Prints a line whole, whichever thread it comes from."""
    print(line, flush=True)


def _finish(run: Any, exit_code: int) -> None:
    from transferlab.ground.signals import STOPPED

    if exit_code == STOPPED:
        # shown as preempted, not as failed
        run.mark_preempting()
    run.finish(exit_code=exit_code)


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:160]}" if lines else type(error).__name__


def _teardown(run: Any = None) -> None:
    """Ends the client, so that nothing of it speaks up when the process ends; also a thread that asks for its state."""
    import wandb

    with contextlib.suppress(Exception):
        run._run_status_checker.stop()
    with contextlib.suppress(Exception):
        wandb.teardown()


def _abandon() -> None:
    """Ends a client that hangs: at the end of the process it would be waited for."""
    with contextlib.suppress(Exception):
        from wandb.sdk import wandb_setup

        connection: Any = wandb_setup.singleton()._connection
        connection._cleanup()
        connection._proc._process.kill()
