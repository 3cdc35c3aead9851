"""``transferlab explain``: what is read, what is printed, what is written."""

import argparse
import json
import statistics
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from transferlab.analysis.comparison.groups import estimate
from transferlab.ground.errors import TransferlabError
from transferlab.ground.escapes import visible
from transferlab.ground.quiet import quiet
from transferlab.ground.screen import console, facts
from transferlab.record import folder as run_folder
from transferlab.tasks.kinds import KINDS
from transferlab.use.answering import Example, Record
from transferlab.use.explanation.explainer import Explainer, Explanation
from transferlab.use.explanation.page import page
from transferlab.use.export.facts import is_export
from transferlab.use.prediction.inputs import Input, Wanted
from transferlab.use.refused import refuse_texts

SHOWN = 5
"""Words of a text that are printed."""


def run(asked: argparse.Namespace) -> None:
    """Explains, prints and writes.

    Raises:
        TransferlabError: See `transferlab.use.explanation.options.main`.
    """
    if is_export(Path(asked.run)):
        raise TransferlabError(
            f"{asked.run} was exported: it answers, but has no gradients. Name the run that it was exported from."
        )
    output = asked.output or Path("explanation.html")
    beside = output.with_suffix(".json")
    if beside == output:
        raise TransferlabError(f"--output: {output} is the name of the JSON file; name the page, as in page.html.")
    for path in (output, beside):
        if path.exists() and not asked.overwrite:
            raise TransferlabError(f"--output: {path} is there already; --overwrite replaces it.")
    quiet()
    folder = run_folder.find(asked.run, asked.root)
    options = {"baseline": asked.baseline, "tolerance": asked.tolerance, "orders": asked.orders, "seed": asked.seed}
    explainer = Explainer.load(folder, asked.device, asked.root, **options)
    _refuse(explainer, folder.name)
    found: list[tuple[str, Record, list[Explanation]]] = []
    screen = console()
    for name, example in _examples(asked, explainer):
        answer, explanations = explainer(example, asked.label)
        found.append((name, answer, explanations))
        for line in [_line(answer, each) for each in explanations] or ["no entity"]:
            screen.print(f"{name}: {line}", markup=False)
    if not found:
        raise TransferlabError(f"{asked.input}: no row with text.")
    rows = summary([each for *_, explanations in found for each in explanations], asked.tolerance)
    told = {"run": folder.name, **options, "summary": rows}
    records = [
        {"name": name, "answer": answer, "explanations": [each.record() for each in explanations]}
        for name, answer, explanations in found
    ]
    _write(beside, json.dumps({**told, "examples": records}, indent=1, ensure_ascii=False) + "\n")
    _write(output, page(folder.name, explainer.predictor.task.kind, found, rows))
    screen.print(facts({**rows, "written": f"{output}, {beside}"}, "Explanations"))


def _refuse(explainer: Explainer, name: str) -> None:
    """Refuses a run whose inputs are more than words."""
    predictor = explainer.predictor
    refuse_texts(predictor.task, "explain")
    if predictor.task.intents:
        raise TransferlabError(
            f"--run: {name} gives intents and slots, whose words are not explained; `transferlab predict` gives the "
            "probability of each intent."
        )
    if KINDS[predictor.task.kind].marked:
        raise TransferlabError(
            f"--run: {name} reads marked entities, whose words are not explained; `transferlab predict` gives "
            "the probability of each relation."
        )
    if layout := predictor.model.own_layout:
        raise TransferlabError(
            f"--run: {name} {layout}, so its words are not explained; `transferlab predict` gives the "
            "probability of each label."
        )
    if predictor.task.kind == "qa":
        raise TransferlabError(
            f"--run: {name} answers questions, whose words are not explained; `transferlab predict` gives the "
            "best answers with the score and margin of each."
        )


def _examples(asked: argparse.Namespace, explainer: Explainer) -> Iterator[tuple[str, Example]]:
    """Name and example of each text that is asked about."""
    predictor = explainer.predictor
    if asked.text:
        if len(asked.text) != len(predictor.text):
            raise TransferlabError(
                f"--text: {predictor.task.name} reads {len(predictor.text)} text(s), {len(asked.text)} given; "
                "put each in quotes."
            )
        yield "text", asked.text[0] if len(asked.text) == 1 else asked.text
        return
    if asked.columns:
        predictor.read_from(asked.columns)
    wanted = Wanted(predictor.text, predictor.task.worded, asked.delimiter, asked.encoding)
    given = Input(asked.input, wanted, asked.format)
    for row in islice(given.rows, asked.rows):
        cells = {name: row.cells.get(name) for name in predictor.text}
        missing = [name for name in cells if name not in row.cells]
        if missing:
            raise TransferlabError(
                f"{given.name}, line {row.line}: no {missing[0]!r} among {', '.join(row.cells)}; choose with --columns."
            )
        if all(cell.strip() if isinstance(cell, str) else cell for cell in cells.values()):
            yield f"line {row.line}", cells


def _line(answer: Record, found: Explanation) -> str:
    """An explanation in a line."""
    if found.target.span:
        target = found.record()["target"]
        head = f"{visible(target['text'])} = {found.target.label}"
    else:
        value = answer["prediction"]
        head = found.target.label or (f"{value:.4g}" if isinstance(value, float) else str(value))
    words = [word for text in found.texts for word in text.words]
    values = found.attribution.words
    order = sorted(found.read, key=lambda number: -abs(values[number]))[:SHOWN]
    told = ", ".join(f"{visible(words[number])} {values[number]:+.2f}" for number in order)
    return f"{head}: {told}; residue {100 * found.attribution.residue:.2f} % at {found.attribution.steps} steps"


def summary(found: Sequence[Explanation], tolerance: float) -> dict[str, str]:
    """What all explanations together say, in words."""
    if not found:
        return {"explained": "nothing: no entity was predicted"}
    residues = [each.attribution.residue for each in found]
    rows = {
        "explained": f"{len(found):,}",
        "residue": f"median {100 * statistics.median(residues):.3f} %, largest {100 * max(residues):.3f} %, "
        f"with {max(each.attribution.steps for each in found)} steps at most",
    }
    if over := sum(residue > tolerance for residue in residues):
        rows["warning"] = f"{over:,} with a residue above {100 * tolerance:g} %: do not lean on their attributions"
    judged = [each.faithfulness for each in found if each.faithfulness]
    if judged:
        score = estimate([each.score for each in judged])
        assert score is not None
        interval = f", 95 % [{score.low:+.4f}, {score.high:+.4f}]" if score.low is not None else ""
        beaten = statistics.fmean(each.beaten for each in judged)
        rows["faithfulness"] = f"{score.mean:+.4f}{interval}; better than {100 * beaten:.0f} % of random orders"
    agreements = [each.agreement for each in found if each.agreement is not None]
    if agreements:
        rows["agreement with leaving words out"] = f"{statistics.fmean(agreements):.2f} (mean rank correlation)"
    return rows


def _write(path: Path, text: Any) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise TransferlabError(f"--output: cannot write {path}: {error.strerror}") from error
