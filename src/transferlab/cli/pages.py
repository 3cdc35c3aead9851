"""Help without torch: a first page for each command, and a page for each section of keys."""

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence

from transferlab.cli.commands import TRAINING
from transferlab.cli.keys import catalog as catalogs
from transferlab.cli.keys.catalog import Catalog, Key, Kind
from transferlab.cli.keys.words import NOTHING, alternatives, describe
from transferlab.ground.errors import TransferlabError, near

SECTIONS = {
    "model": "strategy, method such as LoRA, head, optimizer, schedule",
    "data": "task or your own files, lengths, batches, how many examples",
    "encoder": "which pretrained encoder, and what is read from it",
    "trainer": "epochs, devices, precision, gradient clipping, logger",
    "early_stopping": "when to stop before the last epoch",
    "checkpoint": "which checkpoint is the best",
    "run": "name, tags and location of the run directory",
    "cache": "cached features and hidden states of frozen layers",
}
"""Groups of keys, in the order of use."""
MOST_USED = {
    "model.optimizer.lr": "learning rate",
    "trainer.max_epochs": "passes over the training examples",
    "data.batch_size": "training examples per step",
    "data.max_length": "tokens per text; longer ones are truncated",
    "data.train_examples": "train on so many examples only",
    "model.method.r": "rank of LoRA",
    "seed_everything": "seed",
    "trainer.accelerator": "auto, cpu or gpu",
    "trainer.precision": "32-true, bf16-mixed; null: what suits the hardware",
    "run.tags": "words to filter runs by, such as [first, try]",
}
FIT = """transferlab fit: trains, selects the best checkpoint, and tests it once

  transferlab fit --experiment NAME [--KEY VALUE ...]

What to train
  --experiment NAME  a file of experiments/ or any STRATEGY_TASK;
                     `transferlab list` shows them
  --config FILE      an experiment file of your own; also -c FILE
  --resume RUN       continue a run that was stopped or killed: an experiment
                     (its newest run), a run ID or a run directory
  --encoder NAME     another encoder than the experiment's; in the same way
                     --task, --strategy, --trainer and --logger NAME;
                     `transferlab configs` lists them
  --print_config     show the whole configuration instead of training

Most used keys; each can stand on the command line or, nested, in the file
{keys}

Examples
  transferlab fit --experiment lora_sst2
  transferlab fit --experiment lora_sst2 --model.method.r 4 \\
      --model.optimizer.lr 5e-4
  transferlab fit --experiment full_finetuning_mrpc \\
      --data.train_examples 500 --trainer.max_epochs 2
  transferlab fit --config my_experiment.yaml --seed_everything 1
  transferlab fit --resume lora_sst2
"""
FINISHED = """transferlab {command}: {title}

  transferlab {command} --run RUN [--KEY VALUE ...]

  --run RUN          an experiment (its newest run), a run ID or a run
                     directory
  --config FILE --ckpt_path FILE
                     instead of a run: an experiment file and a checkpoint
{files}
Examples
  transferlab {command} --run lora_sst2
  transferlab {command} --run lora_sst2 --data.eval_batch_size 256
"""
FILES = """  --files FILE ...   other labelled files, their labels matched by name; with
                     --text, --label COLUMN and --map OLD=NEW if called
                     otherwise than in training
"""
BASELINE = """transferlab baseline: methods without an encoder, on the same examples

  transferlab baseline --experiment NAME [--KEY VALUE ...]

What to compute
  --experiment NAME  a file of experiments/ or any STRATEGY_TASK; what it says
                     of task, seed and examples is read, the rest is not
  --config FILE      an experiment file of your own; also -c FILE
  --task NAME        another task than the experiment's
  --method NAME      majority, tfidf, nbsvm, token_majority, word_overlap,
                     no_answer; of texts copy, lead_1, lead_3,
                     most_frequent_target, nearest_target; all that fit the
                     task without it; or vectors
  --vectors FILE     its word vectors: text of GloVe or word2vec, .vec, .gz

Keys: --seed_everything, --run.root, --run.tags and those of --data

Examples
  transferlab baseline --experiment lora_sst2
  transferlab baseline --experiment lora_sst2 --method tfidf \\
      --data.train_examples 500
"""
FETCH = """transferlab fetch: downloads data and weights of an experiment beforehand

  transferlab fetch --experiment NAME [--KEY VALUE ...]

It reads them as `transferlab fit` would, and then once more without a network,
so that compute nodes need none.

What to download for
  --experiment NAME  a file of experiments/ or any STRATEGY_TASK
  --config FILE      an experiment file of your own; also -c FILE
  --encoder NAME     another encoder than the experiment's; in the same way
                     --task and --strategy NAME

All keys of `transferlab fit` can be given; --data and --encoder matter.

Examples
  transferlab fetch --experiment lora_sst2
  transferlab fetch --experiment lora_sst2 --encoder roberta_base
"""
TITLES = {
    "test": "tests a finished run again",
    "validate": "computes the metrics of a run on its validation set",
    "predict": "predicts unlabeled examples with a run",
}
REST = """
All keys with types, defaults and meaning: transferlab {command} --help SECTION
{sections}
SECTION can also be a key or a class: --help trainer.callbacks, --help LoRA
"""


