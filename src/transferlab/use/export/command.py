"""``transferlab export --run RUN``."""

import copy
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from transferlab.config import hashes
from transferlab.ground.errors import TransferlabError
from transferlab.ground.quiet import quiet
from transferlab.record import folder as run_folder
from transferlab.tasks.batch import EncodedSplit
from transferlab.tasks.decoding import constrained_decode
from transferlab.tasks.generation import Generation
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.spans import LONGEST
from transferlab.tasks.tokenization import encode_texts, pair_form, special_affixes
from transferlab.tasks.windows import frame_of
from transferlab.tasks.words import word_prefix
from transferlab.use.export import agreement, parity, written
from transferlab.use.export import facts as facts_of
from transferlab.use.export.card import write_card
from transferlab.use.export.facts import Facts
from transferlab.use.export.formats import FORMATS
from transferlab.use.export.graph import form_of, inputs_of
from transferlab.use.prediction import words
from transferlab.use.predictor import Predictor, fitted_temperature

LIBRARIES = ("transferlab", "torch", "transformers", "tokenizers", "peft", "onnx", "onnxscript", "onnxruntime")


def run(name: str, form: str, output: Path | None, overwrite: bool, root: Path) -> None:
    """Exports a run by its name, and prints what was compared.

    Raises:
        TransferlabError: No such run, a format that cannot hold it, or an export that differs from the run.
    """
    quiet()
    found = run_folder.find(name, root)
    folder = output or Path("exports") / f"{found.parent.name}-{form}"
    if folder.exists() and not (overwrite and (facts_of.is_export(folder) or not any(folder.iterdir()))):
        why = "--overwrite replaces an export" if facts_of.is_export(folder) else "it is no export"
        raise TransferlabError(f"--output: {folder} is there already; {why}.")
    checks = export(found, form, folder)
    print(parity.table(checks))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 2**20:,.1f} MB")


def export(run: Path, form: str, folder: Path) -> list[parity.Check]:
    """Exports a run; the folder is there only where the gate was passed.

    Args:
        run: A run directory.
        form: A key of `FORMATS`.
        folder: Where to write.

    Returns:
        The comparisons that were made.

    Raises:
        TransferlabError: A format that cannot hold the run, or a result that differs from it.
    """
    predictor = Predictor.load(run, device="cpu")
    _refuse(run, form, predictor)
    fresh = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        make = _written if predictor.task.kind == "text" else _read
        known, checks = make(run, form, predictor, fresh)
        if not all(check.passed for check in checks):
            told = parity.table(checks)
            raise TransferlabError(f"--format {form}: the export does not give what the run gives:\n{told}")
        parity.write(fresh, checks)
        known.write(fresh)
        write_card(fresh, known, checks)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    if folder.exists():
        shutil.rmtree(folder)
    fresh.rename(folder)
    return checks


def _refuse(run: Path, form: str, predictor: Predictor) -> None:
    """Refuses a run that a format cannot hold, before anything is written."""
    if predictor.task.kind == "text":
        written.refuse_format(form, str(run))
    if predictor.model.own_layout:
        raise TransferlabError(
            f"--format {form}: {run} {predictor.model.own_layout}, which no exported graph does; "
            "`transferlab predict`, `transferlab serve` and tl.Predictor use the run itself."
        )
    if predictor.task.ranges and form not in ("onnx", "torch"):
        raise TransferlabError(
            f"--format {form}: {run} reads the vectors of marked entities, which no class of transformers does; use "
            "--format onnx or torch."
        )
    if predictor.task.case and form not in ("onnx", "torch"):
        raise TransferlabError(
            f"--format {form}: {run} is told the capitals of words (data.case), as no pipeline of transformers does; "
            "use --format onnx or torch."
        )
    if predictor.task.kind == "qa" and form not in ("onnx", "torch"):
        raise TransferlabError(
            f"--format {form}: its classes do not choose among the windows of a context as {run} does; use "
            "--format onnx or torch."
        )
    if predictor.task.intents and form not in ("onnx", "torch"):
        raise TransferlabError(
            f"--format {form}: no class of transformers has the two heads of {run}, for intents and slots; use "
            "--format onnx or torch."
        )


def _read(run: Path, form: str, predictor: Predictor, folder: Path) -> tuple[Facts, list[parity.Check]]:
    """Writes a model that reads texts, and compares it with the run."""
    encoded, pieces = _samples(predictor)
    reads = form_of(predictor.model, encoded.collate([0, 1]))
    # at least two of everything, so that no axis is taken for a constant
    example = inputs_of(encoded.collate([0, 1, 2]), reads)
    options = {"max_length": predictor.settings.max_length} if form == "sentence-transformers" else {}
    made = FORMATS[form](copy.deepcopy(predictor.model), reads, example, folder, **options)
    predictor.tokenizer.save_pretrained(folder)
    decide = _decide(predictor, pieces) if made.decides else None
    checks = parity.gate(made.ask, made.reference, encoded, reads, decide)
    return _facts(run, form, predictor, reads.inputs), checks


def _written(run: Path, form: str, predictor: Predictor, folder: Path) -> tuple[Facts, list[parity.Check]]:
    """Writes a model that writes texts, and compares it with the run."""
    writer = written.FORMATS[form](predictor, folder)
    written.tokenizer_of(predictor).save_pretrained(folder)
    checks = agreement.gate(predictor, agreement.samples(predictor, run), folder, writer)
    two = ("decoder_input_ids",) if form == "torch" and not predictor.settings.causal else ()
    return _facts(run, form, predictor, ("input_ids", "attention_mask", *two)), checks


