"""What Prometheus reads at ``/metrics``: requests, batches, and what was predicted, never a text."""

from collections.abc import Callable, Sequence
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from transferlab.tasks.kinds.qa import answered
from transferlab.tasks.spec import TaskSpec
from transferlab.use.answering import Record
from transferlab.use.serving.batcher import Job

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 10)
CONFIDENCE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)
CHARACTERS = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
PATHS = {"/predict", "/swap", "/health", "/ready", "/metrics", "/docs", "/openapi.json"}


def outcomes(task: TaskSpec, answer: Record) -> list[str]:
    """What an answer is counted as: its labels, the types of its entities, or its tags; nothing for a number.

    Of a question only whether it has an answer, since that is a piece of a text.
    """
    if task.kind == "regression":
        return []
    if task.kind == "qa":
        return [answered(answer["prediction"])]
    if task.kind == "tagging":
        return [one["type"] for one in answer["entities"]] if task.entities else list(answer["prediction"])
    if task.intents:
        return [answer["prediction"], *(one["type"] for one in answer["entities"])]
    found = answer["prediction"]
    return list(found) if isinstance(found, list) else [found]


class Metrics:
    """The figures of one process.

    Args:
        task: Its kind and labels.
        waiting: Tells how many texts wait.
    """

    def __init__(self, task: TaskSpec, waiting: Callable[[], int]) -> None:
        # a time beside each counter, which nobody asks for
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.task = task
        self.registry = own = CollectorRegistry()
        for standard in (ProcessCollector, PlatformCollector, GCCollector):
            standard(registry=own)
        name = "transferlab_{}".format
        self._requests = Counter(name("requests"), "Requests answered", ["path", "status"], registry=own)
        self._seconds = Histogram(
            name("request_seconds"), "Seconds of a request to /predict", registry=own, buckets=SECONDS
        )
        self._batch = Histogram(name("batch_texts"), "Texts of a batch", registry=own, buckets=(1, 2, 4, 8, 16, 32, 64))
        self._computed = Histogram(name("batch_seconds"), "Seconds of a batch", registry=own, buckets=SECONDS)
        self._swaps = Counter(name("swaps"), "Exchanges of the model", ["result"], registry=own)
        self._model = Gauge(name("model_info"), "The model that is served", ["version"], registry=own)
        self._predicted = Counter(name("predictions"), "Labels or entities predicted", ["label"], registry=own)
        self._confidence = Histogram(
            name("confidence"), "Probability of the predicted label", registry=own, buckets=CONFIDENCE
        )
        self._characters = Histogram(name("text_characters"), "Length of a text", registry=own, buckets=CHARACTERS)
        self._number = Histogram(name("predicted_number"), "Predicted number", registry=own, buckets=(0,))
        self.under_way = Gauge(name("requests_under_way"), "Requests being read or answered", registry=own)
        Gauge(name("texts_waiting"), "Texts in the queue", registry=own).set_function(waiting)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Counts a request."""
        known = path if path in PATHS else "other"
        self._requests.labels(known, status).inc()
        if known == "/predict":
            self._seconds.observe(seconds)

    def batch(self, jobs: Sequence[Job], answers: Sequence[Record], seconds: float) -> None:
        """Counts a batch and its answers."""
        self._batch.observe(len(jobs))
        self._computed.observe(seconds)
        for job, answer in zip(jobs, answers, strict=True):
            self._characters.observe(job.characters)
            for label in outcomes(self.task, answer):
                self._predicted.labels(label).inc()
            if "probability" in answer:
                self._confidence.observe(answer["probability"])
            if self.task.kind == "regression":
                self._number.observe(answer["prediction"])

    def swapped(self, result: str, version: str) -> None:
        """Counts an exchange, and tells which model there is now."""
        self._swaps.labels(result).inc()
        self.serves(version)

    def serves(self, version: str) -> None:
        """Tells which model there is."""
        self._model.clear()
        self._model.labels(version).set(1)

    def page(self) -> Any:
        """The text of ``/metrics``."""
        return generate_latest(self.registry)
