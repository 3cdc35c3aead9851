"""How time and memory of each strategy grow with rows, length, layers and epochs: ``python -m benchmarks.scaling``.

One size changes at a time, each point is a process of its own on one thread, on generated rows of equal length and a
small BERT with random weights. Beside each curve stands what cannot be undercut: for time the arithmetic that the
strategy needs at the rate of a large matrix product, for memory weights, gradients and both moments of what learns.
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.measure import ROOT, Clock, Measurement, environment, peak_memory_mb, report, run
from benchmarks.table import markdown, paste, show

WIDTH, HEADS, VOCABULARY = 256, 4, 2000
STRATEGIES = ("feature_extraction", "top_layer", "lora", "full_finetuning", "distillation")
HEADINGS = (
    "Strategy",
    "Time at the base",
    "Limit",
    "rows",
    "length",
    "layers",
    "epochs",
    "Memory at the base",
    "Limit",
)
BYTES = 4


class Point(NamedTuple):
    """One measurement; the defaults are the base that all curves share.

    Attributes:
        strategy: A name in `STRATEGIES`.
        rows: Training rows.
        length: Tokens of each row.
        layers: Layers of the encoder, for distillation of the teacher; the student keeps half of them.
        epochs: Epochs.
    """

    strategy: str
    rows: int = 512
    length: int = 32
    layers: int = 4
    epochs: int = 2


AXES: dict[str, tuple[int, ...]] = {
    "rows": (128, 256, 512, 1024),
    "length": (16, 32, 64, 128),
    "layers": (2, 4, 8, 12),
    "epochs": (1, 2, 4, 8),
}


def arithmetic(point: Point, forward: Callable[[int], float], attention: Callable[[int], float]) -> float:
    """FLOPs that a strategy cannot do without.

    Args:
        point: What is measured.
        forward: FLOPs of one pass over all rows through a number of layers.
        attention: The part of it that no weight takes part in.
    """
    every, epochs = point.layers, point.epochs
    return {
        "feature_extraction": forward(every),
        # what lies below the trained layer gives the same output in every epoch
        "top_layer": forward(every - 1) + epochs * 3 * forward(1),
        # the frozen weights need no gradient, their inputs do
        "lora": epochs * (2 * forward(every) + attention(every)),
        "full_finetuning": epochs * 3 * forward(every),
        "distillation": forward(every) + epochs * 3 * forward(every // 2),
    }[point.strategy]


def measure(point: Point) -> Measurement:
    """Trains a strategy in this process.

    Returns:
        ``cpu_s``, ``wall_s``, ``peak_mem_mb``, ``flops`` that it cannot do without, ``peak`` in FLOPs per second,
        ``floor_mb``: memory of the imports, the weights, and gradients and moments of what learns.
    """
    import lightning as L
    import torch

    from benchmarks.flops import forward_flops, peak_rate

    with tempfile.TemporaryDirectory() as folder:
        imported = peak_memory_mb()
        model, data, per_layer, held = build(point, folder)
        trainer = L.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=point.epochs,
            gradient_clip_val=1.0,
            log_every_n_steps=20,
            limit_val_batches=0,
            logger=False,
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        clock = Clock()
        trainer.fit(model, model.wrap_data(data))
        measured = clock.read() | {"peak_mem_mb": peak_memory_mb()}
    rows = [point.length] * point.rows
    flops = arithmetic(
        point,
        lambda layers: forward_flops(rows, per_layer * layers, layers, WIDTH),
        lambda layers: forward_flops(rows, 0, layers, WIDTH),
    )
    return {
        **measured,
        "flops": flops,
        "peak": peak_rate(torch.device("cpu"), torch.float32),
        "floor_mb": round(imported + BYTES * held / 2**20, 1),
    }


def build(point: Point, folder: str) -> tuple[Any, Any, int, int]:
    """The strategy and the rows of a point.

    Returns:
        Model, data, entries of the matrices of one layer, and how many numbers must be held in memory at least.
    """
    import numpy as np
    from transformers import BertConfig, BertForSequenceClassification

    from benchmarks.flops import matrix_parameters
    from benchmarks.generated import GeneratedData, make_split
    from transferlab import strategies
    from transferlab.adapters import LoRA
    from transferlab.encoders import EncoderConfig

    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=point.layers,
        num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH,
        id2label={0: "0", 1: "1"},
    )
    teacher: Any = BertForSequenceClassification(config)
    teaches = point.strategy == "distillation"
    (teacher if teaches else config).save_pretrained(folder)
    kept = tuple(range(0, point.layers, 2)) if teaches else ()
    encoder = EncoderConfig(folder, architecture="random", keep_layers=kept)
    # 64 of them select
    lengths = np.full(point.rows + 64, point.length)
    data = GeneratedData(encoder, make_split(lengths, VOCABULARY, seed=0))
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "feature_extraction": (strategies.FeatureExtraction, {}),
        "top_layer": (strategies.FullFineTuning, {"top_layers": 1}),
        "lora": (strategies.ParameterEfficient, {"method": LoRA(targets=("all",))}),
        "full_finetuning": (strategies.FullFineTuning, {}),
        "distillation": (strategies.Distillation, {"teacher": folder}),
    }
    kind, arguments = kinds[point.strategy]
    model = kind(data.spec, encoder, **arguments)
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    # weights, and gradients and two moments of what learns
    held = sum(size * (4 if learns else 1) for size, learns in sizes)
    held += sum(p.numel() for p in teacher.parameters()) if teaches else 0
    return model, data, matrix_parameters(teacher.bert) // point.layers, held


def points(names: tuple[str, ...], axes: dict[str, tuple[int, ...]]) -> list[Point]:
    """Every point once, one size after the other, the strategies side by side."""
    sizes: list[dict[str, Any]] = [{axis: value} for axis in axes for value in axes[axis]]
    wanted = [Point(name, **size) for size in sizes for name in names]
    return list(dict.fromkeys([*(Point(name) for name in names), *wanted]))


def study(results: dict[str, Any]) -> list[list[str]]:
    """The cells of the table: the base point with its limits, and how steeply time grows with each size.

    The growth is the exponent between the first and the last point, ``log(t_n / t_1) / log(x_n / x_1)``: 1 is linear.
    """
    peak = max(one["peak"] for one in results["points"])
    found = {Point(**one["point"]): one for one in results["points"]}
    table = []
    for name in dict.fromkeys(point.strategy for point in found):
        base = found[Point(name)]
        growth = []
        for axis in AXES:
            curve = curve_of(found, name, axis)
            (first, start), (last, end) = curve[0], curve[-1]
            slope = math.log(end["cpu_s"] / start["cpu_s"]) / math.log(last / first) if last > first else math.nan
            growth.append("–" if math.isnan(slope) else f"{slope:.2f}")
        table.append(
            [
                name,
                f"{base['cpu_s']:.2f} s",
                f"{base['flops'] / peak:.2f} s",
                *growth,
                f"{base['peak_mem_mb']:.0f} MB",
                f"{base['floor_mb']:.0f} MB",
            ]
        )
    return table


def curve_of(found: dict[Point, Measurement], name: str, axis: str) -> list[tuple[int, Measurement]]:
    """The points of a strategy along one size, from the smallest."""
    base = Point(name)
    on = [point for point in found if point._replace(**{axis: getattr(base, axis)}) == base]
    return sorted(((getattr(point, axis), found[point]) for point in on), key=lambda pair: pair[0])


def draw(results: dict[str, Any], path: Path) -> bool:
    """Draws time above and memory below, one column a size, limits dashed; False without matplotlib."""
    try:
        import matplotlib as mpl
    except ImportError:
        return False
    mpl.use("Agg")
    from matplotlib import pyplot

    peak = max(one["peak"] for one in results["points"])
    found = {Point(**one["point"]): one for one in results["points"]}
    figure, grid = pyplot.subplots(2, len(AXES), figsize=(13, 6), sharey="row", layout="constrained")
    for column, axis in enumerate(AXES):
        for name in dict.fromkeys(point.strategy for point in found):
            curve = curve_of(found, name, axis)
            places = [value for value, _ in curve]
            time, memory = grid[0][column], grid[1][column]
            (line,) = time.plot(places, [one["cpu_s"] for _, one in curve], "o-", markersize=3, label=name)
            style = {"color": line.get_color(), "linewidth": 0.9}
            time.plot(places, [one["flops"] / peak for _, one in curve], "--", **style)
            memory.plot(places, [one["peak_mem_mb"] for _, one in curve], "o-", markersize=3, color=style["color"])
            memory.plot(places, [one["floor_mb"] for _, one in curve], "--", **style)
        for plot in (grid[0][column], grid[1][column]):
            plot.set_xscale("log", base=2)
            plot.set_xticks(places, [str(place) for place in places])
        grid[0][column].set_yscale("log")
        grid[1][column].set_xlabel(axis)
    grid[0][0].set_ylabel("CPU time, s (dashed: arithmetic limit)")
    grid[1][0].set_ylabel("peak memory, MB (dashed: what learns)")
    grid[0][0].legend(fontsize=7)
    figure.savefig(path, dpi=80)
    pyplot.close(figure)
    return True


def main(arguments: list[str]) -> None:
    """Measures all points; writes ``scaling.json``, ``.md`` and ``.png``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=STRATEGIES)
    parser.add_argument("--quick", action="store_true", help="two points along each size")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--report", type=Path, help="a results file: show it again and measure nothing")
    parser.add_argument("--docs", action="store_true", help="put table and picture into docs/performance.md")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.report:
        results: dict[str, Any] = json.loads(options.report.read_text(encoding="utf-8"))
    else:
        axes = {axis: values[:2] for axis, values in AXES.items()} if options.quick else AXES
        results = measure_all(points(tuple(options.strategies), axes), options.out / "scaling.json")
    rows = study(results)
    show(HEADINGS, rows, "growth of CPU time (1: linear)")
    (options.out / "scaling.md").write_text(markdown(HEADINGS, rows), encoding="utf-8")
    picture = options.out / "scaling.png"
    drawn = draw(results, picture)
    if options.docs:
        text = markdown(HEADINGS, rows) + ("\n![Time and memory per strategy](images/scaling.png)\n" if drawn else "")
        paste(ROOT / "docs" / "performance.md", "bench:scaling", text)
        if drawn:
            (ROOT / "docs" / "images").mkdir(exist_ok=True)
            (ROOT / "docs" / "images" / "scaling.png").write_bytes(picture.read_bytes())


def measure_all(wanted: list[Point], path: Path) -> dict[str, Any]:
    """Measures each point in a process of its own."""
    results: dict[str, Any] = {"environment": environment(), "points": []}
    for number, point in enumerate(wanted, start=1):
        with tempfile.TemporaryDirectory() as folder:
            measured = run("benchmarks.scaling", ["--point", json.dumps(point._asdict())], Path(folder))
        print(f"[{number}/{len(wanted)}] {point}: {measured['cpu_s']:.2f} s, {measured['peak_mem_mb']} MB", flush=True)
        results["points"].append({"point": point._asdict(), **measured})
        path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return results


if __name__ == "__main__":
    if sys.argv[1:2] == ["--point"]:
        report(measure(Point(**json.loads(sys.argv[2]))))
    else:
        main(sys.argv[1:])
