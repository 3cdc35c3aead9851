"""``transferlab claims``."""

import subprocess
import sys
from pathlib import Path

from transferlab.analysis.claims import evidence, grid, page, power, results
from transferlab.analysis.claims.effects import combine
from transferlab.analysis.claims.grid import GRIDS, Grid
from transferlab.analysis.claims.rows import Finding, find
from transferlab.analysis.claims.table import CLAIMS, COMPARED, PROBE, PROBE_ROWS, Claim
from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError, near
from transferlab.record import folder as run_folder

PAGE = Path("docs") / "claims.md"
README, RESULTS = Path("README.md"), Path("docs") / "results.md"
TABLES = {README: tuple(COMPARED)[:1], RESULTS: tuple(COMPARED)}
"""Pages with a table of results, and the tasks in it."""
RUNS = Path("runs")


def main(arguments: list[str]) -> None:
    """Runs ``transferlab claims``.

    Raises:
        TransferlabError: No such claim, no runs, a page without markers, or a sweep that failed.
    """
    asked = _parser().parse_args(arguments)
    if asked.unpack:
        print(f"{evidence.unpack(asked.evidence, asked.unpack)}/ has the runs; `transferlab compare {asked.unpack}`.")
        return
    claims = _chosen(asked.claim)
    root: Path | None = asked.root
    if asked.run:
        root = root or RUNS
        _run(claims, root, asked.grid, asked.jobs)
    if asked.pack:
        _pack(asked.pack, asked.evidence, asked.grid)
    root = root or evidence.opened(asked.evidence)
    texts = _written(claims, grid.load(root, asked.grid), root, asked.page, asked.readme)
    for path, text in texts.items():
        run_folder.write_text(path, text)
        print(f"\nwritten: {path}")


def _parser() -> Parser:
    parser = Parser(
        "transferlab claims",
        description="What runs of the sweeps say of the claims of the field; writes docs/claims.md. The runs are those "
        f"that {evidence.FOLDER}/ keeps, unless --root names a folder of runs.",
    )
    parser.add_argument("--claim", help=f"only {', '.join(claim.name for claim in CLAIMS)}")
    parser.add_argument("--root", type=Path, help="folder of runs to read instead of those that are kept")
    parser.add_argument(
        "--grid", choices=tuple(GRIDS), default="small", help="small: the sweeps *_small; full: without [small]"
    )
    parser.add_argument("--page", type=Path, default=PAGE, help=f"page to write into [{PAGE}]")
    parser.add_argument("--readme", action="store_true", help=f"write the tables of results too: {README}, {RESULTS}")
    parser.add_argument("--run", action="store_true", help="run first what of the sweeps is not finished [into runs]")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, with --run [1]")
    parser.add_argument("--evidence", type=Path, default=evidence.FOLDER, help=f"kept runs [{evidence.FOLDER}]")
    parser.add_argument("--pack", type=Path, metavar="RUNS", help="keep the runs of the sweeps in this folder first")
    parser.add_argument("--unpack", type=Path, metavar="FOLDER", help="only lay the kept runs there, for compare etc.")
    return parser


def _chosen(name: str | None) -> tuple[Claim, ...]:
    names = [claim.name for claim in CLAIMS]
    if name is not None and name not in names:
        raise TransferlabError(f"--claim: no claim {name!r}{near(name, names)}. Known: {', '.join(names)}.")
    return tuple(claim for claim in CLAIMS if name in {None, claim.name})


def _sweeps(claims: tuple[Claim, ...]) -> list[str]:
    return list(dict.fromkeys(sweep for claim in claims for sweep in claim.sweeps))


def _pack(root: Path, folder: Path, size: str) -> None:
    sweeps = [Grid((), size).tag(sweep) for sweep in _sweeps(CLAIMS)]
    written = evidence.pack(root, folder, sweeps)
    if not written:
        raise TransferlabError(f"--pack: no run of {', '.join(sweeps)} under {root}/.")
    for path in written:
        print(f"kept: {path}, {path.stat().st_size / 1e6:.2f} MB")


def _written(claims: tuple[Claim, ...], runs: Grid, root: Path, target: Path, readme: bool) -> dict[Path, str]:
    """The pages with the blocks of these claims, and with the tables of results."""
    sweeps = _sweeps(claims)
    if not any(runs.of(sweep) for sweep in sweeps):
        # else a page of results would become one of blanks
        wanted = ", ".join(sorted(map(runs.tag, sweeps)))
        raise TransferlabError(
            f"no run of the sweeps {wanted} under {root}/; `transferlab claims --grid {runs.size} --run` makes them."
        )
    texts = {target: _read(target)}

    def put(path: Path, name: str, body: str) -> None:
        texts[path] = page.put(texts[path] if path in texts else _read(path), name, body, str(path))

    for claim in claims:
        findings = [find(row, runs) for row in claim.rows]
        _print(claim, findings)
        put(target, claim.name, page.block(claim, findings, runs))
    put(target, page.OVERVIEW, page.overview(texts[target], CLAIMS))
    put(target, results.RUNS, results.provenance(runs, _sweeps(CLAIMS)))
    if readme:
        for path, tasks in TABLES.items():
            put(path, results.RESULTS, results.results(runs, tasks))
        put(RESULTS, results.RUNS, results.provenance(runs, _sweeps(CLAIMS)))
        put(RESULTS, results.CURVES, results.curves(runs, root))
    return texts


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
        print(f"  - {finding.verdict}: {finding.row.text.replace('`', '')}: {measured}{_to_decide(finding)}{note}")


def _to_decide(finding: Finding) -> str:
    """How many seeds would decide what is undecided, in words."""
    effect, row = finding.effect, finding.row
    if finding.verdict != "undecided" or effect is None:
        return ""
    needed = power.told(power.seeds_needed(effect, row.threshold, ratio=row.unit == "times"))
    return f"; about {needed} seeds decide it" if needed else "; how many seeds decide it cannot be told"


def _run(claims: tuple[Claim, ...], root: Path, size: str, jobs: int) -> None:
    for sweep in _sweeps(claims):
        _transferlab("sweep", Grid((), size).tag(sweep), "--root", str(root), "--jobs", str(jobs))
    runs = grid.load(root, size)
    for sweep, task, strategy in dict.fromkeys(one for claim in claims for one in claim.probed):
        found = grid.by_seed(runs.group(sweep, task, strategy)).values()
        folders = [str(run["folder"]) for run in found if PROBE not in grid.probes(run)]
        if folders:
            _transferlab("forgetting", "--run", *folders, "--probe", PROBE, "--rows", str(PROBE_ROWS))


def _transferlab(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "transferlab", *arguments], check=False)
    if done.returncode:
        raise TransferlabError(
            f"`transferlab {' '.join(arguments[:2])} ...` ended with exit code {done.returncode}; the same command "
            "continues, and without --run what is there already is shown."
        )
