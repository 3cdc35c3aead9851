"""The works of ``make bench ARGS='--suite commands'``: each side of each as a command line."""

import glob
import json
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from benchmarks import writers
from benchmarks.measure import ROOT

SHORT_TEXTS = 20_000


class Side(NamedTuple):
    """One side of a comparison.

    Attributes:
        name: ``ours``, ``today``, or what the other is called.
        command: Program and arguments; ``{out}`` is a fresh folder of this measurement.
        folder: Working directory.
        variables: Added to the environment.
        keeps: Whether its result is a folder of runs with summaries; else JSON in the last line.
        until_step: Whether only the time to the first logged training step counts.
        fresh: Folders that are emptied before.
        rest: Further commands that belong to it, one after another.
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    variables: dict[str, str]
    keeps: bool = False
    until_step: bool = False
    fresh: tuple[str, ...] = ()
    rest: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Contest:
    """A work of the table.

    Attributes:
        title: What is done.
        peer: Name of the other side, see `Sides.peer`; ``today`` for an older checkout.
        least: Ratio theirs / ours to be reached.
        aim: Ratio that is aimed at.
        wall: Whether wall time is compared, not CPU time; ``memory`` peak memory.
    """

    title: str
    peer: str
    least: float
    aim: float
    by: str = "cpu_s"


CONTESTS = {
    "fit_full": Contest("fit, full fine-tuning SST-2", "run_glue's procedure, length-grouped", 1.1, 1.4),
    "fit_full_today": Contest("fit, full fine-tuning SST-2", "today", 1.5, 2),
    "fit_memory": Contest(
        "fit, full fine-tuning SST-2, peak memory", "run_glue's procedure, length-grouped", 1, 1.25, "peak_mem_mb"
    ),
    "fit_lora": Contest("fit, LoRA SST-2", "Trainer + peft", 1.2, 1.5),
    "fit_frozen": Contest("fit, frozen features SST-2", "sentence vectors + LogisticRegressionCV", 1.1, 1.5),
    "fit_ner": Contest("fit, NER CoNLL-2003", "run_ner's procedure", 1.6, 2),
    "fit_qa": Contest("fit, full fine-tuning XQuAD", "run_qa's procedure, dynamic padding", 1.2, 1.6),
    "fit_qa_padded": Contest("fit, full fine-tuning XQuAD", "run_qa's procedure, padded to 384", 1.2, 1.6),
    "fit_text": Contest("fit, T5 on dates", "run_summarization's procedure", 1.2, 1.5),
    "fit_text_learned": Contest("fit, small T5 on dates, 6 epochs", "run_summarization's procedure", 1.2, 1.5),
    "fit_text_random": Contest(
        "fit, small T5 on dates, batches in random order", "run_summarization's procedure", 1, 1.2
    ),
    "fit_sft": Contest("fit, Llama on dates", "TRL's SFTTrainer", 1.2, 1.5),
    "fit_sft_learned": Contest("fit, small Llama on dates, 4 epochs", "TRL's SFTTrainer", 1.2, 1.5),
    "fit_sft_random": Contest("fit, small Llama on dates, batches in random order", "TRL's SFTTrainer", 1, 1.2),
    "fit_vocabulary": Contest(
        "fit, Llama with 49,152 tokens on ACLSum", "TRL's SFTTrainer", 1 / 0.9, 1.5, "peak_mem_mb"
    ),
    "predict_texts": Contest("predict, texts by a T5", "generate, in the order of the file", 1.3, 1.5),
    "baseline": Contest("baseline, all methods, SST-2", "today", 5, 10),
    "ten_heads": Contest("ten seeds of frozen features, one command", "the same, ten commands", 10, 25),
    "ten_heads_plain": Contest(
        "ten seeds of frozen features, one command", "sentence vectors + LogisticRegressionCV, ten scripts", 10, 25
    ),
    "ten_heads_today": Contest("ten seeds of frozen features, one command", "today", 10, 25),
    "demo": Contest("demo, wall time", "today", 2.5, 4, "wall_s"),
    "predict_pipeline": Contest("predict, short texts", "transformers.pipeline at its best batch", 1.8, 3),
    "predict_onnx": Contest("predict, short texts", "onnxruntime fp32", 1.2, 3),
    "compare_first": Contest("compare, the first time", "today", 5, 10),
    "compare": Contest("compare, again", "today", 5, 10),
    "report_first": Contest("report, the first time", "today", 8, 15),
    "report": Contest("report, again", "today", 8, 15),
    "first_step": Contest("fit to the first step, second start", "today", 1.7, 2.5),
}
EXPERIMENTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bench_full": ("sst2", "full_finetuning", {"trainer": {"max_epochs": 1}}),
    "bench_lora": ("sst2", "lora", {"trainer": {"max_epochs": 1}}),
    "bench_frozen": ("sst2", "feature_extraction", {}),
    "bench_ner": ("conll2003", "full_finetuning", {"trainer": {"max_epochs": 1}}),
    "bench_qa": ("xquad", "full_finetuning", {"trainer": {"max_epochs": 1}}),
    "fit_text": ("demo_dates", "full_finetuning", {"shape": "t5"}),
    "fit_text_learned": ("demo_dates", "full_finetuning", {"shape": "small_t5", "lr": 4e-3, "epochs": 6}),
    "fit_text_random": (
        "demo_dates",
        "full_finetuning",
        {"shape": "small_t5", "lr": 4e-3, "epochs": 6, "bucket": 1},
    ),
    "fit_sft": ("demo_dates", "full_finetuning", {"shape": "llama"}),
    "fit_sft_learned": ("demo_dates", "full_finetuning", {"shape": "small_llama", "lr": 5e-3, "epochs": 4}),
    "fit_sft_random": (
        "demo_dates",
        "full_finetuning",
        {"shape": "small_llama", "lr": 5e-3, "epochs": 4, "bucket": 1},
    ),
    "fit_vocabulary": (
        "aclsum",
        "full_finetuning",
        {"shape": "vocabulary_llama", "batch": 16, "length": 256, "target": 64, "written": 8},
    ),
}
SCRIPTS = {
    **dict.fromkeys(("fit_full", "fit_memory"), ("bench_full", "trainer_text", "sst2")),
    "fit_lora": ("bench_lora", "trainer_text", "sst2", "--lora", "--lr", "1e-3"),
    "fit_frozen": ("bench_frozen", "features", "sst2"),
    "fit_ner": ("bench_ner", "trainer_ner", "conll2003"),
    "fit_qa": ("bench_qa", "trainer_qa", "xquad"),
    "fit_qa_padded": ("bench_qa", "trainer_qa", "xquad", "--pad"),
}
"""Experiment of this suite, script of the peer, rows of both, and arguments of the script."""


@dataclass
class Sides:
    """Makes the sides; everything that they need lies in a scratch folder.

    Attributes:
        scratch: The folder.
        examples: Training examples.
        evaluate: Test examples, at most; a fourth as many select.
        texts: Texts to predict.
        runs: Run directories to compare, five seeds to a setting.
        today: An older checkout; None without.
        scripts: Genuine scripts of the peers, by the name of ours.
        encoder: Folder of the encoder.
    """

    scratch: Path
    examples: int
    evaluate: int
    texts: int
    runs: int
    today: Path | None
    scripts: dict[str, Path]
    encoder: str
    batch: int = 32
    notes: list[str] = field(default_factory=list)

    def data(self, task: str) -> Path:
        """The rows of a task, as files that both sides read."""
        from benchmarks.rows import write_rows

        folder = self.scratch / f"rows-{task}"
        if not (folder / "task.json").is_file():
            write_rows(task, folder, self.examples, self.evaluate)
        return folder

    def writer(self, shape: str) -> Path:
        """A T5 or a Llama with random weights, which both sides start from."""
        return writers.write(shape, self.scratch / f"writer-{shape}")

    def project(self, root: Path, wanted: Iterable[str]) -> Path:
        """A working directory with the configs of a checkout, and the wanted ones of the experiments of this suite."""
        folder = self.scratch / ("today" if root == self.today else "ours")
        if not folder.is_dir():
            (folder / "experiments").mkdir(parents=True)
            (folder / "configs").symlink_to(root / "configs")
        for name in wanted:
            path = folder / "experiments" / f"{name}.yaml"
            if name in EXPERIMENTS and not path.is_file():
                path.write_text(yaml.safe_dump(self.experiment(name)), encoding="utf-8")
        return folder

    def experiment(self, name: str) -> dict[str, Any]:
        """The config of an experiment."""
        task, strategy, settings = EXPERIMENTS[name]
        facts = json.loads((self.data(task) / "task.json").read_text(encoding="utf-8"))
        files = {split: str(self.data(task) / f"{split}.parquet") for split in ("train", "validation", "test")}
        # of texts what the scripts of the peers count
        metric = "exact_match" if facts["kind"] == "text" else facts["metric"]
        source = {key: facts[key] for key in ("text", "label", "kind", "labels")}
        source |= {"files": files, "metrics": [metric], "test": ["test"], "validation": "validation"}
        bases = ["trainer/cpu", f"task/{task}", "encoder/minilm_l6", f"strategy/{strategy}"]
        init: dict[str, Any] = {"task": "bench", "source": source}
        if facts["kind"] == "qa":
            # the shipped task has one split, of which a fold is tested on; the batches are those of the script
            init |= {"folds": None, "fold": None, "holdout_by": None, "batch_size": 16}
        tree: dict[str, Any] = {"bases": bases, "data": {"init_args": init}, "trainer": settings.get("trainer", {})}
        if facts["kind"] == "text":
            # what is trained, for how long and at which rate is that of the peer's script
            own = writers.settings(settings)
            init |= {"max_length": own["length"], "batch_size": own["batch"], "eval_batch_size": 128}
            init |= {key: own[key] for key in ("bucket",) if key in own}
            init["generation"] = {"target_length": own["target"], "max_new_tokens": own["written"], "eval_rows": 500}
            tree["encoder"] = {"name": str(self.writer(own["shape"])), "revision": None}
            tree["model"] = {"init_args": {"optimizer": {"init_args": {"lr": own["lr"]}}}}
            tree["trainer"] = {"max_epochs": own["epochs"]}
        tree["trainer"] |= {"precision": "32-true", "logger": False}
        return tree

    def ours(self, name: str, *arguments: str, today: bool = False, **further: Any) -> Side:
        """A command of this checkout, or of the older one."""
        root = self.today if today and self.today else ROOT
        python = root / ".venv" / "bin" / "python"
        variables = {
            "PYTHONPATH": str(root / "src"),
            "TRANSFERLAB_CACHE": str(self.scratch / f"cache-{'today' if today else 'ours'}"),
            "WANDB_MODE": "disabled",
        }
        command = (str(python if python.is_file() else sys.executable), "-m", "transferlab", *arguments)
        return Side(name, command, self.project(root, arguments), variables, **further)

    def fit(self, experiment: str, today: bool = False, **further: Any) -> Side:
        """A training of an experiment of this suite; nothing is cached from an earlier measurement."""
        name = "today" if today else "ours"
        fresh = () if further.get("until_step") else (str(self.scratch / f"cache-{name}"),)
        further = {"fresh": fresh, **further}
        words = ("fit", "--experiment", experiment, "--run.root", "{out}", "--seed_everything", "{seed}")
        more = further.pop("more", ())
        return self.ours(name, *words, *more, today=today, keeps=True, **further)

    def script(self, name: str, task: str, *arguments: str, model: str = "") -> Side:
        """A script of a peer: ours in its place, or a genuine one whose path was given."""
        start = (
            (sys.executable, str(self.scripts[name]))
            if name in self.scripts
            else (sys.executable, "-m", f"benchmarks.scripts.{name}")
        )
        words = ("--data", str(self.data(task)), "--model", model or self.encoder, "--output", "{out}")
        variables = {
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
            "HF_DATASETS_CACHE": "{out}/datasets",
        }
        return Side(name, (*start, *words, *arguments), ROOT, variables)

    def pair(self, row: str) -> tuple[Side, Side]:
        """Ours and theirs."""
        if row in SCRIPTS:
            experiment, script, task, *words = SCRIPTS[row]
            return self.fit(experiment), self.script(script, task, "--seed", "{seed}", *words)
        if row == "fit_full_today":
            return self.fit("bench_full"), self.fit("bench_full", today=True)
        if row in EXPERIMENTS:
            return self._fit_texts(row)
        if row == "predict_texts":
            return self._write()
        if row == "first_step":
            more = ("--trainer.log_every_n_steps", "1")
            both = [self.fit("bench_full", today=today, until_step=True, more=more) for today in (False, True)]
            return both[0], both[1]
        if row.startswith("ten_heads"):
            return self._ten_heads(row)
        if row.startswith("predict_"):
            return self._predict(row.removeprefix("predict_"))
        return self._against_today(row)

    def _fit_texts(self, row: str) -> tuple[Side, Side]:
        """Both sides of a training of texts, with the same settings."""
        task, _, settings = EXPERIMENTS[row]
        own = writers.settings(settings)
        words = [word for name in writers.USUAL for word in (f"--{name}", str(own[name]))]
        script = "trainer_summary" if own["shape"].endswith("t5") else "trl_sft"
        theirs = self.script(script, task, "--seed", "{seed}", *words, model=str(self.writer(own["shape"])))
        return self.fit(row), theirs

    def tell_losses(self, row: str) -> None:
        """Notes the loss of both sides on the same rows and weights, once."""
        if row == "fit_text" and not any("run_summarization" in note for note in self.notes):
            told = self._losses("benchmarks.summaries", "demo_dates", str(self.writer("t5")))
            self.notes.append(
                f"on the same {told['rows']} rows and weights the loss is {told['ours']:.6f} here and "
                f"{told['theirs']:.6f} by run_summarization's procedure"
            )
        if not row.startswith("fit_qa") or any("run_qa" in note for note in self.notes):
            return
        told = self._losses("benchmarks.answers", "xquad", self.encoder)
        self.notes.append(
            f"on the same {told['windows']} windows and weights the loss is {told['ours']:.6f} here, "
            f"{told['theirs']:.6f} by run_qa's procedure over the same candidates, and {told['theirs_over_all']:.6f} "
            "over all tokens, those of the question too, as run_qa counts it"
        )

    def _losses(self, module: str, task: str, model: str) -> Any:
        from benchmarks.tree import measure

        command = (sys.executable, "-m", module, str(self.data(task)), model)
        variables = {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), "OMP_NUM_THREADS": "1"}
        variables |= {"HF_DATASETS_CACHE": str(self.scratch / "datasets"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        return json.loads(measure(command, ROOT, variables, self.scratch / "losses.log")["last"])

    def _against_today(self, row: str) -> tuple[Side, Side]:
        words: dict[str, tuple[str, ...]] = {
            "baseline": ("baseline", "--experiment", "bench_full", "--run.root", "{out}"),
            "demo": ("demo", "--root", "{out}"),
            "compare": ("compare", "{runs}", "--format", "csv"),
            "report": ("report", "{runs}", "--output", "{out}.html"),
        }
        words |= {f"{name}_first": words[name] for name in ("compare", "report")}
        sides = []
        for today in (False, True):
            name = "today" if today else "ours"
            line = [word.replace("{runs}", str(self.scratch / f"many-{name}")) for word in words[row]]
            many = f"{self.scratch}/many-{name}"
            cache = f"{self.scratch}/cache-{name}{'-many' if '{runs}' in words[row] else ''}"
            fresh: tuple[str, ...] = (cache,) if row in {"baseline", "demo"} else ()
            if "{runs}" in words[row]:
                self._many(Path(many), kept=not today)
                fresh = (cache,) if row.endswith("_first") else ()
            side = self.ours(name, *line, today=today, keeps=row == "baseline", fresh=fresh)
            sides.append(side._replace(variables={**side.variables, "TRANSFERLAB_CACHE": cache}))
        return sides[0], sides[1]

    def _many(self, folder: Path, kept: bool) -> None:
        from benchmarks.many_runs import write

        if not folder.is_dir():
            write(folder, max(self.runs // 5, 1), kept=kept)

    def _ten_heads(self, row: str) -> tuple[Side, Side]:
        """One command for ten seeds, and ten commands, of which each finds what those before it have cached."""
        fresh = (str(self.scratch / "cache-ours"),)
        one = self.ours("ours", "seeds", "bench_frozen", "--seeds", "10", "--root", "{out}", keeps=True, fresh=fresh)
        if row == "ten_heads_plain":
            ten = [self.script("features", "sst2", "--seed", str(seed)) for seed in range(10)]
            return one, ten[0]._replace(name="ten scripts", rest=tuple(side.command for side in ten[1:]))
        today, words = row == "ten_heads_today", ("fit", "--experiment", "bench_frozen", "--run.root", "{out}")
        fresh = (str(self.scratch / "cache-today"),) if today else fresh
        ten = [
            self.ours("ten commands", *words, "--seed_everything", str(seed), today=today, keeps=True, fresh=fresh)
            for seed in range(10)
        ]
        return one, ten[0]._replace(rest=tuple(side.command for side in ten[1:]))

    def _predict(self, library: str) -> tuple[Side, Side]:
        rows = self.data("sst2")
        if not (rows / "texts.csv").is_file():
            from benchmarks.rows import write_texts

            write_texts(rows / "texts.csv", self.texts)
        run, tuned = self.scratch / "predict-run", self.scratch / "predict-peer"
        self.notes += self._prepare(run, tuned)
        folder = next(run.glob("*/*/summary.json")).parent
        words = ("predict", "--run", str(folder), str(rows / "texts.csv"), "--output", "{out}.csv")
        batch = str(self.batch if library == "pipeline" else 32)
        return self.ours("ours", *words), self.script(
            "predict", "sst2", "--with", library, "--batch", batch, model=str(tuned)
        )

    def _write(self) -> tuple[Side, Side]:
        """Outputs of a trained T5, by its run and by its exported folder."""
        from benchmarks.commands import once

        run, tuned, rows = self.scratch / "write-run", self.scratch / "write-peer", self.data("demo_dates")
        if not tuned.is_dir():
            once(self.fit("fit_text"), run, 0)
            folder = next(run.glob("*/*/summary.json")).parent
            export = ("export", "--run", str(folder), "--format", "hf", "--output", str(tuned))
            once(self.ours("ours", *export), self.scratch / "try", 0)
            write_inputs(rows, min(self.texts, 4000))
        folder = next(run.glob("*/*/summary.json")).parent
        words = ("predict", "--run", str(folder), str(rows / "inputs.jsonl"), "--output", "{out}.jsonl")
        both = self.ours("ours", *words), self.script("write_texts", "demo_dates", model=str(tuned))
        if not any("write the same" in note for note in self.notes):
            for side in both:
                once(side, self.scratch / "same", 0)
            lines = (self.scratch / "same.jsonl").read_text(encoding="utf-8").splitlines()
            mine, theirs = (
                [json.loads(line)["prediction"] for line in lines],
                (self.scratch / "same.txt").read_text(encoding="utf-8").split("\n"),
            )
            same = sum(one == other for one, other in zip(mine, theirs, strict=True))
            self.notes.append(f"both write the same for {same:,} of {len(mine):,} inputs")
        return both

    def _prepare(self, run: Path, tuned: Path) -> list[str]:
        """Trains a run and a peer's model to predict with, and finds the pipeline's best batch."""
        from benchmarks.commands import once

        if (tuned / "model.onnx").is_file():
            return []
        print("training what predicts, and looking for the best batch of the pipeline ...", flush=True)
        once(self.fit("bench_full"), run, 0)
        once(self.script("trainer_text", "sst2"), tuned, 0)
        once(self.script("predict", "sst2", "--export", model=str(tuned)), tuned / "export", 0)
        most = ("--most", str(min(self.texts, 1000)))
        took = {}
        for batch in (1, 8, 32, 128):
            side = self.script("predict", "sst2", "--batch", str(batch), *most, model=str(tuned))
            took[batch] = once(side, self.scratch / "try", 0)["cpu_s"]
        self.batch = min(took, key=lambda batch: took[batch])
        told = ", ".join(f"{batch}: {seconds:.1f} s" for batch, seconds in took.items())
        return [f"transformers.pipeline is at its best with batches of {self.batch} ({most[1]} texts; {told})"]


def write_inputs(folder: Path, count: int) -> None:
    """Dates to be written, as many as are wanted, in an order that has nothing to do with their length."""
    from transferlab.tasks.sources import read_split
    from transferlab.tasks.table import lookup

    found = read_split(lookup("demo_dates"), "train").rows["input"][:]
    texts = (found * (count // len(found) + 1))[:count]
    (folder / "inputs.jsonl").write_text("".join(json.dumps({"input": t}) + "\n" for t in texts), encoding="utf-8")


def empty(pattern: str) -> None:
    """Removes the folders that a pattern names: what an earlier measurement cached."""
    for folder in glob.glob(pattern, include_hidden=True):
        shutil.rmtree(folder, ignore_errors=True)