def _samples(predictor: Predictor) -> tuple[EncodedSplit, list[list[str]]]:
    columns: dict[str, list[Any]] = dict(parity.samples(predictor.text))
    split: list[list[str]] = []
    if KINDS[predictor.task.kind].marked:
        name = predictor.text[0]
        columns[name] = [text for text in map(parity.marked, columns[name]) if _fits(text, predictor)]
    if predictor.task.kind == "qa":
        # a question leaves room for its context
        columns[predictor.text[0]] = [text[:12].strip() for text in columns[predictor.text[0]]]
    if predictor.task.worded:
        name = predictor.text[0]
        split = [words.of_text(text).words for text in columns[name]]
        columns[name] = split
    return encode_texts(columns, predictor.source, predictor.tokenizer, predictor.settings), split


def _fits(text: str, predictor: Predictor) -> bool:
    """Whether the entities of a text fit into what the run reads."""
    try:
        predictor.encode({predictor.text[0]: [text]})
    except TransferlabError:
        return False
    return True


def _decide(predictor: Predictor, pieces: list[list[str]]) -> Any:
    model = predictor.model

    def words_of(logits: Any) -> list[Any]:
        if model.head_config.decoding == "constrained":
            parted = predictor.task.spelling.name != "IO"
            return [constrained_decode(scores, predictor.task.tags, parted) for scores in logits]
        return list(map(list, logits.argmax(-1)))

    def decide(logits: Any, given: Any) -> list[Any]:
        if predictor.task.intents:
            tags = len(predictor.task.tags)
            intents, words = logits[:, 0, tags:].argmax(-1).tolist(), words_of(logits[:, 1:, :tags])
            return [(intent, *map(int, row)) for intent, row in zip(intents, words, strict=True)]
        if predictor.task.worded:
            return words_of(logits)
        if predictor.task.kind == "qa":
            mask = given["attention_mask"]
            # a row without tokens has no answer
            hidden = np.where(mask[mask.any(1)][..., None] > 0, logits, -np.inf)
            return [tuple(row) for row in hidden.argmax(1).tolist()]
        if predictor.task.kind == "regression":
            return [round(float(value), 2) for value in logits]
        if predictor.task.kind == "multilabel":
            assert model.thresholds is not None
            at = np.log(model.thresholds.numpy() / (1 - model.thresholds.numpy()))
            return [tuple(row >= at) for row in logits]
        return list(logits.argmax(-1))

    return decide


def _facts(run: Path, form: str, predictor: Predictor, inputs: tuple[str, ...]) -> Facts:
    model, settings, tokenizer = predictor.model, predictor.settings, predictor.tokenizer
    summary = run_folder.read_summary(run)
    encoder = model.encoder_config
    tagging = predictor.task.worded
    asked = predictor.task.kind == "qa"
    thresholds = None if model.thresholds is None or asked else tuple(model.thresholds.tolist())
    return Facts(
        format=form,
        task=predictor.task,
        text=predictor.text,
        max_length=settings.max_length,
        truncation=settings.truncation,
        windows=settings.windows,
        inputs=inputs,
        prefix=tuple(map(tuple, special_affixes(tokenizer))),  # type: ignore[arg-type]
        blank=word_prefix(tokenizer) if tagging else "",
        pad_id=int(tokenizer.pad_token_id or 0),
        decoding=model.head_config.decoding,
        thresholds=thresholds,
        temperature=_temperature(run, predictor),
        encoder={
            "name": encoder.label,
            "revision": encoder.revision,
            "layers": encoder.layers,
            "pooling": encoder.pooling,
        },
        base=model.encoder.content._asdict(),
        run={key: summary.get(key) for key in ("experiment", "run", "strategy", "seed", "metrics", "setting")}
        | {"checkpoint": hashes.of_path(run / "checkpoints" / "best.ckpt")},
        versions=_versions(),
        pairs=pair_form(tokenizer, settings)._asdict() if settings.markers else None,
        labelled={key: getattr(predictor.source, key) for key in ("label", "label_delimiter", "label_columns")},
        last_pieces=settings.last_pieces,
        questions=_of_questions(predictor) if asked else None,
        prompts=_of_prompts(predictor) if predictor.task.kind == "text" else None,
    )


def _of_prompts(predictor: Predictor) -> dict[str, Any]:
    """How inputs become prompts: the arguments of `Generation`, and whether a single stack reads and writes."""
    generation = predictor.settings.generation or Generation()
    return {"template": generation.template, "chat": generation.chat, "causal": predictor.settings.causal}


def _of_questions(predictor: Predictor) -> dict[str, Any]:
    """How questions are read and answered."""
    head, threshold = predictor.model.head_config, predictor.threshold
    return {
        "frame": frame_of(predictor.tokenizer)._asdict(),
        "stride": predictor.settings.stride,
        "longest": head.longest or LONGEST,
        "n_best": predictor.n_best,
        # JSON has no number for an infinite one
        "threshold": threshold if np.isfinite(threshold) else None,
    }


def _temperature(run: Path, predictor: Predictor) -> float | None:
    try:
        return fitted_temperature(run, predictor.task)
    except TransferlabError:
        return None


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except ModuleNotFoundError:
            continue
    return found
