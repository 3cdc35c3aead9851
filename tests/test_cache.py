import os
import signal
import time

import numpy as np
import pytest
import torch
from torch import nn

from tests import forked
from transferlab.config.places import cache_folder
from transferlab.ground.errors import TransferlabError
from transferlab.learning import cache
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
    assert cache_folder() == tmp_path
    monkeypatch.delenv("TRANSFERLAB_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "transferlab"


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


def keep(name, *arguments, precision="32"):
    return cache.row_array(cache.place(name, cache.CacheConfig(precision=precision), ragged=False), *arguments)


def one_column(rows):
    return [(np.arange(rows), torch.arange(float(rows))[:, None])]


def test_computed_once(tmp_path):
    calls = []
    for _ in range(2):
        array = keep("name", split_of([1, 1]), np.arange(2), None, lambda: calls.append(1) or one_column(2))
        assert array.of(batch_of(1)).tolist() == [[1]]
    assert len(calls) == 1
    assert isinstance(array.values, np.memmap)


def test_a_computation_that_stops_half_way_leaves_nothing_behind():
    def fail():
        yield one_column(2)[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keep("half", split_of([1, 1, 1]), np.arange(3), None, fail)
    assert not [name for name in os.listdir(cache_folder()) if name.startswith("half") and not name.endswith(".lock")]
    assert keep("half", split_of([1, 1]), np.arange(2), None, lambda: one_column(2)).of(batch_of(1)).tolist() == [[1]]


def test_what_a_killed_process_left_is_never_read(tmp_path):
    def killed():
        yield one_column(2)[0]
        os.kill(os.getpid(), signal.SIGKILL)

    child = forked.call(tmp_path, lambda: keep("killed", split_of([1, 1, 1]), np.arange(3), None, killed))
    assert forked.ended(child) == -signal.SIGKILL, (tmp_path / "output").read_text()
    assert [name for name in os.listdir(cache_folder()) if name.startswith("killed") and name.endswith(".tmp")]
    array = keep("killed", split_of([1, 1, 1]), np.arange(3), None, lambda: one_column(3))
    assert array.of(batch_of(2, 0)).tolist() == [[2], [0]]


@pytest.mark.parametrize(("precision", "error"), [("32", 0), ("16", 2**-11), ("bf16", 2**-8)])
def test_precision_on_disk(precision, error):
    values = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    array = keep(
        "numbers", split_of([1] * 50), np.arange(50), None, lambda: [(np.arange(50), values)], precision=precision
    )
    back = array.of(batch_of(*range(50)))
    assert back.dtype == torch.float32
    assert ((back - values).abs() <= error * values.abs() + 1e-7).all()
    assert array.values.itemsize == (4 if precision == "32" else 2)


def test_of_two_processes_one_computes_and_both_read(tmp_path):
    log = tmp_path / "log"

    def slow():
        with log.open("a") as file:
            file.write("computed ")
        yield one_column(3)[0]
        time.sleep(1)

    def ask():
        array = keep("shared", split_of([1, 1, 1]), np.arange(3), None, slow)
        assert array.of(batch_of(2, 0)).tolist() == [[2], [0]]

    both = [forked.call(tmp_path, ask) for _ in range(2)]
    assert [forked.ended(child) for child in both] == [0, 0], (tmp_path / "output").read_text()
    assert log.read_text() == "computed "


def test_values_too_large_for_16_bits_are_refused():
    with pytest.raises(TransferlabError, match=r"cache.precision: values up to 1e\+05 do not fit"):
        keep(
            "large", split_of([1]), np.arange(1), None, lambda: [(np.arange(1), torch.tensor([[1e5]]))], precision="16"
        )
    keep("large", split_of([1]), np.arange(1), None, lambda: [(np.arange(1), torch.tensor([[1e5]]))], precision="bf16")


def test_what_every_token_has_is_kept_in_16_bits_unless_told():
    assert cache.place("x", cache.CacheConfig(), ragged=True).precision == "16"
    assert cache.place("x", cache.CacheConfig(), ragged=False).precision == "32"
    assert cache.place("x", cache.CacheConfig(precision="bf16"), ragged=False).precision == "bf16"


def test_what_is_there_already_needs_no_room():
    store = cache.place("there", cache.CacheConfig(), ragged=False)
    assert cache.obstacle([(store, 2**30)], 1.0) == "4.0 GB exceed cache.limit_gb 1"
    cache.row_array(store, split_of([1]), np.arange(1), None, lambda: one_column(1))
    assert cache.obstacle([(store, 2**30)], 1.0) == ""


def test_one_vector_a_row_in_any_order():
    split, rows = split_of([3, 1, 2, 4]), np.array([0, 2, 3])
    values = {0: 10.0, 2: 12.0, 3: 13.0}

    def batches():
        return [
            (np.array([3, 0]), torch.tensor([[values[3]], [values[0]]])),
            (np.array([2]), torch.tensor([[values[2]]])),
        ]

    array = keep("rows", split, rows, None, batches)
    np.testing.assert_array_equal(array.of(batch_of(2, 3, 0)), [[12], [13], [10]])


def test_scalars_a_row():
    array = keep(
        "scalars", split_of([1, 1]), np.array([0, 1]), None, lambda: [(np.array([1, 0]), torch.tensor([5.0, 4.0]))]
    )
    assert array.of(batch_of(0, 1)).tolist() == [4, 5]


def test_vectors_of_every_word_are_cut_to_their_number_and_padded_again():
    lengths = np.array([3, 1, 2])
    split, rows = split_of(lengths), np.array([0, 2])
    output = torch.arange(2 * 3 * 2.0).view(2, 3, 2)

    array = keep("words", split, rows, lengths, lambda: [(np.array([2, 0]), output)])
    assert array.values.shape == (5, 2)
    expected = torch.stack([output[1], output[0]])
    expected[1, 2:] = 0
    torch.testing.assert_close(array.of(batch_of(0, 2)), expected)
    torch.testing.assert_close(array.of(batch_of(2)), output[:1, :2])


def test_half_precision_comes_back_as_float32():
    array = keep(
        "half", split_of([1, 1]), np.array([0, 1]), None, lambda: [(np.array([0, 1]), torch.ones(2, 3).bfloat16())]
    )
    assert array.of(batch_of(0)).dtype == torch.float32


@pytest.mark.parametrize("ragged", [False, True])
def test_values_of_other_rows_are_found_by_how_their_names_begin(ragged):
    split = split_of([2, 1, 2])
    lengths = split.ids.lengths if ragged else None
    flat = torch.arange(5.0).view(-1, 1)
    padded = torch.tensor([[[0.0], [1.0]], [[3.0], [4.0]]])

    def batches():
        return [(np.array([0, 2]), padded if ragged else flat[[0, 2]])]

    config = cache.CacheConfig(precision="32")
    store = cache.place("alike-one", config, ragged)
    cache.row_array(store, split, np.array([0, 2]), lengths, batches)
    wanted = cache.place("alike-two", config, ragged)
    (found,) = cache.others(wanted, "alike-", split, lengths)
    assert found.place.tolist() == [0, -1, 1]
    assert found.take(np.array([2])).flatten().tolist() == ([3, 4] if ragged else [2])
    assert not list(cache.others(wanted, "unlike", split, lengths))
    assert not list(cache.others(wanted._replace(precision="16"), "alike-", split, lengths))
    store.path.write_bytes(b"cut off")
    assert not list(cache.others(wanted, "alike-", split, lengths))


def flipped(path):
    """The same file with one other byte at its end."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [flipped, lambda path: path.write_bytes(path.read_bytes()[:-4])])
def test_damaged_values_are_computed_anew(damage):
    split, rows = split_of([1, 1]), np.arange(2)
    store = cache.place("damaged-one", cache.CacheConfig(), ragged=False)
    cache.row_array(store, split, rows, None, lambda: one_column(2))
    cache.drop_damaged(store)
    assert store.path.exists()
    assert len(list(cache.others(store, "damaged-", split, None))) == 1
    # the numbers of the rows are as important as their values
    for path in (store.path.with_suffix(cache.ROWS), store.path):
        whole = path.read_bytes()
        damage(path)
        assert not list(cache.others(store, "damaged-", split, None))
        cache.drop_damaged(store)
        assert not store.path.exists()
        again = cache.row_array(store, split, rows, None, lambda: one_column(2))
        assert path.read_bytes() == whole
        assert again.of(batch_of(0, 1)).shape == (2, 1)
