"""The examples of a finished run, read again from where the run read them."""

from inspect import signature
from pathlib import Path
from typing import Any

from transferlab.config import received
from transferlab.config.renamed import as_meant
from transferlab.config.trees import read_yaml
from transferlab.encoders import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.record import folder as run_folder
from transferlab.tasks import TaskDataModule


def arguments_of(run: Path) -> Any:
    """The arguments of a run's data module and its encoder, as its configuration has them; no data are looked at.

    Returns:
        ``data``, ``encoder`` and ``seed``.

    Raises:
        TransferlabError: A configuration that a received run may not have.
    """
    # only here, so that a predictor that is put together by hand needs no parser
    from jsonargparse import ArgumentParser

    tree = as_meant(read_yaml(run / "config.yaml"))
    received.check(tree, run)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(TaskDataModule, "data", skip={"encoder", "seed"}, instantiate=False)
    parser.add_argument("--encoder", type=EncoderConfig)
    names = signature(TaskDataModule).parameters.keys() - {"encoder", "seed"}
    given = {key: value for key, value in tree["data"]["init_args"].items() if key in names}
    found = parser.instantiate_classes(parser.parse_object({"data": given, "encoder": tree["encoder"]}))
    found.seed = int(tree.get("seed_everything") or 0)
    return found


def data_of(run: Path) -> TaskDataModule:
    """The examples of a run.

    Raises:
        TransferlabError: They are out of reach, or others by content than the run had.
    """
    from transferlab.training.bound import changed_data

    known = arguments_of(run)
    data = TaskDataModule(encoder=known.encoder, seed=known.seed, **known.data.as_dict())
    if changed := changed_data(run_folder.read_summary(run).get("data") or {}, data):
        raise TransferlabError(f"{run}: its examples changed by content since it was trained: {'; '.join(changed)}")
    return data
