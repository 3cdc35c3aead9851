"""Texts of many requests in one batch: those that came while others were computed, near in length."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from transferlab.use.answering import Example, Record
from transferlab.use.serving.logs import LOG
from transferlab.use.serving.served import Served

PADDED = 1.5
"""A batch is at most so many times as long as its texts, padding included."""
SHORT = 40
"""Characters that a text counts beside its own: short ones are padded at little cost."""
STUCK = 60.0
"""Seconds after which a batch is taken for one that never ends."""


class Full(Exception):
    """There is no room for more texts."""


class Job(NamedTuple):
    """A text that waits.

    Attributes:
        model: The one that was served when it came.
        example: The text, the pair or the words.
        characters: Of it.
        answer: What the request waits for; cancelled where that gave up.
    """

    model: Served
    example: Example
    characters: int
    answer: "Future[Record]"


Told = Callable[[Sequence[Job], Sequence[Record], float], None]


class Batcher:
    """Threads that answer waiting texts.

    No text waits for others to come: a thread takes the one that waits longest, and with it those of like length.

    Args:
        threads: Batches at once.
        size: Texts of a batch, at most.
        room: Texts that may wait.
        told: Is called after each batch with its jobs, answers and seconds, from the thread that computed it.
    """

    def __init__(self, threads: int, size: int, room: int, told: Told) -> None:
        self.size, self.room, self._told = size, room, told
        self._waiting: list[Job] = []
        self._change = threading.Condition()
        self._closed = False
        self._since: dict[int, float] = {}
        self._threads = [threading.Thread(target=self._work, name=f"batch-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Texts that no thread has taken yet."""
        return len(self._waiting)

    @property
    def sound(self) -> bool:
        """Whether all threads live, and none has been with a batch for `STUCK` seconds."""
        now = time.monotonic()
        fresh = all(now - since < STUCK for since in list(self._since.values()))
        return fresh and all(thread.is_alive() for thread in self._threads)

    def submit(self, model: Served, examples: Sequence[Example], characters: Sequence[int]) -> "list[Future[Record]]":
        """Puts texts into the queue, all or none.

        Raises:
            Full: There is no room for them.
        """
        jobs = [Job(model, one, long, Future()) for one, long in zip(examples, characters, strict=True)]
        with self._change:
            if len(self._waiting) + len(jobs) > self.room:
                self._waiting = [job for job in self._waiting if not job.answer.cancelled()]
            if len(self._waiting) + len(jobs) > self.room:
                raise Full
            self._waiting += jobs
            self._change.notify(len(jobs))
        return [job.answer for job in jobs]

    def close(self) -> None:
        """Lets the threads end once nothing waits any more."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def _work(self) -> None:
        me = threading.get_ident()
        while (batch := self._take()) is not None:
            self._since[me] = time.monotonic()
            if batch:
                self._answer(batch)
            del self._since[me]

    def _take(self) -> list[Job] | None:
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            chosen = _alike(self._waiting, self.size)
            taken = set(map(id, chosen))
            self._waiting = [job for job in self._waiting if id(job) not in taken]
        return [job for job in chosen if job.answer.set_running_or_notify_cancel()]

    def _answer(self, batch: list[Job]) -> None:
        started = time.perf_counter()
        try:
            answers = batch[0].model.answer([job.example for job in batch])
        except Exception as error:
            if len(batch) == 1:
                batch[0].answer.set_exception(error)
                return
            # one that cannot be answered is no reason to refuse the others
            for job in batch:
                self._answer([job])
            return
        try:
            # before they are sent: whoever has an answer finds it counted
            self._told(batch, answers, time.perf_counter() - started)
        except Exception:
            LOG.exception("not counted")
        for job, answer in zip(batch, answers, strict=True):
            job.answer.set_result(answer)


def _alike(waiting: Sequence[Job], size: int) -> list[Job]:
    """The text that waits longest, and those nearest to its length that one model answers with little padding."""
    first = waiting[0]
    near = sorted(
        (job for job in waiting if job.model is first.model), key=lambda job: abs(job.characters - first.characters)
    )
    batch: list[Job] = []
    longest = total = 0
    for job in near[: min(size, first.model.together)]:
        long = job.characters + SHORT
        if batch and max(longest, long) * (len(batch) + 1) > PADDED * (total + long):
            break
        batch.append(job)
        longest, total = max(longest, long), total + long
    return batch
