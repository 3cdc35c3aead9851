"""``make bench ARGS="--accelerator gpu"``: BERT-base with random weights on generated rows, tokens per second and MFU.

Needs torch, transformers, lightning and numpy, but no data, no tokenizer and no network. MFU counts the arithmetic of
real tokens only (`benchmarks.flops`), against the rate of a large matrix product on the same device. Weights and labels
are random, so nothing is learned and no score is shown; accuracy is compared by the rows of ``make bench``.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig

from benchmarks.flops import peak_rate
from benchmarks.generated import LENGTHS, draw_lengths
from benchmarks.measure import ROOT, Measurement, environment
from benchmarks.table import markdown, paste, show
from benchmarks.throughput import PEER, VARIANTS, Setting, measure

HEADINGS = ("Lengths", "Variant", "Tokens/s", "ms/step", "MFU", "Memory MB", "Against HF Trainer", "")
LEAST_RATIO, LEAST_MFU = 1.5, 0.4


def rows_of(results: dict[str, Any]) -> list[list[str]]:
    """The cells of the table, medians over the seeds, one row for each of `HEADINGS`."""
    table = []
    for lengths, variants in results["rows"].items():
        base = _median(variants.get(PEER, {}).get("runs", []), "tokens_s")
        for variant, record in variants.items():
            if record.get("error"):
                table.append([lengths, variant, *["–"] * 5, f"failed: {record['error']}"])
                continue
            runs = record["runs"]
            speed, mfu = _median(runs, "tokens_s"), _median(runs, "mfu")
            ratio = speed / base if base else 0.0
            table.append(
                [
                    lengths,
                    variant,
                    f"{speed:,.0f}",
                    f"{_median(runs, 'step_ms'):.1f}",
                    f"{100 * mfu:.1f} %",
                    f"{_median(runs, 'peak_mem_mb'):,.0f}",
                    f"{ratio:.2f}×" if ratio else "–",
                    "" if variant == PEER else _verdict(ratio, mfu),
                ]
            )
    return table


def _verdict(ratio: float, mfu: float) -> str:
    if ratio and ratio < 1:
        return "lost"
    return "met" if ratio >= LEAST_RATIO and mfu >= LEAST_MFU else "missed"


def _median(runs: list[Measurement], key: str) -> float:
    return float(statistics.median(run[key] for run in runs)) if runs else 0.0


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__.split("\n")[0])
    parser.add_argument("--accelerator", choices=("cpu", "gpu"), default="gpu", help="cpu only to see that it runs")
    parser.add_argument("--model", choices=("base", "tiny"), default="base", help="BERT-base, or one to try it with")
    parser.add_argument("--lengths", nargs="+", choices=list(LENGTHS), default=list(LENGTHS))
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--budget", type=int, default=16384, help="real tokens per step")
    parser.add_argument("--warmup", type=int, default=15, help="steps before the clock starts")
    parser.add_argument("--steps", type=int, default=40, help="steps on the clock")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--quick", action="store_true", help="one seed")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--docs", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args([argument for argument in arguments if argument])
    options.seeds = options.seeds[:1] if options.quick else options.seeds
    return options


def save_model(folder: Path, size: str) -> Path:
    """Writes the configuration of BERT-base, or of a tiny BERT."""
    tiny: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
    }
    config = BertConfig(vocab_size=200, **tiny) if size == "tiny" else BertConfig()
    config.save_pretrained(folder)
    return folder


def main(arguments: list[str]) -> None:
    """Measures all variants on all lengths, seeds outermost, and writes table and figures."""
    options = parse(arguments)
    device = torch.device("cuda" if options.accelerator == "gpu" else "cpu")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("error: no GPU here; --accelerator cpu --model tiny shows that it runs")
    options.out.mkdir(parents=True, exist_ok=True)
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"processor {environment()['processor']}"
    peak = peak_rate(device, torch.bfloat16)
    results: dict[str, Any] = {
        "device": name,
        "environment": environment(),
        "peak_tflops": round(peak / 1e12, 2),
        "settings": {"budget": options.budget, "steps": options.steps, "seeds": len(options.seeds)},
        "rows": {lengths: {variant: {"runs": []} for variant in options.variants} for lengths in options.lengths},
    }
    path = options.out / f"{name.lower().replace(' ', '-').replace('/', '-')}.json"
    with tempfile.TemporaryDirectory() as scratch:
        model = save_model(Path(scratch), options.model)
        for seed in options.seeds:
            for lengths in options.lengths:
                shape = LENGTHS[lengths]
                batch = max(round(options.budget / shape.mean), 2)
                count = (options.warmup + options.steps + 2) * batch + 64
                drawn = draw_lengths(shape, count, seed)
                steps = (options.warmup, options.steps)
                setting = Setting(device, model, drawn, batch, options.budget, *steps, seed)
                for variant, record in results["rows"][lengths].items():
                    _measure_into(record, variant, setting, peak)
                    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    _write(results, path, options.docs)


def _measure_into(record: dict[str, Any], variant: str, setting: Setting, peak: float) -> None:
    if record.get("error"):
        return
    try:
        record["runs"].append(measure(variant, setting, peak))
        print(f"seed {setting.seed} {variant}: {record['runs'][-1]}", flush=True)
    except Exception as error:  # out of memory, a compiler that is missing: the other variants go on
        record["error"] = str(error).strip().split("\n")[0][:200] or type(error).__name__
        print(f"seed {setting.seed} {variant} failed: {record['error']}", flush=True)


def _write(results: dict[str, Any], path: Path, docs: bool) -> None:
    rows = rows_of(results)
    show(HEADINGS, rows, f"BERT-base, full fine-tuning in bf16 on {results['device']}")
    packages = ", ".join(f"{name} {version}" for name, version in results["environment"]["packages"].items())
    settings = results["settings"]
    text = (
        f"{markdown(HEADINGS, rows)}\n{results['device']}, {results['peak_tflops']} TFLOP/s in a bf16 matrix product, "
        f"{packages}.\n{settings['budget']} real tokens per step, {settings['steps']} steps on the clock, "
        f"{settings['seeds']} seeds. Target: {LEAST_RATIO}× and {100 * LEAST_MFU:.0f} % MFU.\n"
    )
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    if docs:
        paste(ROOT / "docs" / "performance.md", "bench:gpu", text)
