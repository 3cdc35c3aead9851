"""A tiny encoder, tiny tasks, and a short way to fit; nothing here reaches the network."""

import copy
import itertools
import json
import os
import random

# huggingface_hub reads these once, when it is imported
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["WANDB_MODE"] = "offline"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import lightning as L
import numpy as np
import pytest
import torch

from transferlab.encoders import EncoderConfig
from transferlab.tasks import Source, TaskDataModule

pytest.register_assert_rewrite("tests.mistakes")

VARIABLES = ("TRANSFERLAB_CACHE", "TRANSFERLAB_MODELS", "TRANSFERLAB_DATA", "TRANSFERLAB_RUN_DIR", "TRANSFERLAB_MAKE")
RANKS = ("LOCAL_RANK", "RANK", "NODE_RANK", "WORLD_SIZE", "SLURM_JOB_ID", "TORCHELASTIC_RUN_ID", "PL_GLOBAL_SEED")
HANGS = 3600
"""Seconds that only what hangs takes, on the busiest of machines."""
WORDS = [
    "a",
    "the",
    "of",
    "and",
    "to",
    "in",
    "was",
    "is",
    "it",
    "by",
    "for",
    "on",
    "with",
    "that",
    "said",
    "my",
    "her",
    "his",
    "he",
    "she",
    "they",
    "we",
    "you",
    "next",
    "yesterday",
]


