"""How fast a learned layer mix should learn: ``python -m benchmarks.mix --task sst2 conll2003``.

A frozen encoder gives each row all its hidden states once, as vectors of words, or averaged where a text has one label
(a mean of mixed tokens is the mix of their means). On them a linear head and the mix learn as in feature extraction,
with the parts of the library, at several rates of the mix and over several seeds. Prints the score on the test rows and
the weights of the mix.
"""

import argparse
from typing import Any, NamedTuple

import torch
from scipy.stats import t as student
from torch import Tensor, nn
from torch.optim import AdamW

from benchmarks.table import markdown
from transferlab.encoders import Encoder, EncoderConfig, build_encoder
from transferlab.encoders.encoder import LayerMix
from transferlab.ground.quiet import quiet
from transferlab.learning.heads import Head, HeadConfig
from transferlab.learning.losses import task_loss
from transferlab.learning.metrics import TaskMetrics
from transferlab.learning.optim import Schedule, apply_scales, parameter_groups
from transferlab.strategies.forward import encoder_inputs, first_pieces
from transferlab.tasks import TaskDataModule, TaskSpec

LR = 1e-3
"""Rate of the head, as in ``strategy/feature_extraction``."""
LAST = "the last layer"


class Rows(NamedTuple):
    """Hidden states ``[rows, layers, words, hidden]`` and labels ``[rows, words]``; a labelled text is one word."""

    states: Tensor
    labels: Tensor


@torch.inference_mode()
def rows_of(data: TaskDataModule, encoder: Encoder, split: str, rows: Any) -> Rows:
    """All hidden states of some rows, in float16 to save room."""
    states: list[Tensor] = []
    labels: list[Tensor] = []
    for batch in data.loader(split, rows, packed=False):
        inputs = {name: value for name, value in encoder_inputs(batch).items() if name != "packing"}
        layers = encoder.backbone(**inputs, output_hidden_states=True).hidden_states
        assert batch.labels is not None
        if batch.words is None:
            pooled = [encoder.pool(layer, batch.attention_mask)[:, None] for layer in layers]
        else:
            pooled = [first_pieces(layer, batch.words) for layer in layers]
        marks = batch.labels if batch.words is None else batch.labels.masked_fill(batch.words < 0, -100)
        states += list(torch.stack(pooled, 1).half())
        labels += list(marks.view(len(marks), -1))
    longest = max(len(each) for each in labels)
    pad = nn.functional.pad
    return Rows(
        torch.stack([pad(each, (0, 0, 0, longest - each.shape[1])) for each in states]),
        torch.stack([pad(each, (0, longest - len(each)), value=-100) for each in labels]),
    )


def train(train: Rows, test: Rows, spec: TaskSpec, rate: float | None, seed: int, epochs: int) -> tuple[float, Tensor]:
    """Trains a head and, at a rate, a mix; without a rate on the last layer. Returns the score and the mix."""
    torch.manual_seed(seed)
    layers, width = train.states.shape[1], train.states.shape[-1]
    mix, head = LayerMix(layers), Head(HeadConfig(), width, spec)
    others = [*head.parameters(), mix.gamma]
    optimizer = AdamW(parameter_groups([], others, None, mix=[mix.scores], mix_lr=rate), lr=LR, weight_decay=0.01)
    apply_scales(optimizer)
    steps = epochs * -(-len(train.labels) // 32)
    scheduler = Schedule("linear", 0.05).build(optimizer, steps)

    def logits(states: Tensor) -> Tensor:
        mixed: Tensor = mix(tuple(states.float().unbind(1))) if rate else states[:, -1].float()
        return head(mixed if spec.kind == "tagging" else mixed[:, 0])  # type: ignore[no-any-return]

    def labels(rows: Tensor) -> Tensor:
        return rows if spec.kind == "tagging" else rows[:, 0]

    for _ in range(epochs):
        order = torch.randperm(len(train.labels))
        for first in range(0, len(order), 32):
            marks = train.labels[order[first : first + 32]]
            words = int((marks != -100).any(0).nonzero().max()) + 1 if spec.kind == "tagging" else 1
            states = train.states[order[first : first + 32], :, :words]
            loss = task_loss(spec.kind, logits(states), labels(marks[:, :words]))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_([*head.parameters(), *mix.parameters()], 1.0)
            optimizer.step()
            scheduler.step()
    metrics = TaskMetrics(spec)
    head.eval()
    with torch.no_grad():
        for first in range(0, len(test.labels), 256):
            found = logits(test.states[first : first + 256])
            metrics.update(
                found.argmax(-1) if spec.kind == "tagging" else found, labels(test.labels[first : first + 256])
            )
        return float(metrics.compute()[spec.primary]), mix.weights.detach()


def line(arm: str, scores: Tensor, first: Tensor, mixes: Tensor) -> list[str]:
    """A line of the table; `scores` ``[seeds]``, `mixes` ``[seeds, layers]``."""
    gains, count = 100 * (scores - first), len(scores)
    half = float(student.ppf(0.975, count - 1)) * float(gains.std()) / count**0.5
    mean = float(gains.mean())
    gain = "–" if scores is first else f"{mean:+.1f} ({mean - half:+.1f} to {mean + half:+.1f})"
    shares = "–" if arm == LAST else " ".join(f"{share:.2f}" for share in mixes.mean(0))
    return [arm, f"{100 * float(scores.mean()):.1f} ± {100 * float(scores.std()):.1f}", gain, shares]


def main() -> None:
    """Computes the states, trains, and prints a table for each task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", nargs="+", default=["sst2", "conll2003"])
    parser.add_argument("--encoder", default=EncoderConfig().name)
    parser.add_argument("--examples", type=int, default=2000, help="training rows")
    parser.add_argument("--test", type=int, default=800, help="test rows")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rates", type=float, nargs="+", default=[LR, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0])
    options = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    config = EncoderConfig(options.encoder)
    encoder = build_encoder(config).eval()
    for task in options.task:
        data = TaskDataModule(task, config, train_examples=options.examples, test_examples=options.test)
        data.setup("fit")
        data.setup("test")
        name = data.source.test[0]
        learn, test = (
            rows_of(data, encoder, *data.part_rows("train")),
            rows_of(data, encoder, name, data.test_rows(name)),
        )
        arms: dict[str, float | None] = {f"{rate:g}": rate for rate in options.rates} | {LAST: None}
        lines, first = [], torch.empty(0)
        for arm, rate in arms.items():
            runs = [train(learn, test, data.spec, rate, seed, options.epochs) for seed in range(options.seeds)]
            scores = torch.tensor([score for score, _ in runs])
            first = first if len(first) else scores
            lines.append(line(arm, scores, first, torch.stack([weights for _, weights in runs])))
        steps = options.epochs * -(-len(learn.labels) // 32)
        print(
            f"\n{task}, {data.spec.primary}, {options.examples} training rows, {steps} steps, {options.seeds} seeds\n"
        )
        print(markdown(["Rate of the mix", "Test", "Against the first (95 %)", "Weights, embeddings to top"], lines))


if __name__ == "__main__":
    main()
