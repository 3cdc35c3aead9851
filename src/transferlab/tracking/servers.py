"""Loggers with a server behind them, MLflow's and Comet's; without one they write into the run directory."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CometLogger as LightningComet
from lightning.pytorch.loggers import MLFlowLogger as LightningMLFlow
from lightning.pytorch.utilities import rank_zero_only

MLFLOW_RUN, COMET_EXPERIMENT = "mlflow_run_id", "comet_experiment_key"
"""Files in the run directory: what a resumed run continues."""


class MLFlowLogger(LightningMLFlow):
    """Lightning's, with one MLflow run for a run, also after a resume.

    Nothing is opened or written before the first value is logged. A hyperparameter that a resume changes becomes a tag,
    since MLflow keeps the first value; metrics that MLflow has already are not logged twice.

    Args:
        experiment_name: Under which MLflow lists the run.
        run_name: Name of the run; the run ID where null.
        tracking_uri: Server or database; where null ``$MLFLOW_TRACKING_URI``, else ``mlflow.db`` in the run directory.
        tags: Tags of the run.
        log_model: Whether checkpoints are uploaded: after training, or each one with ``all``.
        save_dir: Filled in: the run directory.
    """

    def __init__(
        self,
        experiment_name: str = "transferlab",
        run_name: str | None = None,
        tracking_uri: str | None = None,
        tags: dict[str, Any] | None = None,
        log_model: bool | Literal["all"] = False,
        save_dir: str = "runs",
    ) -> None:
        self._folder = Path(save_dir).absolute()
        server = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        # the client opens a database at once; with this address it waits until `experiment` gives it the right one
        super().__init__(
            experiment_name,
            run_name or self._folder.name,
            "http://127.0.0.1",
            tags,
            log_model=log_model,
            artifact_location=None if server else f"file:{self._folder}/mlflow",
        )
        self._tracking_uri = server or f"sqlite:///{self._folder}/mlflow.db"
        self._there: dict[str, int] | None = None

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The client of MLflow, with the run begun or found again."""
        if not self._initialized:
            from mlflow.tracking import MlflowClient

            self._folder.mkdir(parents=True, exist_ok=True)
            self._mlflow_client = MlflowClient(self._tracking_uri)
            self._run_id = self._run_before()
            self._there = {} if self._run_id else None
            client = super().experiment
            (self._folder / MLFLOW_RUN).write_text(str(self._run_id), encoding="utf-8")
            return client
        return self._mlflow_client

    def _run_before(self) -> str | None:
        from mlflow.exceptions import MlflowException

        try:
            kept = (self._folder / MLFLOW_RUN).read_text(encoding="utf-8").strip()
            self._mlflow_client.get_run(kept)
        except (OSError, MlflowException):
            return None
        return kept

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:
        """Logs hyperparameters by names such as ``optim/lr``."""
        from lightning.fabric.utilities.logger import _convert_params, _flatten_dict

        flat = _flatten_dict(_convert_params(params))
        before = self.experiment.get_run(self.run_id).data.params
        super().log_hyperparams({name: value for name, value in flat.items() if name not in before})
        for name, value in flat.items():
            if name in before and before[name] != str(value)[:250]:
                self.experiment.set_tag(self.run_id, name, str(value))

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Logs metrics, but for those that MLflow has from an earlier start of the run."""
        client = self.experiment
        if step is not None and self._there is not None:
            metrics = {name: value for name, value in metrics.items() if step > self._last_step(client, name)}
        if metrics:
            super().log_metrics(metrics, step)

    def _last_step(self, client: Any, name: str) -> int:
        assert self._there is not None
        if name not in self._there:
            steps = [metric.step for metric in client.get_metric_history(self.run_id, name)]
            self._there[name] = max(steps, default=-1)
        return self._there[name]


class CometLogger(LightningComet):
    """Lightning's, with one Comet experiment for a run, also after a resume; without a key it runs offline.

    Args:
        project: Comet's project.
        workspace: Comet's workspace; the default one of the key where null.
        name: Name of the experiment; the run ID where null.
        online: Whether to log to the server; where null, if there is a key (``$COMET_API_KEY``, ``~/.comet.config``).
        save_dir: Filled in: the run directory.
    """

    def __init__(
        self,
        project: str = "transferlab",
        workspace: str | None = None,
        name: str | None = None,
        online: bool | None = None,
        save_dir: str = "runs",
    ) -> None:
        self._folder = Path(save_dir).absolute()
        self._constructed = False
        # what it says of itself at every start is not shown
        os.environ.setdefault("COMET_LOGGING_CONSOLE", "ERROR")
        # Lightning disables an experiment that is told here to be offline: it would write nothing
        super().__init__(
            workspace=workspace,
            project=project,
            mode="get_or_create",
            name=name or self._folder.name,
            log_code=False,
            display_summary_level=0,
        )
        self._online = online
        self._constructed = True

    def _create_experiment(self) -> None:
        # Lightning opens one when it is constructed, for a test or a prediction too
        if not self._constructed:
            return
        import comet_ml

        if self._online is None:
            self._online = bool(comet_ml.get_config("comet.api_key"))
        archives = self._folder / "comet"
        archives.mkdir(parents=True, exist_ok=True)
        # Comet draws the name of an archive from the generator that the run has seeded: two starts would have one name
        self._comet_config.offline_directory = str(archives / f"start{sum(1 for _ in archives.iterdir()) + 1}")
        kept = self._folder / COMET_EXPERIMENT
        self._experiment_key = kept.read_text(encoding="utf-8").strip() if kept.is_file() else None
        super()._create_experiment()
        kept.write_text(str(self._experiment_key), encoding="utf-8")

    def close(self) -> str:
        """Ends the experiment.

        Returns:
            The command that uploads it where it ran offline; else empty.
        """
        if self._experiment is None:
            return ""
        self._experiment.end()
        return "" if self._online else f"comet upload {os.path.relpath(self._folder / 'comet')}/*/*.zip"
