"""Blocks of a Markdown page between markers, written from the runs."""

import math
import re

from transferlab.analysis.claims import grid
from transferlab.analysis.claims.effects import Effect, Verdict, combine
from transferlab.analysis.claims.grid import Grid
from transferlab.analysis.claims.rows import Finding
from transferlab.analysis.claims.table import COMPARED, NAMES, Claim
from transferlab.analysis.comparison.groups import Group, value
from transferlab.analysis.comparison.standing import Row as Standing
from transferlab.analysis.comparison.standing import standing
from transferlab.ground.errors import TransferlabError

MISSING = "\N{EN DASH}"
OVERVIEW = "overview"
RESULTS = "results"
FORMS = {"points": "{:+.1f}", "times": "{:.1f}", "%": "{:.2f} %", "nats": "{:+.2f}", "": "{:.3f}"}


def put(text: str, name: str, body: str, origin: str) -> str:
    """Replaces what stands between the markers of a block.

    Raises:
        TransferlabError: The page has no such markers.
    """
    begin, end = f"<!-- {name}: written by transferlab claims -->", f"<!-- end of {name} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise TransferlabError(f"{origin} lacks the lines {begin} and {end}, between which that is written.")
    return f"{before}{begin}\n{body}\n{end}{after}"


def block(claim: Claim, findings: list[Finding]) -> str:
    """A claim with its verdict, its numbers and the command that makes them."""
    verdict = combine([finding.verdict for finding in findings])
    lines = [f"> {claim.text}", "", f"**Verdict: {verdict}** {_tally(findings)}", "", claim.rule, ""]
    lines += [
        "| What is measured | Sweep | Measured, 95 % interval | Claim holds where | Seeds | |",
        "| --- | --- | ---: | ---: | ---: | --- |",
    ]
    lines += [_line(finding) for finding in findings]
    notes = list(dict.fromkeys(f"- `{one.row.sweep}`: {one.note}." for one in findings if one.note))
    lines += ["", *notes] if notes else []
    return "\n".join([*lines, "", f"`transferlab claims --claim {claim.name} --run`"])


def _tally(findings: list[Finding]) -> str:
    counts: dict[Verdict, int] = {}
    for finding in findings:
        counts[finding.verdict] = counts.get(finding.verdict, 0) + 1
    return f"(of {len(findings)} numbers: {', '.join(f'{count} {verdict}' for verdict, count in counts.items())})"


def _line(finding: Finding) -> str:
    row, effect = finding.row, finding.effect
    wanted = f"{'≤' if row.at_most else '>'} {number(row.threshold, row.unit)}"
    seeds = "" if effect is None else str(effect.n)
    return f"| {row.text} | `{row.sweep}` | {shown(effect, row.unit)} | {wanted} | {seeds} | {finding.verdict} |"


def number(found: float, unit: str) -> str:
    """A number with its unit."""
    if math.isinf(found):
        return "∞"
    text = FORMS[unit].format(found)
    # zero has no sign
    return text.lstrip("+-") if not re.search("[1-9]", text) else text


def shown(effect: Effect | None, unit: str) -> str:
    """An effect for people: the estimate and its interval; the estimate alone where seeds cannot change it."""
    if effect is None:
        return MISSING
    bound = {"<=": "≤ ", ">=": "≥ "}.get(effect.bound, "")
    text = bound + number(effect.value, unit) + ("" if unit == "%" else f" {unit}")
    if effect.low is None or effect.high is None:
        return f"{text} (one seed)"
    if effect.low == effect.high:
        return text
    return f"{text} [{number(effect.low, unit)}, {number(effect.high, unit)}]"


VERDICT = re.compile(r"<!-- (\w+): written by transferlab claims -->\n> (.*)\n\n\*\*Verdict: ([a-z ]+)\*\* (.*)")


def overview(text: str, claims: tuple[Claim, ...]) -> str:
    """The table of verdicts, read from the blocks of the page itself."""
    known = {name: found for name, *found in VERDICT.findall(text)}
    lines = ["| Claim | Verdict |", "| --- | --- |"]
    for claim in claims:
        sentence, verdict, tally = known.get(claim.name, (claim.text, "not run", ""))
        anchor = claim.title.lower().replace(" ", "-")
        lines.append(f"| [{claim.title}](#{anchor}): {sentence} | **{verdict}** {tally} |")
    return "\n".join(lines)


# results of all strategies ------------------------------------------------------------------------------------------


COLUMNS = {
    "Task": "---",
    "Strategy": "---",
    "Model": "---",
    "Training examples": "---:",
    "Seeds": "---:",
    "Test score [95 % interval]": "---:",
    "Against the best": "---",
    "Trainable parameters": "---:",
    "Time per run": "---:",
}


def results(runs: Grid, tasks: tuple[str, ...] = tuple(COMPARED)) -> str:
    """The table of results: a row for each strategy of the sweeps that compare several, with as many labels as any.

    Args:
        runs: All runs.
        tasks: Those that are shown.
    """
    lines = [f"| {' | '.join(COLUMNS)} |", f"| {' | '.join(COLUMNS.values())} |"]
    for task in tasks:
        found = standing(_groups(runs, COMPARED[task], task))
        if not found:
            lines.append(f"| {NAMES[task]} | not run: `transferlab sweep {COMPARED[task]}` | | | | | | | |")
        for place, row in enumerate(found):
            title = f"{NAMES[task]} {row.group.key.metric}" if place == 0 else ""
            lines.append(f"| {title} | {_result(row)} |")
    return "\n".join(lines)


def _groups(runs: Grid, sweep: str, task: str) -> list[Group]:
    strategies = {str(run.get("strategy")) for run in runs.runs if sweep in run["tags"] and run.get("task") == task}
    most = max((size for strategy in strategies for size in runs.sizes(sweep, task, strategy)), default=None)
    found = [runs.group(sweep, task, strategy, most) for strategy in sorted(strategies)]
    return [one for one in found if one is not None]


def _against(row: Standing) -> str:
    if row.best:
        return "best"
    if row.difference is None or row.p is None:
        return MISSING
    worse = f"{100 * row.difference:+.1f}, p {'< 0.001' if row.p < 0.001 else f'{row.p:.3f}'}"
    marks = ["not significantly worse"] if row.tied else []
    return ", ".join([worse, *marks, *([f"**below {row.below}**"] if row.below else [])])


def _result(row: Standing) -> str:
    one = row.group
    broken = grid.failures(one)
    model = MISSING if one.key.encoder == "-" else one.key.encoder
    examples = f"{one.key.train_examples:,}" if one.key.train_examples else MISSING
    if one.score is None:
        return f"`{one.key.strategy}` | {model} | {examples} | {len(one.runs)} failed | no result | | | "
    interval = ""
    if one.score.low is not None and one.score.high is not None:
        interval = f" [{100 * one.score.low:.1f}, {100 * one.score.high:.1f}]"
    share = value(one.counted[0], "params", "trainable_pct") if one.key.encoder != "-" else None
    times = [seconds for run in one.counted if (seconds := value(run, "perf", "wall_s")) is not None]
    cells = [
        f"`{one.key.strategy}`",
        model,
        examples,
        f"{len(one.seeds)}" + (f", {broken} failed" if broken else ""),
        f"{100 * one.score.mean:.1f}{interval}",
        _against(row),
        f"{share:.2f} %" if share is not None else MISSING,
        f"{sum(times) / len(times):,.0f} s" if times else MISSING,
    ]
    return " | ".join(cells)