def print_help(command: str, topic: str = "") -> None:
    """Prints the first page of a command, or all keys of a section, below a key or of a class.

    Raises:
        TransferlabError: No such section, key or class.
    """
    print(page(command, topic) if topic else first_page(command), end="")


def first_page(command: str) -> str:
    """What one gives a command most, examples, and where the rest is; fits into 80 columns."""
    if command == "fit":
        top = FIT.format(keys=_columns(MOST_USED, "  --"))
    elif command in {"baseline", "fetch"}:
        top = BASELINE if command == "baseline" else FETCH
    else:
        top = FINISHED.format(command=command, title=TITLES[command], files="" if command == "predict" else FILES)
    return top + REST.format(command=command, sections=_columns(SECTIONS, "  "))


def _columns(rows: dict[str, str], indent: str) -> str:
    width = max(map(len, rows))
    return "\n".join(f"{indent}{name:<{width}}  {text}" for name, text in rows.items())


def whole_catalog() -> Catalog:
    """All keys: from the cache folder, else from the parser itself, which imports torch."""
    if known := catalogs.load():
        return known
    print("reading the keys of the installed releases, once; about ten seconds ...", file=sys.stderr)
    from transferlab.cli.parsing import collected

    return collected()


def page(command: str, topic: str) -> str:
    """All keys of a topic; see `print_help`.

    Raises:
        TransferlabError: No such topic.
    """
    catalog, name = whole_catalog(), topic.lstrip("-")
    keys = catalog.of(command if command in TRAINING else "fit")
    writer = _Writer(catalog)
    inside = [key for key in keys if key.name == name or key.name.startswith(f"{name}.")]
    if inside:
        title = f"{name}: {SECTIONS[name]}" if name in SECTIONS else name
        lines = [title, "", *writer.keys(inside, "--", unfold=len(inside) == 1)]
    elif found := list(_below(catalog, keys, name)):
        lines = [name, ""]
        for owner, prefix, key in found:
            lines += [f"  {owner.name}", *writer.key(key, prefix, unfold=True)]
    elif kind := next((kind for kind in catalog.kinds.values() if name in {kind.path, kind.name}), None):
        lines = [kind.path, "", *writer.kind(kind, _place(catalog, kind))]
    else:
        known = {*SECTIONS, *(key.name for key in keys), *(kind.name for kind in catalog.kinds.values())}
        hint = near(name, sorted(known))
        raise TransferlabError(f"no help on {topic!r}{hint}. There are pages on {', '.join(SECTIONS)}.")
    return "\n".join(lines).rstrip() + "\n"


