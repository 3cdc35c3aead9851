"""``make bench``: every row of the targets table, ours against what a user would pick instead.

Each measurement is a process of its own on one thread with empty caches; seeds are the outer loop and both sides of a
work follow each other, so that a busy machine hits both alike. Results are written after each measurement.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, Job, Measurement, environment, has_bf16, measure, run
from benchmarks.starts import second_start, time_command
from benchmarks.table import HEADINGS, cells, draw, facts, markdown, paste, show, summarise
from benchmarks.works import OURS, WORKS, Start, Work

DOCUMENT = ROOT / "docs" / "performance.md"
Results = dict[str, Any]


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__.split("\n")[0])
    parser.add_argument("--accelerator", choices=("cpu", "gpu"), default="cpu", help="gpu: see benchmarks/gpu.py")
    parser.add_argument(
        "--rows", nargs="+", choices=list(WORKS), default=list(WORKS), metavar="ROW", help=", ".join(WORKS)
    )
    parser.add_argument("--quick", action="store_true", help="few rows and one seed: minutes, to see that it runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=None, help="default: 0 1 2")
    parser.add_argument("--examples", type=int, default=None, help="training rows; default: 2000")
    parser.add_argument("--encoder", default=Job.encoder)
    parser.add_argument("--peer-precision", choices=("fp32", "bf16"), help="in place of each row's own")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--report", type=Path, help="a results file: show it again and measure nothing")
    parser.add_argument("--docs", action="store_true", help="put table and picture into docs/performance.md")
    return parser.parse_args(arguments)


class Bench:
    """Measures the chosen rows.

    Args:
        options: The command line.
        scratch: Folder for data, caches and models; its content is not kept.
    """

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        self.options = options
        self.scratch = scratch
        self.works = {name: WORKS[name] for name in options.rows}
        self.seeds = options.seeds or ([0] if options.quick else [0, 1, 2])
        self.examples = options.examples or (160 if options.quick else 2000)
        self.evaluate = 200 if options.quick else 1000
        self.precision = "bf16" if has_bf16() else "fp32"
        self.number = 0
        self.known: dict[tuple[Any, ...], Measurement] = {}
        self.results: Results = {
            "environment": environment(),
            "settings": {
                "training_rows": self.examples,
                "seeds": len(self.seeds),
                "threads": 1,
                "our_precision": self.precision,
                "their_precision": options.peer_precision or "as in the row, else fp32",
            },
            "rows": {name: {"ours": [], "peer": []} for name in self.works},
        }

    def run(self) -> Results:
        """Measures everything; a row that fails is recorded as such and the others go on."""
        path = self.options.out / "cpu.json"
        for seed in self.seeds:
            for name, work in self.works.items():
                record = self.results["rows"][name]
                if record.get("error"):
                    continue
                try:
                    self._row(work, seed, record)
                except Exception as error:  # whatever either side raises
                    words = str(error) or type(error).__name__
                    record["error"] = words.replace(str(self.scratch), "...").replace(str(ROOT), ".")
                    print(f"  {name} failed: {record['error']}", flush=True)
                path.write_text(json.dumps(self.results, indent=1) + "\n", encoding="utf-8")
        return self.results

    def _row(self, work: Work | Start, seed: int, record: Measurement) -> None:
        if isinstance(work, Start):
            record["ours"].append(self._started(work))
            return
        job = self._job(work, seed)
        precision = self.options.peer_precision or work.peer_precision
        # on a processor without bf16 neither side is served by it
        other = precision if self.precision == "bf16" else "fp32"
        ours = self._measured(OURS, Job(**{**job, "variant": work.ours, "precision": self.precision}))
        peer = self._measured(work.peer_module, Job(**{**job, "variant": work.peer, "precision": other}))
        for side, measured in (("ours", ours), ("peer", peer)):
            record[side].append({key: value for key, value in measured.items() if key != "run"})

    def _job(self, work: Work, seed: int) -> dict[str, Any]:
        data = self._data(work.task, round(work.share * self.examples))
        job = {"data": data, "folder": "", "encoder": self.options.encoder, "seed": seed, **work.settings}
        return job | ({"teacher": self._teacher()["run"]} if work.needs_teacher else {})

    def _data(self, task: str, examples: int) -> str:
        folder = self.scratch / f"{task}-{examples}"
        if not (folder / "task.json").is_file():
            run("benchmarks.rows", [task, str(folder), str(examples), str(self.evaluate)], self.scratch / "rows")
        return str(folder)

    def _teacher(self) -> Measurement:
        job = Job("teacher", self._data("sst2", self.examples), "", self.options.encoder, epochs=2)
        return self._measured(OURS, Job(**{**vars(job), "precision": self.precision}), keep=True)

    def _measured(self, module: str, job: Job, keep: bool = False) -> Measurement:
        # two rows may share a side: it is measured once a seed
        key = (module, job)
        if key not in self.known:
            self.number += 1
            folder = self.scratch / f"{self.number}"
            print(f"[{self.number}] seed {job.seed} {module.rsplit('.', 1)[-1]} {job.variant} ...", end=" ", flush=True)
            self.known[key] = measure(module, Job(**{**vars(job), "folder": str(folder)}))
            print(f"{self.known[key]['cpu_s']:.1f} s CPU, score {100 * self.known[key]['score']:.1f}", flush=True)
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)
        return self.known[key]

    def _started(self, work: Start) -> Measurement:
        if work.command:
            return time_command(work.command)
        return second_start(self._data("sst2", self.examples) if self.options.quick else "sst2", self.options.encoder)


def write(results: Results, out: Path, docs: bool) -> None:
    """Shows the table; writes ``cpu.md`` and ``cpu.png`` beside the results, on demand also into the documentation."""
    lines = [summarise(WORKS[name], record) for name, record in results["rows"].items()]
    rows = [cells(line) for line in lines]
    show(HEADINGS, rows, "ours against what a user would pick instead (ratio of CPU time, median over seeds)")
    text = f"{markdown(HEADINGS, rows)}\n{facts(results['environment'], results['settings'])}"
    print(facts(results["environment"], results["settings"]))
    (out / "cpu.md").write_text(text, encoding="utf-8")
    drawn = draw(lines, out / "cpu.png")
    print(f"written to {out}/cpu.json, .md" + (", .png" if drawn else ""))
    if docs:
        picture = "\n![Ratios with their targets](images/bench_cpu.png)\n" if drawn else ""
        paste(DOCUMENT, "bench:cpu", text + picture)
        if drawn:
            (DOCUMENT.parent / "images").mkdir(exist_ok=True)
            shutil.copy(out / "cpu.png", DOCUMENT.parent / "images" / "bench_cpu.png")


def main(arguments: list[str]) -> None:
    """Measures, or shows what was measured."""
    options = parse([argument for argument in arguments if argument])
    options.out.mkdir(parents=True, exist_ok=True)
    if options.report:
        results: Results = json.loads(options.report.read_text(encoding="utf-8"))
    else:
        with tempfile.TemporaryDirectory(prefix="transferlab-bench-") as scratch:
            results = Bench(options, Path(scratch)).run()
    write(results, options.out, options.docs)


if __name__ == "__main__":
    if "--suite" in sys.argv:
        from benchmarks.commands import main as on_commands

        on_commands([argument for argument in sys.argv[1:] if argument])
    elif "--accelerator" in sys.argv and sys.argv[sys.argv.index("--accelerator") + 1 :][:1] == ["gpu"]:
        from benchmarks.gpu import main as on_gpu

        on_gpu(sys.argv[1:])
    else:
        main(sys.argv[1:])