@pytest.fixture(scope="session", autouse=True)
def session_environment(tmp_path_factory):
    """What fixtures of a whole file see: a cache of their own and one thread."""
    torch.set_num_threads(1)
    before = dict(os.environ)
    for variable in (*VARIABLES, *RANKS):
        os.environ.pop(variable, None)
    os.environ["TRANSFERLAB_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def environment(session_environment, tmp_path):
    """Restores the environment after each test, and gives it its own cache and seed."""
    before = dict(os.environ)
    os.environ["TRANSFERLAB_CACHE"] = str(tmp_path / "cache")
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    yield
    os.environ.clear()
    os.environ.update(before)


def build_tokenizer(folder, letters="abcdefghijklmnopqrstuvwxyz", words=WORDS, **options):
    """Saves a WordPiece tokenizer that knows every letter, so that nothing made of letters is unknown."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    marks = list(".,?!'-;:0123456789")
    pieces = list(dict.fromkeys([*special, *letters, *(f"##{c}" for c in letters), *marks, *words]))
    backend = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **names,
        **options,
    )
    tokenizer.save_pretrained(folder)
    return len(pieces)


def build_bert(folder, layers=2, model="BertModel", words=WORDS, **options):
    """Saves a random BERT of width 32 with its tokenizer."""
    import transformers

    vocabulary = build_tokenizer(folder, words=words)
    with torch.random.fork_rng():
        torch.manual_seed(layers)
        config = transformers.BertConfig(
            vocab_size=vocabulary,
            hidden_size=32,
            num_hidden_layers=layers,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=128,
            # the usual 0.02 leaves almost no attention in a model this narrow
            initializer_range=0.2,
            **options,
        )
        getattr(transformers, model)(config).save_pretrained(folder)
    return folder


def demo_words(limit=400):
    """The commonest words of the generated sentences."""
    from collections import Counter

    from transferlab.tasks.embedded import generate

    texts = generate("sentences", "train")["text"][:]
    counts = Counter(word for text in texts for word in text.lower().replace(".", " ").replace(",", " ").split())
    return [word for word, _ in counts.most_common(limit) if word.isalpha()]


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """A folder with a two-layer BERT."""
    return build_bert(tmp_path_factory.mktemp("models") / "tiny", words=[*WORDS, *demo_words()])


@pytest.fixture(scope="session")
def tiny_encoder(tiny_folder):
    """The configuration of a two-layer BERT."""
    return EncoderConfig(name=str(tiny_folder))


@pytest.fixture(scope="session")
def deep_encoder(tmp_path_factory):
    """The configuration of a four-layer BERT with a vocabulary of letters, which has kept its head for masked words."""
    folder = tmp_path_factory.mktemp("models") / "deep"
    return EncoderConfig(name=str(build_bert(folder, layers=4, model="BertForMaskedLM")))


@pytest.fixture(scope="session")
def language_folder(tmp_path_factory):
    """A folder with a two-layer BERT that has kept its head for masked words."""
    folder = tmp_path_factory.mktemp("models") / "language"
    return build_bert(folder, words=[*WORDS, "great", "terrible"], model="BertForMaskedLM")


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Small files of every kind: kind to `Source`."""
    folder = tmp_path_factory.mktemp("data")
    return {
        kind: _source(folder / kind, kind)
        for kind in ("classification", "regression", "pairs", "tagging", "windows", "multilabel")
    }


def _source(folder, kind):
    from transferlab.tasks.embedded import generate
    from transferlab.tasks.table import lookup

    folder.mkdir()
    task = {"pairs": "demo_pairs", "tagging": "demo_entities", "qa": "demo_answers"}.get(kind, "demo_sentences")
    source = lookup(task)
    paths = {}
    for split, count in (("train", 40), ("test", 8)):
        rows = [generate(source.config, split)[number] for number in range(count)]
        if kind in {"classification", "pairs"}:
            rows = [{**row, "label": source.labels[row["label"]]} for row in rows]
        if kind == "tagging":
            rows = [{**row, "tags": [source.labels[tag] for tag in row["tags"]]} for row in rows]
        if kind == "multilabel":
            rows = [
                {"text": row["text"], "label": [name for n, name in enumerate("abc") if len(row["text"]) >> n & 1]}
                for row in rows
            ]
        if kind == "regression":
            rows = [{"text": row["text"], "label": len(row["text"]) / 100} for row in rows]
        if kind == "windows":
            rows = [
                {"text": " ".join([row["text"]] * (1 + n % 3)), "label": row["label"]} for n, row in enumerate(rows)
            ]
        paths[split] = str(folder / f"{split}.jsonl")
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return Source(
        files=paths,
        text=source.text,
        label=source.label,
        kind=kind if kind in {"tagging", "regression", "multilabel", "qa"} else "classification",
        labels=() if kind in {"regression", "windows", "multilabel"} else source.labels,
        test=("test",),
    )


@pytest.fixture(scope="session")
def data(files, tiny_encoder):
    """Builds a data module of a kind; one of each kind and encoder is read and tokenised, others share its rows."""
    known = {}

    def build(kind="classification", encoder=tiny_encoder, **options):
        if options:
            return _module(files, kind, encoder, **options)
        if (kind, encoder) not in known:
            known[kind, encoder] = _module(files, kind, encoder)
        fresh = copy.copy(known[kind, encoder])
        fresh.attached = {}
        return fresh

    return build


def _module(files, kind, encoder, **options):
    settings = {"batch_size": 4, "eval_batch_size": 8, "max_length": 64, **options}
    if kind == "windows":
        settings = {"truncation": "windows", **settings, "max_length": options.get("max_length", 16)}
    module = TaskDataModule(f"tiny_{kind}", encoder, source=files[kind], **settings)
    module.setup("fit")
    module.setup("test")
    return module


@pytest.fixture(scope="session")
def fit(tmp_path_factory):
    """Fits a model for a few steps on one core and returns the trainer."""
    numbers = itertools.count()
    root = tmp_path_factory.mktemp("fits")

    def run(model, module, **options):
        settings = {"max_epochs": 1, "limit_train_batches": 4, "limit_val_batches": 1, "limit_test_batches": 2}
        trainer = L.Trainer(
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            default_root_dir=root / str(next(numbers)),
            **{**settings, "devices": 1, "limit_predict_batches": 2, **options},
        )
        trainer.fit(model, module)
        return trainer

    return run


def logits_of(model, batch):
    """Logits of a batch in evaluation mode; the model's mode stays as it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        logits = model(batch)
    for module, mode in modes:
        module.training = mode
    return logits