def _below(catalog: Catalog, keys: Sequence[Key], name: str, prefix: str = "--") -> Iterator[tuple[Kind, str, Key]]:
    """Finds a dotted key in the classes that can stand above it: the class, what stands before the key, and the key."""
    for key in keys:
        if name.startswith(f"{key.name}."):
            rest = name.removeprefix(f"{key.name}.").removeprefix("init_args.")
            for kind in catalog.behind(key):
                for inner in kind.keys:
                    if inner.name == rest:
                        yield kind, f"{prefix}{key.name}.", inner
                yield from _below(catalog, kind.keys, rest, f"{prefix}{key.name}.")


def _place(catalog: Catalog, kind: Kind) -> str:
    """The first key at which a class can stand, as a prefix of its own keys."""
    for key in catalog.keys:
        if kind.path in key.classes:
            return f"--{key.name}."
    for key in catalog.keys:
        for inner in (inner for other in catalog.behind(key) for inner in other.keys):
            if kind.path in inner.classes:
                return f"--{key.name}.{inner.name}."
    return "--"


class _Writer:
    """Lays keys out for the width of the terminal."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.width = min(max(shutil.get_terminal_size((100, 24)).columns, 60), 120)

    def keys(self, keys: Sequence[Key], prefix: str, unfold: bool = False) -> list[str]:
        return [line for key in keys for line in self.key(key, prefix, unfold)]

    def key(self, key: Key, prefix: str, unfold: bool = False, folded: bool = False) -> list[str]:
        """A key with its text; below it the keys of our own classes, with `unfold` of all, with `folded` of none."""
        kinds = self.catalog.behind(key)
        plain = describe(key.schema) if key.schema != NOTHING else ""
        takes = [("a class or a list of them" if key.many else "a class") if kinds else "", plain]
        default = f"[{key.default}]" if key.default else "(must be given)"
        head = f"{prefix}{key.name}  {alternatives([*filter(None, takes)])}  {default}"
        lines = [*self._wrap(head, "  ", "        "), *self._wrap(key.text)]
        if kinds and not folded:
            lines += self._wrap("Classes: " + ", ".join(kind.name for kind in kinds))
            lines += self._kinds(key, kinds, f"{prefix}{key.name}.", unfold)
        return lines

    def _kinds(self, key: Key, kinds: list[Kind], prefix: str, unfold: bool) -> list[str]:
        ours = [kind for kind in kinds if kind.path.startswith("transferlab.") or kind.path == key.usual]
        shown = kinds if unfold else ours
        # those that differ in the default only are described once
        shared = [entry for entry in shown[0].keys if all(_has(kind, entry) for kind in shown)] if shown[1:] else []
        lines = [""]
        if shared:
            lines += self._wrap(f"{'Both' if len(shown) == 2 else 'All'}: {_names(shown)}", "  ", "  ")
            lines += [*self.keys(shared, prefix), ""]
        for kind in shown:
            lines += self._wrap(f"{kind.name}: {kind.text}", "  ", "  ")
            for entry in kind.keys:
                if entry not in shared:
                    lines += self.key(entry, prefix, folded=any(entry.name == other.name for other in shared))
            lines.append("")
        if len(shown) < len(kinds):
            others = [kind for kind in kinds if kind not in shown]
            hint = f"Keys of {_names(others)}: transferlab fit --help {prefix.strip('-.')}"
            lines += [*self._wrap(hint, "  ", "  "), ""]
        return lines

    def kind(self, kind: Kind, prefix: str) -> list[str]:
        """A class and its keys."""
        return [*self._wrap(f"{kind.name}: {kind.text}", "  ", "  "), *self.keys(kind.keys, prefix)]

    def _wrap(self, text: str, first: str = "      ", then: str = "      ") -> list[str]:
        return textwrap.wrap(
            text,
            self.width,
            initial_indent=first,
            subsequent_indent=then,
            break_on_hyphens=False,
            break_long_words=False,
        )


def _has(kind: Kind, key: Key) -> bool:
    """Whether a class has the same key, be it with another default."""
    return any((other.name, other.schema, other.classes) == (key.name, key.schema, key.classes) for other in kind.keys)


def _names(kinds: list[Kind]) -> str:
    few = ", ".join(kind.name for kind in kinds[:4])
    return few if len(kinds) <= 4 else f"{few} and {len(kinds) - 4} more"
