"""Data sets on the Hub, or folders laid out like one, as rows."""

import functools
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from transferlab.config.places import from_hub, local_folder, no_such_root, reach_hub
from transferlab.ground.errors import TransferlabError
from transferlab.tasks.reading.arrow import Table, concatenate
from transferlab.tasks.reading.files import JSONS, TABLES, read_path
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.spec import Source


def read_repository(source: Source, config: str | None, split: str) -> Rows:
    """Reads a split of a data set.

    CSV, TSV and JSON files are read as those of the user are, unless the data set says itself how to.

    Args:
        source: Names the data set.
        config: Its configuration.
        split: Name of the split.

    Raises:
        TransferlabError: No such folder, configuration or split, or the Hub is out of reach.
    """
    import datasets

    folder = _folder_or_hub(source.path)
    target, revision = _place(source.path, folder, source.revision)
    origin = f"local folder {folder}" if folder else f"Hub {source.path}" + (f"@{revision}" if revision else "")
    try:
        with nullcontext() if folder else from_hub("datasets", source.path, f"loading {origin}, {split}"):
            builder = datasets.load_dataset_builder(target, config, revision=revision)
            plain = _plain_files(builder, split)
            if not plain:
                rows = datasets.load_dataset(target, config, split=split, revision=revision)
                return Rows(Table.from_datasets(rows), origin)
    except Exception as error:  # `datasets`, the Hub client and every reader have exceptions of their own
        raise TransferlabError(_why(source.path, config, split, folder, error)) from error
    separator = str(getattr(builder.config, "sep", ","))
    given = replace(source, delimiter=source.delimiter or (separator if separator != "," else None))
    labelled = split not in source.predict
    parts = [read_path(given, path, labelled, suffix) for path, suffix in plain]
    if len(parts) == 1:
        return parts[0]._replace(origin=f"{origin}: {Path(parts[0].origin).name}")
    notes = tuple(note for part in parts for note in part.notes)
    return Rows(concatenate([part.rows for part in parts]), origin, None, parts[0].form, notes)


def _plain_files(builder: Any, split: str) -> list[tuple[Path, str]]:
    """The CSV, TSV or JSON files of a split with their suffixes; none where the data set says how they are read."""
    settings = builder.config
    told = builder.info.features is not None or getattr(settings, "names", None) is not None
    files = (settings.data_files or {}).get(split, [])
    suffixes = [Path(file).suffix.lower() for file in files]
    if told or not files or not set(suffixes) <= {*TABLES, *JSONS} or getattr(settings, "header", "infer") != "infer":
        return []
    if not all(Path(file).is_file() for file in files):
        import datasets

        files = datasets.DownloadManager(dataset_name=builder.dataset_name).download(list(files))
    return list(zip(map(Path, files), suffixes, strict=True))


def repository_splits(source: Source) -> tuple[str, ...]:
    """Names of the splits of a data set.

    Raises:
        TransferlabError: No such folder or configuration, or the Hub is out of reach.
    """
    folder = _folder_or_hub(source.path)
    try:
        return _listed(*_place(source.path, folder, source.revision), source.config)
    except Exception as error:  # `datasets` and the Hub client have exceptions of their own
        raise TransferlabError(_why(source.path, source.config, "", folder, error)) from error


@functools.cache
def _listed(target: str, revision: str | None, config: str | None) -> tuple[str, ...]:
    import datasets

    return tuple(datasets.get_dataset_split_names(target, config, revision=revision))


def _folder_or_hub(path: str) -> Path | None:
    folder = local_folder(path, "TRANSFERLAB_DATA")
    if folder is None:
        reach_hub()
    return folder


def _place(path: str, folder: Path | None, revision: str | None) -> tuple[str, str | None]:
    """What `datasets` is to read: a folder, which has no revisions, or a name on the Hub."""
    return (str(folder), None) if folder else (path, revision)


def _why(path: str, config: str | None, split: str, folder: Path | None, error: Exception) -> str:
    from datasets.exceptions import DatasetGenerationError

    where = f"{path}" + (f" ({config})" if config else "")
    cause = error.__cause__ if isinstance(error, DatasetGenerationError) and error.__cause__ else error
    reason = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    if folder:
        what = f"split {split!r} of {where}" if split else where
        return f"data: cannot read {what} from {folder}: {reason}"
    return (
        f"data: {where} is not on this machine and the Hub did not give it ({reason}). Remedies: "
        f"(1) put a copy of the repository at $TRANSFERLAB_DATA/{path.rsplit('/', 1)[-1]}"
        f"{no_such_root('TRANSFERLAB_DATA')}; "
        "(2) run once with network access, then set HF_HUB_OFFLINE=1; "
        "(3) `transferlab demo` needs no data from the network at all."
    )
