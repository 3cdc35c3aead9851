"""Sections that read predictions: confusion, lengths, entities, hardest examples, layer mix."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transferlab.analysis.page import answers, charts, lengths, questions
from transferlab.analysis.page.answers import Tested
from transferlab.analysis.page.entities import KINDS
from transferlab.analysis.page.gather import Setting, Task
from transferlab.analysis.page.markup import Html, details, join, note, table, tag
from transferlab.analysis.page.overview import legend
from transferlab.analysis.page.settings import named
from transferlab.tasks.kinds.relation import relation_of
from transferlab.tasks.schemes import Scheme

Found = list[tuple[Setting, list[Tested]]]
MOST = 12
"""Settings that get a chart of their own."""
HARD = 20
CHARACTERS = 600
CLASSES = 25


def read(task: Task) -> Found:
    """The test predictions of every setting that has some, a list of its seeds."""
    found = [(s, [t for run in s.runs if (t := answers.tested(run)) is not None]) for s in task.settings]
    return [(setting, seeds) for setting, seeds in found if seeds]


def first_ones(found: Found) -> str:
    """What to say where not all settings have a chart."""
    return f" Drawn are the {MOST} best of {len(found)} settings." if len(found) > MOST else ""


def confusion(task: Task, found: Found) -> Html:
    """A matrix for each setting, all seeds together."""
    if task.known("kind") == "multilabel":
        return note("An example may have several labels, so there is no confusion of one with another.")
    matrices, relations = [], task.known("kind") == "relation"
    for setting, seeds in found[:MOST]:
        counts: Counter[tuple[str, str]] = sum((seed.confusion for seed in seeds), Counter())
        if counts:
            drawn = _relations(counts, task.labels) if relations else _matrix(counts, task.classes)
            matrices.append(details(join("confusion of ", named(setting)), drawn))
    if not matrices:
        return note("No confusion matrices: no test predictions of classes.")
    words = "words" if task.scheme.name == "tags" else "words by entity type"
    unit = words if task.known("kind") == "tagging" else "examples"
    if task.known("kind") == "slots":
        unit = "texts by intent; errors of slots are counted under Entities"
    if relations:
        unit = "examples, both directions of a relation together, those of which the direction alone is wrong apart"
    return join(
        *matrices,
        note(f"Rows are gold, columns predicted; {unit}, shaded by the share of the row.{first_ones(found)}"),
    )


def _matrix(counts: Counter[tuple[str, str]], classes: Sequence[str]) -> Html:
    names = [n for n in classes if any(n in pair for pair in counts)] or sorted({n for pair in counts for n in pair})
    if len(names) > CLASSES:
        return note(f"{len(names)} classes are too many for a matrix.")
    rows = []
    for gold in names:
        total = sum(counts[gold, guess] for guess in names) or 1
        cells = [
            tag("td", str(counts[gold, guess]), class_="number heat", style=f"--v:{counts[gold, guess] / total:.2f}")
            for guess in names
        ]
        rows.append([tag("strong", gold), *cells])
    return table(["gold", *names], rows, numeric=range(1, len(names) + 1))


def _relations(counts: Counter[tuple[str, str]], labels: Sequence[str]) -> Html:
    """Confusion of relations; the diagonal has the right direction, the last column the wrong one."""
    names = list(dict.fromkeys(map(relation_of, labels)))
    if len(names) > CLASSES:
        return note(f"{len(names)} relations are too many for a matrix.")
    merged: Counter[tuple[str, str]] = Counter()
    turned: Counter[str] = Counter()
    for (gold, guess), count in counts.items():
        if gold != guess and relation_of(gold) == relation_of(guess):
            turned[relation_of(gold)] += count
        else:
            merged[relation_of(gold), relation_of(guess)] += count
    rows = []
    for gold in names:
        values = [*(merged[gold, guess] for guess in names), turned[gold]]
        total = sum(values) or 1
        cells = [tag("td", str(v), class_="number heat", style=f"--v:{v / total:.2f}") for v in values]
        rows.append([tag("strong", gold), *cells])
    return table(["gold", *names, "wrong direction"], rows, numeric=range(1, len(names) + 2))


def long_ones(task: Task, found: Found) -> Html:
    """Accuracy by length; the buckets are the same for all settings."""
    with_lengths = [t for _, seeds in found for t in seeds if t.measured]
    if not with_lengths:
        return note("No accuracy by length: no run says how long its test examples are, or this is a regression.")
    reference = min(with_lengths, key=lambda t: t.unit != "tokens")
    measured = reference.examples()
    known = dict(zip(measured.ids.tolist(), measured.lengths.tolist(), strict=True))
    ranges = lengths.cuts(measured.lengths.tolist())
    series = []
    for setting, seeds in found[:MOST]:
        first = seeds[0].examples()
        pairs = [
            (known[i], good) for i, good in zip(first.ids.tolist(), first.right.tolist(), strict=True) if i in known
        ]
        if pairs:
            series.append((setting, lengths.by_length([n for n, _ in pairs], [good for _, good in pairs], ranges)))
    names = [f"{low}-{high}" if low < high else str(low) for low, high in ranges]
    kinds = {
        "tagging": "sentences without an error",
        "slots": "texts with the right intent and all slots right",
        "multilabel": "examples with all labels right",
        "qa": "exact match",
        "text": "exact match",
    }
    what = kinds.get(str(task.known("kind")), "accuracy")
    drawing = charts.buckets(
        names, [(s.number, s.name, [share[:3] for share in row]) for s, row in series], reference.unit, what
    )
    rows = [
        [named(s), *(f"{share.value:.3f} ({share.low:.3f}-{share.high:.3f}), n = {share.trials}" for share in row)]
        for s, row in series
    ]
    tokens = " (as one encoder of this task reads them, special ones included)" if reference.unit == "tokens" else ""
    return join(
        charts.grid([charts.figure(f"By length in {reference.unit}", drawing)]),
        legend([s for s, _ in series]),
        details("numbers", table(["setting", *names], rows)),
        note(
            f"Length in {reference.unit}{tokens}; 95 % intervals by Wilson; of several seeds the first."
            f"{first_ones(found)}"
        ),
    )


def entity_errors(task: Task, found: Found) -> Html:
    """What goes wrong with entities, and recall of those that training had and had not."""
    rows: list[list[Html | str]] = []
    parts: list[tuple[int, str, list[tuple[str, float]]]] = []
    series: list[tuple[int, str, list[tuple[float, float, float]]]] = []
    for setting, seeds in found:
        counted = [t.errors for t in seeds if t.errors is not None]
        if not counted:
            continue
        means = {kind: sum(e.counts[kind] for e in counted) / len(counted) for kind in KINDS}
        parts.append((setting.number, setting.name, [(kind, means[kind]) for kind in KINDS[1:]]))
        first = counted[0]
        if first.seen and first.unseen and len(series) < MOST:
            series.append((setting.number, setting.name, [share[:3] for share in (first.seen, first.unseen)]))
        recall = [
            f"{share.value:.3f} ({share.low:.3f}-{share.high:.3f}), n = {share.trials}" if share else "-"
            for share in (first.seen, first.unseen)
        ]
        rows.append([named(setting), *(f"{means[kind]:g}" for kind in KINDS), *recall])
    if not rows:
        return note("No test predictions of entities.")
    key = [tag("span", tag("span", "", class_=f"mark c{i}"), " ", kind) for i, kind in enumerate(KINDS[1:])]
    figures = [
        charts.figure("Errors of entities", charts.stacked(parts[start : start + MOST], "entities, mean over seeds"))
        for start in range(0, len(parts), MOST)
    ]
    if series:
        drawing = charts.buckets(["seen", "unseen"], series, "in training", "recall")
        figures.append(charts.figure("Recall of seen and unseen entities", drawing))
    text = (
        "Each gold entity is counted once. Type: the same words, another type. Boundary: one predicted entity "
        "overlaps, with other words; boundary and type: of another type too. Split: several predicted entities overlap "
        "it. Merged: the predicted entity that overlaps it overlaps further gold entities. Missed: none overlaps. "
        "Spurious, of predicted entities: no gold entity overlaps. "
        "Seen: training had the very same words with the same type; recall with "
        "Wilson's 95 % interval, of the first seed; - where an older run did not note it."
        f"{first_ones(found) if series else ''}"
    )
    head = ["setting", *KINDS, "recall, seen", "recall, unseen"]
    numbers = table(head, rows, numeric=range(1, len(head)))
    return join(charts.grid(figures), tag("p", *key, class_="legend"), numbers, note(text))


def hardest(task: Task, found: Found) -> Html:
    """The test examples that are hard for most settings."""
    seen: dict[int, dict[int, dict[str, Any]]] = defaultdict(dict)
    setting_of = {}
    for setting in task.settings:
        for run in setting.runs[:1]:
            for line in answers.lines(Path(str(run.get("folder"))), "hardest"):
                if "text" in line and isinstance(line.get("id"), int):
                    seen[line["id"]][setting.number] = line
                    setting_of[setting.number] = setting
    if not seen:
        return note("No hardest.jsonl in these folders: older runs did not keep texts.")
    # those that are among the hardest of too few settings need no mean
    fewest = sorted(map(len, seen.values()), reverse=True)[:HARD][-1]
    hard = [i for i, lines in seen.items() if len(lines) >= fewest]
    ranked = sorted(hard, key=lambda i: (-len(seen[i]), -_mean_loss(seen[i].values()), i))[:HARD]
    rows, scheme, asked = [], task.scheme, task.known("kind") == "qa"
    for number in ranked:
        lines = seen[number]
        one = next(iter(lines.values()))
        guesses = [_guess(n, line, scheme) for n, line in sorted(lines.items())]
        text_ = questions.marked(lines) if asked else _text(one["text"])
        rows.append([str(number), text_, _said(one, "label", scheme), join(*guesses)])
    listed = ", ".join(f"{n} {s.name}" for n, s in sorted(setting_of.items()))
    head = ["row", "text", "gold", "predicted (loss)"]
    text = f"Of the 50 of largest loss of each setting ({listed}; first seed), those that are among them most often."
    text += questions.KEY if asked else ""
    return join(details(f"{len(rows)} examples", table(head, rows, class_="texts")), note(text))


def _guess(number: int, line: dict[str, Any], scheme: Scheme) -> Html:
    disc = tag("span", str(number), class_=f"mark {charts.colour(number)}")
    return tag("div", disc, " ", _said(line, "prediction", scheme), _loss(line))


def _mean_loss(lines: Any) -> float:
    losses = [1e9 if line.get("loss") is None else float(line["loss"]) for line in lines]
    return sum(losses) / len(losses)


def _loss(line: dict[str, Any]) -> str:
    return " (∞)" if line.get("loss") is None else f" ({float(line['loss']):.2f})"


def _text(texts: Any) -> Html:
    found = [str(text) for text in texts] if isinstance(texts, list) else [str(texts)]
    return join(*(tag("div", text if len(text) <= CHARACTERS else text[:CHARACTERS] + " …") for text in found))


def _said(line: dict[str, Any], key: str, scheme: Scheme) -> str:
    value, words = line.get(key), line.get("words")
    if "n_best" in line:
        return "; ".join(value if isinstance(value, list) else [str(value)]) or "no answer"
    if isinstance(value, list) and isinstance(line.get("prediction"), str):
        return " / ".join(value)
    if isinstance(value, dict):
        return f"{value['intent']} ({_said({'said': value['slots'], 'words': words}, 'said', scheme)})"
    if isinstance(value, list) and isinstance(line.get("scores"), list):
        return ", ".join(value) or "none"
    if isinstance(value, list) and scheme.name == "tags":
        return " ".join(map(str, value))
    if isinstance(value, list):
        from transferlab.tasks.iob import spans

        chunks = sorted(spans(scheme.read(value)), key=lambda span: span[1])
        if isinstance(words, list):
            return "; ".join(f"{kind}: {' '.join(words[a:b])}" for kind, a, b in chunks) or "none"
        return " ".join(value)
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def layer_mix(task: Task, found: Found) -> Html:
    """Learned shares of the layers, mean over seeds."""
    figures = []
    for setting in task.settings:
        mixes = [run["layer_mix"]["weights"] for run in setting.runs if isinstance(run.get("layer_mix"), dict)]
        if mixes and len({len(mix) for mix in mixes}) == 1:
            means = [sum(column) / len(column) for column in zip(*mixes, strict=True)]
            names = ["emb", *map(str, range(1, len(means)))]
            drawing = charts.bars(names, means, setting.number, "layer", "weight")
            figures.append(charts.figure(named(setting), drawing))
    if not figures:
        return note("No setting pools by a learned mix of layers.")
    return join(charts.grid(figures), note("softmax weights of the selected checkpoint; emb: the embeddings."))
