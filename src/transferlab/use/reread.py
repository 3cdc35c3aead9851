"""The examples of a finished run, read again from where the run read them."""

from inspect import signature
from pathlib import Path

from transferlab.config.renamed import as_meant
from transferlab.config.trees import read_yaml
from transferlab.encoders import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.record import folder as run_folder
from transferlab.tasks import TaskDataModule
from transferlab.training.bound import changed_data


def data_of(run: Path, encoder: EncoderConfig) -> TaskDataModule:
    """The examples of a run.

    Args:
        run: The run directory.
        encoder: Its encoder.

    Raises:
        TransferlabError: They are out of reach, or others by content than the run had.
    """
    # only here, so that a predictor needs no parser
    from jsonargparse import ArgumentParser

    tree = as_meant(read_yaml(run / "config.yaml"))
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(TaskDataModule, "data", skip={"encoder", "seed"}, instantiate=False)
    names = signature(TaskDataModule).parameters.keys() - {"encoder", "seed"}
    given = {key: value for key, value in tree["data"]["init_args"].items() if key in names}
    known = parser.instantiate_classes(parser.parse_object({"data": given})).data.as_dict()
    data = TaskDataModule(encoder=encoder, seed=tree["seed_everything"], **known)
    if changed := changed_data(run_folder.read_summary(run).get("data") or {}, data):
        raise TransferlabError(f"{run}: its examples changed by content since it was trained: {'; '.join(changed)}")
    return data
