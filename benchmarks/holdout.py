"""Does a hold-out rank heads as the test set does? ``python -m benchmarks.holdout --task sst2 rte``.

A frozen encoder gives each text its hidden states once, averaged over tokens. On them ten heads are fitted: logistic
regression on each layer, the nearest class mean, and the nearest neighbors of the last layer. Each is judged on a
hold-out, drawn by example and as the inspection of the task advises, and on the official validation set. Prints the
rank correlation (Spearman) of the two judgements over the heads, how far the hold-out's level is off, and the place of
the 1-nearest-neighbor head, which does nothing but remember. Means over seeds, each of which draws the hold-out anew.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from benchmarks.mix import rows_of
from benchmarks.table import markdown
from transferlab.encoders import EncoderConfig, build_encoder
from transferlab.ground.quiet import quiet
from transferlab.tasks import TaskDataModule

Array = np.ndarray[Any, Any]
Head = Callable[[Array, Array, Array], Array]
"""States and classes of training examples, and states of others ``[rows, layers, hidden]``, to the classes of these."""


def regression(layer: int) -> Head:
    """Logistic regression on standardized states of one layer."""

    def classes(states: Array, known: Array, asked: Array) -> Array:
        # in half precision the sums of so many would overflow
        ours, others = (part[:, layer].astype(np.float32) for part in (states, asked))
        scaler = StandardScaler().fit(ours)
        fitted = LogisticRegression(C=0.01, max_iter=100).fit(scaler.transform(ours), known)
        return np.asarray(fitted.predict(scaler.transform(others)))

    return classes


def means(states: Array, known: Array, asked: Array) -> Array:
    """The class with the nearest mean, by cosine."""
    centers = np.stack([_unit(states[:, -1])[known == label].mean(0) for label in np.unique(known)])
    return np.asarray((_unit(asked[:, -1]) @ _unit(centers).T).argmax(1))


def neighbors(count: int) -> Head:
    """The commonest class of the nearest training examples, by cosine."""

    def classes(states: Array, known: Array, asked: Array) -> Array:
        base, found = _unit(states[:, -1]), []
        for part in np.array_split(_unit(asked[:, -1]), max(len(asked) // 200, 1)):
            near = np.argpartition(-(part @ base.T), count - 1, axis=1)[:, :count]
            found += [np.bincount(known[row]).argmax() for row in near]
        return np.array(found)

    return classes


def _unit(vectors: Array) -> Array:
    long = vectors.astype(np.float32)
    return np.asarray(long / np.linalg.norm(long, axis=1, keepdims=True))


def heads(layers: int) -> dict[str, Head]:
    """The ten heads, by name."""
    found: dict[str, Head] = {f"logistic, layer {layer}": regression(layer) for layer in range(layers)}
    return found | {"class means": means, "1-nearest": neighbors(1), "9-nearest": neighbors(9)}


def accuracies(train: tuple[Array, Array], others: list[tuple[Array, Array]]) -> Array:
    """Accuracy of each head on each of some sets ``[heads, sets]``."""
    states, known = train
    asked = np.concatenate([part for part, _ in others])
    ends = np.cumsum([len(part) for part, _ in others])[:-1]
    rows = []
    for head in heads(states.shape[1]).values():
        parts = np.split(head(states, known, asked), ends)
        rows.append([float((found == gold).mean()) for found, (_, gold) in zip(parts, others, strict=True)])
    return np.array(rows)


def judged(data: TaskDataModule, states: Array, test: tuple[Array, Array]) -> Array:
    """Accuracy of each head on the hold-out and on the test set ``[heads, 2]``."""
    labels = data.train_labels()
    train, validation = data.part_rows("train")[1], data.part_rows("validation")[1]
    return accuracies((states[train], labels[train]), [(states[validation], labels[validation]), test])


def line(task: str, data: TaskDataModule, scores: Array) -> list[str]:
    """A row of the table; `scores` ``[seeds, heads, 2]``."""
    names = list(heads(scores.shape[1] - 3))
    ranks = [spearmanr(one[:, 0], one[:, 1]).statistic for one in scores]
    level = (scores[..., 0] - scores[..., 1]).mean()
    mean = scores.mean(0)
    place = [1 + int((mean[:, side] > mean[names.index("1-nearest"), side]).sum()) for side in (0, 1)]
    each = ", ".join(f"{rank:.2f}" for rank in ranks)
    size = len(data.part_rows("validation")[1])
    places = f"{place[0]}, {place[1]} of {len(names)}"
    return [task, data.protocol_name, f"{size:,}", f"{np.mean(ranks):.2f} ({each})", f"{100 * level:+.1f}", places]


def main() -> None:
    """Computes the states, fits the heads, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", nargs="+", default=["sst2", "rte"])
    parser.add_argument("--encoder", default=EncoderConfig().name)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--heads", action="store_true", help="print the mean of each head too")
    options = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    config = EncoderConfig(options.encoder)
    encoder = build_encoder(config).eval()
    lines = []
    for task in options.task:
        data = TaskDataModule(task, config, max_length=options.max_length)
        test = data.source.test[0]
        known: dict[str, tuple[Array, Array]] = {}
        for split in (data.source.train, test):
            order = np.arange(len(data.encoded(split)))
            found = rows_of(data, encoder, split, order)
            # a loader gives the longest first
            place = np.argsort(np.concatenate([batch.index.numpy() for batch in data.loader(split, order)]))
            known[split] = (found.states[:, :, 0].numpy()[place], found.labels[:, 0].numpy()[place])
        states = known[data.source.train][0]
        for by in dict.fromkeys(("example", data.holdout_by)):
            drawn = [
                TaskDataModule(task, config, max_length=options.max_length, holdout_by=by, seed=seed)
                for seed in range(options.seeds)
            ]
            scores = np.stack([judged(one, states, known[test]) for one in drawn])
            lines.append(line(task, drawn[0], scores))
            if options.heads:
                for name, (held, tested) in zip(heads(states.shape[1]), scores.mean(0), strict=True):
                    print(f"{task:6} {drawn[0].protocol_name:20} {name:18} {held:.4f} {tested:.4f}", flush=True)
    head = [
        "Task",
        "Protocol",
        "Held out",
        "Rank correlation (each seed)",
        "Level, points",
        "Place of 1-nearest: held out, test",
    ]
    print(markdown(head, lines))


if __name__ == "__main__":
    main()
