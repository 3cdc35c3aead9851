"""``transferlab claims``."""

import subprocess
import sys
from pathlib import Path

from transferlab.analysis.claims import grid, page
from transferlab.analysis.claims.effects import combine
from transferlab.analysis.claims.rows import Finding, find
from transferlab.analysis.claims.table import CLAIMS, COMPARED, PROBE, PROBE_ROWS, Claim
from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError, near
from transferlab.record import folder as run_folder

PAGE = Path("docs") / "claims.md"
RESULTS = {Path("README.md"): tuple(COMPARED)[:1], Path("docs") / "results.md": tuple(COMPARED)}
"""Pages with a table of results, and the tasks in it."""


def main(arguments: list[str]) -> None:
    """Runs ``transferlab claims``.

    Raises:
        TransferlabError: No such claim, no runs, a page without markers, or a sweep that failed.
    """
    asked = _parser().parse_args(arguments)
    claims = _chosen(asked.claim)
    if asked.run:
        _run(claims, asked.root, asked.jobs)
    runs = grid.load(asked.root)
    sweeps = {sweep for claim in claims for sweep in claim.sweeps}
    if not any(sweeps.intersection(run["tags"]) for run in runs.runs):
        # else a page of results would become one of blanks
        raise TransferlabError(
            f"no run of the sweeps {', '.join(sorted(sweeps))} under {asked.root}/; `transferlab claims --run` makes "
            "them."
        )
    texts = {asked.page: _read(asked.page)}
    for claim in claims:
        findings = [find(row, runs) for row in claim.rows]
        _print(claim, findings)
        texts[asked.page] = page.put(texts[asked.page], claim.name, page.block(claim, findings), str(asked.page))
    texts[asked.page] = page.put(
        texts[asked.page], page.OVERVIEW, page.overview(texts[asked.page], CLAIMS), str(asked.page)
    )
    if asked.readme:
        for path, tasks in RESULTS.items():
            texts[path] = page.put(_read(path), page.RESULTS, page.results(runs, tasks), str(path))
    for path, text in texts.items():
        run_folder.write_text(path, text)
        print(f"\nwritten: {path}")


def _parser() -> Parser:
    parser = Parser(
        "transferlab claims",
        description="What runs of the sweeps say of the claims of the field; writes docs/claims.md.",
        allow_abbrev=False,
    )
    parser.add_argument("--claim", help=f"only {', '.join(claim.name for claim in CLAIMS)}")
    parser.add_argument("--root", type=Path, default=Path("runs"), help="folder of runs [runs]")
    parser.add_argument("--page", type=Path, default=PAGE, help=f"page to write into [{PAGE}]")
    parser.add_argument(
        "--readme", action="store_true", help="write the tables of results too: README.md, docs/results.md"
    )
    parser.add_argument("--run", action="store_true", help="run first what of the sweeps is not finished")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, with --run [1]")
    return parser


def _chosen(name: str | None) -> tuple[Claim, ...]:
    names = [claim.name for claim in CLAIMS]
    if name is not None and name not in names:
        raise TransferlabError(f"--claim: no claim {name!r}{near(name, names)}. Known: {', '.join(names)}.")
    return tuple(claim for claim in CLAIMS if name in {None, claim.name})


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise TransferlabError(f"cannot read {path}: {error.strerror}; run this in the repository's root.") from error


def _print(claim: Claim, findings: list[Finding]) -> None:
    print(f"\n{claim.name}: {combine([finding.verdict for finding in findings])}")
    print(f"  {claim.text}")
    for finding in findings:
        measured = page.shown(finding.effect, finding.row.unit)
        note = f" ({finding.note})" if finding.note else ""
        print(f"  - {finding.verdict}: {finding.row.text.replace('`', '')}: {measured}{note}")


def _run(claims: tuple[Claim, ...], root: Path, jobs: int) -> None:
    for sweep in dict.fromkeys(sweep for claim in claims for sweep in claim.sweeps):
        _transferlab("sweep", sweep, "--root", str(root), "--jobs", str(jobs))
    runs = grid.load(root)
    for sweep, task, strategy in dict.fromkeys(one for claim in claims for one in claim.probed):
        found = grid.by_seed(runs.group(sweep, task, strategy)).values()
        folders = [str(run["folder"]) for run in found if PROBE not in grid.probes(run)]
        if folders:
            _transferlab("forgetting", "--run", *folders, "--probe", PROBE, "--rows", str(PROBE_ROWS))


def _transferlab(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "transferlab", *arguments], check=False)
    if done.returncode:
        raise TransferlabError(
            f"`transferlab {' '.join(arguments[:2])} ...` ended with status {done.returncode}; the same command goes "
            "on, and without --run what is there already is shown."
        )
