import os

import numpy as np
import pytest
import torch
from torch import nn

from transferlab import cache
from transferlab.tasks import Batch
from transferlab.tasks.batch import EncodedSplit, Ragged


def split_of(lengths, words=None):
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return EncodedSplit(Ragged(np.arange(offsets[-1]), offsets), None, None, words, None, 0, "abc")


def batch_of(*rows):
    empty = torch.zeros(len(rows), 1, dtype=torch.long)
    return Batch(empty, empty, None, torch.tensor(rows))


def test_the_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFERLAB_CACHE", str(tmp_path))
    assert cache.cache_folder() == tmp_path
    monkeypatch.delenv("TRANSFERLAB_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / ".cache" / "transferlab"


def test_a_fingerprint_follows_every_weight():
    model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    first = cache.fingerprint("x", model, np.arange(3))
    assert cache.fingerprint("x", model, np.arange(3)) == first
    assert cache.fingerprint("y", model, np.arange(3)) != first
    assert cache.fingerprint("x", model, np.arange(1, 4)) != first
    with torch.no_grad():
        model[1].bias[1] += 1e-6
    assert cache.fingerprint("x", model, np.arange(3)) != first


def test_a_fingerprint_reads_any_dtype_and_shape():
    model = nn.Linear(3, 2).bfloat16()
    model.register_buffer("flag", torch.tensor(True))
    model.register_buffer("turned", torch.arange(6).view(2, 3).T)
    assert len(cache.fingerprint(model)) == 32


def test_computed_once(tmp_path):
    calls = []
    for _ in range(2):
        array = cache.cached("name", lambda: calls.append(1) or np.arange(4.0))
        np.testing.assert_array_equal(array, np.arange(4.0))
    assert len(calls) == 1
    assert isinstance(array, np.memmap)


def test_a_failed_computation_leaves_nothing_behind():
    def fail():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.cached("name", fail)
    assert not [name for name in os.listdir(cache.cache_folder()) if name.endswith(".npy")]
    np.testing.assert_array_equal(cache.cached("name", lambda: np.ones(1)), [1])


def test_one_vector_a_row_in_any_order():
    split, rows = split_of([3, 1, 2, 4]), np.array([0, 2, 3])
    values = {0: 10.0, 2: 12.0, 3: 13.0}

    def batches():
        return [
            (np.array([3, 0]), torch.tensor([[values[3]], [values[0]]])),
            (np.array([2]), torch.tensor([[values[2]]])),
        ]

    array = cache.row_array("rows", split, rows, None, batches)
    np.testing.assert_array_equal(array.of(batch_of(2, 3, 0)), [[12], [13], [10]])


def test_scalars_a_row():
    array = cache.row_array(
        "scalars", split_of([1, 1]), np.array([0, 1]), None, lambda: [(np.array([1, 0]), torch.tensor([5.0, 4.0]))]
    )
    assert array.of(batch_of(0, 1)).tolist() == [4, 5]


def test_vectors_of_every_word_are_cut_to_their_number_and_padded_again():
    lengths = np.array([3, 1, 2])
    split, rows = split_of(lengths), np.array([0, 2])
    output = torch.arange(2 * 3 * 2.0).view(2, 3, 2)

    array = cache.row_array("words", split, rows, lengths, lambda: [(np.array([2, 0]), output)])
    assert array.values.shape == (5, 2)
    expected = torch.stack([output[1], output[0]])
    expected[1, 2:] = 0
    torch.testing.assert_close(array.of(batch_of(0, 2)), expected)
    torch.testing.assert_close(array.of(batch_of(2)), output[:1, :2])


def test_half_precision_comes_back_as_float32():
    array = cache.row_array(
        "half", split_of([1, 1]), np.array([0, 1]), None, lambda: [(np.array([0, 1]), torch.ones(2, 3).bfloat16())]
    )
    assert array.of(batch_of(0)).dtype == torch.float32
