"""``make bench ARGS='--suite commands'``: whole commands against what people would type instead.

CPU seconds of the whole process tree, both sides of a work after each other, rounds as the outer loop, one thread. The
result is the median ratio over the rounds with its range, and the scores of both sides.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import environment
from benchmarks.sides import CONTESTS, Side, Sides, empty
from benchmarks.table import facts, markdown, show
from benchmarks.tree import Failed, measure

THREADS = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
USUAL = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "PYTHONDONTWRITEBYTECODE": ""}
"""Of both sides; compiled modules are kept from one command to the next, as they are in any installation."""
HEADINGS = (
    "Work",
    "Against",
    "Ratio",
    "Range",
    "Ours",
    "Theirs",
    "MB, ours / theirs",
    "Score",
    "Their score",
    "Target",
    "",
)
UNITS = {"cpu_s": "s CPU", "wall_s": "s", "peak_mem_mb": "MB"}


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make bench ARGS='--suite commands ...'", description=__doc__.split("\n")[0])
    parser.add_argument("--suite", choices=("commands",), default="commands")
    parser.add_argument("--rows", default=",".join(CONTESTS), help=f"joined by commas: {', '.join(CONTESTS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--examples", type=int, default=1000, help="training examples [1000]")
    parser.add_argument("--evaluate", type=int, default=872, help="test examples, a fourth as many select [872]")
    parser.add_argument("--texts", type=int, default=20_000, help="texts to predict [20000]")
    parser.add_argument("--runs", type=int, default=1000, help="run directories to compare [1000]")
    parser.add_argument("--today", type=Path, help="an older checkout of this project, to compare with")
    parser.add_argument(
        "--script", action="append", default=[], metavar="NAME=PATH", help="a peer's genuine script for one of ours"
    )
    parser.add_argument("--encoder", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--report", type=Path, help="a results file: show it again and measure nothing")
    asked = parser.parse_args(arguments)
    asked.rows = [row for row in asked.rows.split(",") if row]
    if unknown := [row for row in asked.rows if row not in CONTESTS]:
        parser.error(f"--rows: no {', '.join(unknown)}; known: {', '.join(CONTESTS)}")
    needing = [row for row in asked.rows if CONTESTS[row].peer == "today"]
    if needing and not asked.today and not asked.report:
        print(f"without --today PATH there is nothing to compare {', '.join(needing)} with; left out")
        asked.rows = [row for row in asked.rows if row not in needing]
    return asked


def once(side: Side, out: Path, seed: int) -> dict[str, Any]:
    """Runs a side into a folder, and reads its score.

    Raises:
        Failed: It failed.
    """
    for folder in (*side.fresh, str(out)):
        empty(folder)
    out.parent.mkdir(parents=True, exist_ok=True)

    def filled(words: tuple[str, ...]) -> list[str]:
        return [word.replace("{out}", str(out)).replace("{seed}", str(seed)) for word in words]

    variables = {name: value.replace("{out}", str(out)) for name, value in side.variables.items()}
    variables = {**THREADS, **USUAL, **variables}
    until = f"{out}/*/*/metrics.jsonl" if side.until_step else ""
    found: dict[str, Any] = {}
    for command in (side.command, *side.rest):
        one = measure(filled(command), side.folder, variables, out.with_suffix(".log"), until)
        found = {
            key: max(found.get(key, 0), one[key]) if key == "peak_mem_mb" else found.get(key, 0) + one[key]
            for key in UNITS
        } | {"last": one["last"]}
    last = found.pop("last")
    if side.keeps:
        summaries = [json.loads(path.read_text(encoding="utf-8")) for path in out.glob("*/*/summary.json")]
        scores = [run.get("metrics", {}).get(f"test/{run.get('primary')}") for run in summaries]
        known = [score for score in scores if score is not None]
        return found | ({"score": round(statistics.fmean(known), 4)} if known else {})
    try:
        told = json.loads(last)
    except ValueError:
        return found
    return found | (told if isinstance(told, dict) else {})


def run(asked: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Measures all rows, round after round; results are written after each measurement."""
    from transferlab.encoders.loading import locate

    scripts = {name: Path(path).absolute() for name, _, path in (text.partition("=") for text in asked.script)}
    place = str(locate(asked.encoder, None).target)
    today = asked.today.absolute() if asked.today else None
    sides = Sides(scratch, asked.examples, asked.evaluate, asked.texts, asked.runs, today, scripts, place)
    rows: dict[str, dict[str, Any]] = {row: {"ours": [], "peer": []} for row in asked.rows}
    settings = {name: getattr(asked, name) for name in ("rounds", "examples", "evaluate", "texts", "runs")}
    results: dict[str, Any] = {"environment": environment(), "settings": {**settings, "threads": 1}, "rows": rows}
    began, done, whole = time.monotonic(), 0, 2 * asked.rounds * len(rows)
    for number in range(asked.rounds):
        for row, record in rows.items():
            try:
                pair = None if record.get("error") else sides.pair(row)
                sides.tell_losses(row)
                # the one that is first is warmed by nothing: it changes from round to round
                for which, side in list(zip(("ours", "peer"), pair or (), strict=False))[:: -1 if number % 2 else 1]:
                    if row in {"compare", "report", "first_step"} and not record[which]:
                        once(side, scratch / "first", number)
                        empty(str(scratch / "first"))
                    print(f"[{done + 1}/{whole}] round {number + 1} {row} {side.name} ...", end=" ", flush=True)
                    found = once(side, scratch / f"out-{done}", number)
                    empty(str(scratch / f"out-{done}"))
                    record[which].append(found)
                    done += 1
                    print(_told(found, (time.monotonic() - began) / done * (whole - done)), flush=True)
            except (Failed, OSError, StopIteration) as error:
                record["error"] = str(error).replace(str(scratch), "...") or type(error).__name__
                print(f"{row} failed: {record['error']}", flush=True)
            results["notes"] = sides.notes
            (asked.out / "commands.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return results


def _told(found: dict[str, Any], left: float) -> str:
    score = f", score {100 * found['score']:.1f}" if "score" in found else ""
    library = f" ({found['library']})" if "library" in found else ""
    took = f"{found['cpu_s']:.1f} s CPU, {found['wall_s']:.1f} s, {found['peak_mem_mb']:.0f} MB"
    return f"{took}{score}{library}; about {left / 60:.0f} min left"


def cells(row: str, record: dict[str, Any]) -> list[str]:
    """A row of the table."""
    contest = CONTESTS[row]
    target = f"≥ {contest.least:g}, aim {contest.aim:g}"
    count = min(len(record["ours"]), len(record["peer"]))
    if record.get("error") or not count:
        return [contest.title, contest.peer, *["–"] * 7, target, f"failed: {record.get('error', 'not measured')}"]
    ours, peer = record["ours"][:count], record["peer"][:count]
    ratios = [theirs[contest.by] / max(own[contest.by], 1e-9) for own, theirs in zip(ours, peer, strict=True)]
    value = statistics.median(ratios)
    verdict = (
        "aim met" if value >= contest.aim else "met" if value >= contest.least else "missed" if value >= 1 else "lost"
    )

    def middle(side: list[dict[str, Any]], key: str) -> float:
        return float(statistics.median(one[key] for one in side))

    def score(side: list[dict[str, Any]]) -> str:
        known = [100 * one["score"] for one in side if "score" in one]
        return f"{statistics.median(known):.1f} ({min(known):.1f}–{max(known):.1f})" if known else "–"

    return [
        contest.title,
        contest.peer,
        f"{value:.2f}×",
        f"{min(ratios):.2f}–{max(ratios):.2f}",
        *(f"{middle(side, contest.by):.1f} {UNITS[contest.by]}" for side in (ours, peer)),
        f"{middle(ours, 'peak_mem_mb'):.0f} / {middle(peer, 'peak_mem_mb'):.0f}",
        score(ours),
        score(peer),
        target,
        verdict,
    ]


def main(arguments: list[str]) -> None:
    """Measures, or shows what was measured; writes ``commands.json`` and ``commands.md``."""
    asked = parse(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.report:
        results: dict[str, Any] = json.loads(asked.report.read_text(encoding="utf-8"))
    else:
        with tempfile.TemporaryDirectory(prefix="transferlab-commands-") as scratch:
            results = run(asked, Path(scratch))
    rows = [cells(row, record) for row, record in results["rows"].items()]
    show(HEADINGS, rows, "theirs / ours, median over the rounds")
    told = facts(results["environment"], results["settings"]) + "".join(
        f"{note}.\n" for note in results.get("notes", [])
    )
    print(told)
    (asked.out / "commands.md").write_text(f"{markdown(HEADINGS, rows)}\n{told}", encoding="utf-8")
    print(f"written to {asked.out}/commands.json, .md")
