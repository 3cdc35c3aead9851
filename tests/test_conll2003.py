"""CoNLL-2003 from real files: the published counts, and that every word keeps its tag."""

import os
from collections import Counter

import numpy as np
import pytest

from transferlab.tasks import TaskDataModule
from transferlab.tasks.iob import is_valid_transition, spans

# the fixtures of conftest.py take the variable away
DATA = os.environ.get("TRANSFERLAB_DATA", "")
pytestmark = pytest.mark.skipif(
    not os.path.isdir(os.path.join(DATA, "conll2003")),
    reason="TRANSFERLAB_DATA names no folder with a copy of CoNLL-2003",
)

SENTENCES = {"train": 14041, "validation": 3250, "test": 3453}
WORDS = {"train": 203621, "validation": 51362, "test": 46435}
# Tjong Kim Sang and De Meulder 2003, table 2
ENTITIES = {
    "train": {"LOC": 7140, "MISC": 3438, "ORG": 6321, "PER": 6600},
    "validation": {"LOC": 1837, "MISC": 922, "ORG": 1341, "PER": 1842},
    "test": {"LOC": 1668, "MISC": 702, "ORG": 1661, "PER": 1617},
}
TOTALS = {"train": 23499, "validation": 5942, "test": 5648}


@pytest.fixture(scope="module")
def module(tiny_encoder, tmp_path_factory):
    import datasets

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRANSFERLAB_DATA", DATA)
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("datasets")))
        module = TaskDataModule("conll2003", tiny_encoder, max_length=128)
        module.setup("fit")
        module.setup("test")
    return module


def sentences(module, split):
    """The tags of every sentence, as the labels of the tokenised split say."""
    labels = module.encoded(split).labels
    return [[module.spec.labels[tag] for tag in labels.row(row)] for row in range(len(labels.offsets) - 1)]


@pytest.mark.parametrize("split", SENTENCES)
def test_counts(module, split):
    tags = sentences(module, split)
    assert len(tags) == SENTENCES[split]
    assert sum(map(len, tags)) == WORDS[split]
    found = Counter(kind for sentence in tags for kind, _, _ in spans(sentence))
    assert found == ENTITIES[split]
    assert sum(found.values()) == TOTALS[split]


def test_tags_are_iob2(module):
    for split in SENTENCES:
        for tags in sentences(module, split):
            assert all(is_valid_transition(*pair) for pair in zip([None, *tags], tags, strict=False))


@pytest.mark.parametrize("split", SENTENCES)
def test_every_word_has_a_place_or_was_cut(module, split):
    encoded = module.encoded(split)
    assert (encoded.words.lengths == encoded.labels.lengths).all()
    for row in range(len(encoded)):
        positions = encoded.words.row(row)
        kept = positions[positions >= 0]
        assert (np.diff(kept) > 0).all()
        # words are cut from the end only
        assert (positions[: len(kept)] >= 0).all()
        assert len(encoded.ids.row(row)) <= 128


def test_official_splits(module):
    assert module.part_rows("train")[0] == "train"
    assert module.part_rows("validation")[0] == "validation"
    assert module.source.test == ("test",)
    assert len(module.part_rows("train")[1]) == SENTENCES["train"]
    batch = next(iter(module.val_dataloader()))
    assert batch.labels.shape == batch.words.shape == batch.word_mask.shape
