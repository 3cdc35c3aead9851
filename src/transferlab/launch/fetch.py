"""``transferlab fetch``: data and weights onto this machine's disk, by the very code that a run reads them with."""

import os
import subprocess
import sys
import tempfile

from transferlab.ground.errors import TransferlabError

# a login node has no accelerator; nothing is computed here
HERE = {"accelerator": "cpu", "devices": "1", "num_nodes": "1", "strategy": "auto", "precision": "32-true"}


def main(arguments: list[str]) -> None:
    """Runs ``transferlab fetch``, and where the Hub gave something once more without network.

    Raises:
        TransferlabError: Something is nowhere to be found, or not without network.
    """
    origins = _fetch(arguments)
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    if offline or not any("Hub" in origin for origin in origins):
        return
    with tempfile.TemporaryDirectory() as empty:
        # without the tokens that are kept by now
        again = subprocess.run(
            [sys.executable, "-m", "transferlab", "fetch", *arguments],
            env={**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFERLAB_CACHE": empty},
            capture_output=True,
            text=True,
            check=False,
        )
    if again.returncode:
        reason = (again.stderr.strip().splitlines() or ["no message"])[-1].removeprefix("error: ")
        raise TransferlabError(f"fetched, but a run with HF_HUB_OFFLINE=1 would not find it: {reason}")
    print("read once more with HF_HUB_OFFLINE=1: complete")


def _fetch(arguments: list[str]) -> list[str]:
    from transferlab.cli import train as cli
    from transferlab.encoders.loading import locate
    from transferlab.ground.quiet import quiet

    origins: list[str] = []

    class Fetch(cli.TransferCLI):
        """Goes as far as a run does before it opens its folder."""

        def before_fit(self) -> None:
            """Reads and tokenises all rows; the model has its weights already."""
            data = self.datamodule
            data.prepare_data()
            source = data.source
            for split in filter(None, (source.train, source.validation, *source.test, *data.predicted.splits)):
                # tokens may be there from before while the rows are not
                data.rows(split)
            for stage in ("fit", "test", "predict"):
                data.setup(stage)
                print(f"examples for {stage}: {data.origin}", flush=True)
            encoder = self.model.encoder_config
            origins.extend([data.origin, locate(encoder.name, encoder.revision).origin])
            print(f"weights and tokenizer: {origins[-1]}", flush=True)
            raise SystemExit(0)

    quiet()
    keys = [part for key, value in HERE.items() for part in (f"--trainer.{key}", value)]
    try:
        Fetch(["fit", *arguments, *keys, "--trainer.logger", "false", "--cache.enabled", "false"])
    except SystemExit as done:
        if done.code:
            raise
    return origins
