"""Blocks of a Markdown page between markers, written from the runs."""

import math
import re

from transferlab.analysis.claims.effects import Effect, Verdict, combine
from transferlab.analysis.claims.grid import Grid
from transferlab.analysis.claims.rows import Finding
from transferlab.analysis.claims.table import Claim
from transferlab.ground.errors import TransferlabError

MISSING = "\N{EN DASH}"
OVERVIEW = "overview"
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


def block(claim: Claim, findings: list[Finding], runs: Grid) -> str:
    """A claim with its verdict, its numbers and the command that makes them."""
    verdict = combine([finding.verdict for finding in findings])
    lines = [f"> {claim.text}", "", f"**Verdict: {verdict}** {_tally(findings)}", "", claim.rule, ""]
    lines += [
        "| What is measured | Sweep | Measured, 95 % interval | Claim holds where | Seeds | |",
        "| --- | --- | ---: | ---: | ---: | --- |",
    ]
    lines += [_line(finding, runs) for finding in findings]
    notes = list(dict.fromkeys(f"- `{runs.tag(one.row.sweep)}`: {one.note}." for one in findings if one.note))
    lines += ["", *notes] if notes else []
    return "\n".join([*lines, "", f"`transferlab claims --grid {runs.size} --claim {claim.name} --run`"])


def _tally(findings: list[Finding]) -> str:
    counts: dict[Verdict, int] = {}
    for finding in findings:
        counts[finding.verdict] = counts.get(finding.verdict, 0) + 1
    return f"(of {len(findings)} numbers: {', '.join(f'{count} {verdict}' for verdict, count in counts.items())})"


def _line(finding: Finding, runs: Grid) -> str:
    row, effect = finding.row, finding.effect
    wanted = f"{'≤' if row.at_most else '>'} {number(row.threshold, row.unit)}"
    seeds = "" if effect is None else str(effect.n)
    measured = shown(effect, row.unit)
    return f"| {row.text} | `{runs.tag(row.sweep)}` | {measured} | {wanted} | {seeds} | {finding.verdict} |"


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
