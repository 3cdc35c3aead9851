import copy
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from transferlab.adapters import LoRA, PromptTuning
from transferlab.encoders import Encoder, EncoderConfig
from transferlab.encoders import packing as packing_module
from transferlab.encoders.packing import Packing, enable_packing, packed_attention, pool_packed, varlen_kernel
from transferlab.ground.errors import TransferlabError
from transferlab.learning.heads import HeadConfig
from transferlab.record.recorder import RunRecorder
from transferlab.strategies import FeatureExtraction, FullFineTuning, ParameterEfficient
from transferlab.strategies.forward import first_pieces
from transferlab.tasks import TaskDataModule
from transferlab.tasks.batch import CUT, EncodedSplit, Ragged, Shape

SIZES = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "initializer_range": 0.2,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
PLAIN = {
    "bert": {"pad_token_id": 0},
    "albert": {"pad_token_id": 0, "embedding_size": 16},
    "electra": {"pad_token_id": 0, "embedding_size": 16},
    "roberta": {"pad_token_id": 1, "type_vocab_size": 1},
    "xlm-roberta": {"pad_token_id": 1, "type_vocab_size": 1},
    "camembert": {"pad_token_id": 1, "type_vocab_size": 1},
    "distilbert": {"pad_token_id": 0, "dim": 32, "hidden_dim": 48, "n_layers": 3, "n_heads": 4, "dropout": 0.0}
    | {"attention_dropout": 0.0},
    # layers 1 and 2 see two tokens to either side
    "modernbert": {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
    | {"local_attention": 4, "global_attn_every_n_layers": 3},
}
TYPED = {"bert", "albert", "electra"}
LENGTHS = [5, 1, 12, 3, 12, 7]
SHAPE = Shape(tokens=64, sequences=14, longest=14)


def backbone_of(family, **options):
    torch.manual_seed(0)
    model = AutoModel.from_config(AutoConfig.for_model(family, **{**SIZES, **PLAIN.get(family, {}), **options}))
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    return model.eval()


def split_of(family="bert", tagging=False, lengths=LENGTHS, windows=None):
    """Random sequences; for tagging some words of each, the last one cut off."""
    generator = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    types = Ragged(generator.integers(0, 2, offsets[-1]), offsets) if family in TYPED else None
    words = [[*range(0, length, 2), CUT] for length in lengths]
    word_offsets = np.concatenate([[0], np.cumsum([len(row) for row in words])])
    return EncodedSplit(
        ids=Ragged(generator.integers(3, 60, offsets[-1]), offsets),
        types=types,
        labels=generator.integers(0, 3, len(lengths)),
        words=Ragged(np.concatenate(words), word_offsets) if tagging else None,
        windows=windows,
        pad_id=PLAIN.get(family, {}).get("pad_token_id", 0),
        fingerprint="",
    )


def packing_of(*lengths):
    longest = max(lengths)
    slots = [row * longest + place for row, length in enumerate(lengths) for place in range(length)]
    ends = torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int32)
    return Packing(torch.tensor(slots), ends, longest)


def both(encoder, split, read, shape=None):
    """What `read` makes of a padded and of a packed batch, and the gradients of its weighted sum."""
    results = []
    for batch in (split.collate(range(len(split))), split.pack(range(len(split)), shape)):
        encoder.zero_grad()
        tokens = encoder(batch.input_ids, batch.attention_mask, batch.token_type_ids, batch.packing)
        value = read(encoder, tokens, batch)
        torch.manual_seed(1)
        (value * torch.randn(value.shape)).sum().backward()
        gradients = {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}
        results.append((value.detach(), gradients))
    return results


def assert_same(padded, packed):
    torch.testing.assert_close(packed[0], padded[0], atol=1e-5, rtol=1e-5)
    assert packed[1].keys() == padded[1].keys()
    assert packed[1]
    for name, gradient in padded[1].items():
        # one that is all zero would show nothing
        torch.testing.assert_close(packed[1][name], gradient, atol=1e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")
    assert any(gradient.abs().max() > 1e-3 for gradient in padded[1].values())


def pooled(encoder, tokens, batch):
    return encoder.pool(tokens, batch.attention_mask, batch.packing)[: batch.rows]


def tagged(encoder, tokens, batch):
    return first_pieces(tokens, batch.words)[batch.words >= 0]


# what a packed row is ----------------------------------------------------------------------------------------------


def test_a_packed_row_by_hand():
    packing = packing_of(2, 3, 1)
    assert packing.position_ids.tolist() == [[0, 1, 0, 1, 2, 0]]
    assert packing.sequences.tolist() == [0, 0, 1, 1, 1, 2]
    assert packing.mask.tolist() == [[True, True, False], [True, True, True], [True, False, False]]
    padded = packing.pad(torch.arange(1, 7))
    assert padded.tolist() == [[1, 2, 0], [3, 4, 5], [6, 0, 0]]
    assert packing.unpad(padded).tolist() == [1, 2, 3, 4, 5, 6]


def test_packed_batches_by_hand():
    split = split_of(tagging=True, lengths=[3, 5, 2])
    batch = split.pack([2, 0])
    assert batch.input_ids.tolist() == [[*split.ids.row(2), *split.ids.row(0)]]
    assert batch.token_type_ids.tolist() == [[*split.types.row(2), *split.types.row(0)]]
    assert batch.packing.cu_seqlens.tolist() == [0, 2, 5]
    assert batch.packing.cu_seqlens.dtype == torch.int32
    assert batch.packing.position_ids.tolist() == [[0, 1, 0, 1, 2]]
    assert batch.attention_mask.tolist() == [[1] * 5]
    # words begin at 0 and 2 of a sequence; the cut one and the padding behind it point at its own beginning
    assert batch.words.tolist() == [[0, -1, -1], [2, 4, -3]]
    assert batch.word_mask.tolist() == [[True, True, False], [True, True, True]]
    assert batch.index.tolist() == [2, 0]
    assert batch.rows == 2


def test_filled_batches_all_have_one_shape():
    split = split_of()
    shapes = set()
    for rows in ([0], [2, 4], [0, 1, 2, 3, 4, 5], [2, 2, 2, 2, 2, 3, 1]):
        batch = split.pack(rows, SHAPE)
        shapes.add((batch.input_ids.shape, batch.token_type_ids.shape, len(batch.packing.cu_seqlens)))
        lengths = batch.packing.lengths
        assert lengths[: len(rows)].tolist() == [LENGTHS[row] for row in rows]
        assert lengths.sum() == SHAPE.tokens
        assert lengths.max() <= SHAPE.longest == batch.packing.longest
        real = sum(LENGTHS[row] for row in rows)
        assert batch.attention_mask.sum() == real
        assert batch.attention_mask[0, :real].all()
        assert (batch.input_ids[0, real:] == split.pad_id).all()
        assert batch.rows == len(rows)
    assert shapes == {(torch.Size([1, 64]), torch.Size([1, 64]), 15)}


def test_a_packed_batch_moves_as_a_whole():
    batch = split_of().pack([0, 2], SHAPE).to(torch.device("meta"))
    assert batch.packing.slots.device == batch.packing.cu_seqlens.device == batch.input_ids.device
    assert batch.packing.longest == SHAPE.longest


def test_the_recorder_counts_real_tokens(tmp_path):
    recorder = RunRecorder(tmp_path, {})
    batch = split_of().pack([0, 2], SHAPE)
    recorder.on_train_batch_end(SimpleNamespace(), SimpleNamespace(), None, batch, 0)
    assert recorder.samples == 2
    assert int(recorder.tokens) == LENGTHS[0] + LENGTHS[2]


# the same numbers as padded ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [None, SHAPE], ids=["ragged", "filled"])
@pytest.mark.parametrize("family", PLAIN)
def test_pooled_as_padded(family, shape):
    encoder = Encoder(backbone_of(family), EncoderConfig())
    assert_same(*both(encoder, split_of(family), pooled, shape=shape))


@pytest.mark.parametrize("shape", [None, SHAPE], ids=["ragged", "filled"])
@pytest.mark.parametrize("family", PLAIN)
def test_tagged_as_padded(family, shape):
    encoder = Encoder(backbone_of(family), EncoderConfig())
    assert_same(*both(encoder, split_of(family, tagging=True), tagged, shape=shape))


@pytest.mark.parametrize("layers", ["second_to_last", "mix"])
@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_every_way_of_reading(family, pooling, layers):
    encoder = Encoder(backbone_of(family), EncoderConfig(pooling=pooling, layers=layers))
    assert_same(*both(encoder, split_of(family), pooled, shape=SHAPE))


@pytest.mark.parametrize("family", PLAIN)
def test_lora_as_padded(family):
    backbone = LoRA(r=2).apply(backbone_of(family))
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if "lora_B" in name:
                # at zero the adapter would do nothing
                parameter.normal_()
    padded, packed = both(Encoder(backbone, EncoderConfig()), split_of(family), pooled)
    assert all("lora" in name for name in packed[1])
    assert_same(padded, packed)


def test_neighbours_are_not_seen():
    encoder = Encoder(backbone_of("bert"), EncoderConfig())
    split = split_of()
    alone, among = split.pack([3]), split.pack([2, 3, 5], SHAPE)
    with torch.no_grad():
        one, many = (encoder(b.input_ids, b.attention_mask, b.token_type_ids, b.packing)[0] for b in (alone, among))
    torch.testing.assert_close(many[12:15], one, atol=1e-5, rtol=1e-5)


def test_a_window_reaches_as_far_as_the_padded_one():
    """With one layer of window 2 the output changes exactly where a token within reach changed."""
    backbone = backbone_of("modernbert", num_hidden_layers=2, local_attention=4, global_attn_every_n_layers=2)
    del backbone.layers[0]
    encoder = Encoder(backbone, EncoderConfig())
    split = split_of("modernbert", lengths=[12, 9])
    batch = split.pack([0, 1])
    changed = batch.input_ids.clone()
    changed[0, 6] = 59 if changed[0, 6] != 59 else 58
    with torch.no_grad():
        before, after = (
            encoder(ids, batch.attention_mask, None, batch.packing)[0] for ids in (batch.input_ids, changed)
        )
    differs = ((before - after).abs().amax(1) > 1e-6).nonzero().flatten().tolist()
    assert differs == [4, 5, 6, 7, 8]


def test_padded_batches_are_read_as_before():
    backbone = backbone_of("modernbert")
    batch = split_of("modernbert").collate(range(6))
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    with torch.no_grad():
        before = backbone(**inputs).last_hidden_state
        enable_packing(backbone)
        after = backbone(**inputs).last_hidden_state
    assert torch.equal(before, after)


def test_nothing_is_written_into_a_saved_model(tmp_path):
    backbone = backbone_of("bert")
    enable_packing(backbone)
    backbone.save_pretrained(tmp_path)
    assert "packed" not in (tmp_path / "config.json").read_text()
    assert AutoModel.from_pretrained(tmp_path).config._attn_implementation == "sdpa"


# pooling, attention ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "expected"),
    [("cls", [[1.0, 5], [3, 6]]), ("mean", [[2.0, 1], [4, 2]]), ("max", [[3.0, 5], [6, 6]])],
)
def test_pooling_by_hand(how, expected):
    row = torch.tensor([[[1.0, 5], [3, -3], [3, 6], [3, 0], [6, 0]]])
    packing = Packing(torch.tensor([0, 1, 3, 4, 5]), torch.tensor([0, 2, 5, 5], dtype=torch.int32), 3)
    assert pool_packed(row, packing, how)[:2].tolist() == expected


def test_attention_by_hand():
    torch.manual_seed(0)
    packing = packing_of(2, 3)
    q, k, v = torch.randn(3, 1, 1, 5, 4)
    mask = packing.mask[:, None, None]
    out, weights = packed_attention(nn.Module(), q, k, v, mask, scaling=0.5, packing=packing)
    assert weights is None
    assert out.shape == (1, 5, 1, 4)
    for start, end in ((0, 2), (2, 5)):
        scores = (q[0, 0, start:end] @ k[0, 0, start:end].T) * 0.5
        torch.testing.assert_close(out[0, start:end, 0], scores.softmax(-1) @ v[0, 0, start:end])


def test_attention_dropout_is_applied():
    packing = packing_of(8, 8)
    q = k = torch.zeros(1, 2, 16, 4)
    v = torch.ones(1, 2, 16, 4)
    mask = packing.mask[:, None, None]
    kept, _ = packed_attention(nn.Module(), q, k, v, mask, packing=packing)
    assert torch.allclose(kept, torch.ones_like(kept))
    dropped, _ = packed_attention(nn.Module(), q, k, v, mask, dropout=0.5, packing=packing)
    # equal weights of 1/8, each kept with probability 1/2 and then doubled
    assert torch.allclose((dropped * 4).round(), dropped * 4, atol=1e-5)
    assert dropped.std() > 0.1
    assert math.isclose(float(dropped.mean()), 1, abs_tol=0.3)


@pytest.mark.parametrize(("key", "value"), [("dropout", 0.3), ("attention_dropout", 0.0)])
def test_dropout_of_attention_alone(tiny_encoder, key, value):
    from dataclasses import replace

    from transferlab.encoders.loading import load_backbone

    config = load_backbone(replace(tiny_encoder, **{key: value})).config
    hidden, attention = config.hidden_dropout_prob, config.attention_probs_dropout_prob
    assert (hidden, attention) == ((0.3, 0.3) if key == "dropout" else (0.1, 0.0))


@pytest.mark.gpu
@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_the_flash_kernel_as_padded(family):
    assert varlen_kernel() is not None
    backbone = backbone_of(family, hidden_size=64, num_attention_heads=2).cuda().bfloat16()
    encoder = Encoder(backbone, EncoderConfig())
    split = split_of(family)
    padded, packed = (
        (b._replace(packing=b.packing and Packing(*(x.cuda() if torch.is_tensor(x) else x for x in b.packing))))
        for b in (split.collate(range(6)), split.pack(range(6), SHAPE))
    )
    calls = []
    kernel = varlen_kernel()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing_module, "varlen_kernel", lambda: lambda *a, **o: calls.append(o) or kernel(*a, **o))
        values = [
            encoder.pool(
                encoder(
                    b.input_ids.cuda(), b.attention_mask.cuda(), b.token_type_ids and b.token_type_ids.cuda(), b.packing
                ),
                b.attention_mask.cuda(),
                b.packing,
            )[:6]
            for b in (padded._replace(token_type_ids=None), packed._replace(token_type_ids=None))
        ]
    assert len(calls) == 3
    torch.testing.assert_close(values[1].float(), values[0].float(), atol=3e-2, rtol=3e-2)


def test_the_flash_kernel_is_only_for_cuda_without_dropout(monkeypatch):
    """On this device the kernel is never asked; what it would get is what torch's signature names."""
    monkeypatch.setattr(packing_module, "varlen_kernel", lambda: pytest.fail)
    encoder = Encoder(backbone_of("bert"), EncoderConfig())
    batch = split_of().pack([0, 1])
    with torch.no_grad():
        encoder(batch.input_ids, batch.attention_mask, batch.token_type_ids, batch.packing)


# refused -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backbone", "why"),
    [
        (lambda: backbone_of("mpnet", pad_token_id=1), "mpnet adds a bias for the distance"),
        (lambda: backbone_of("deberta-v2"), "deberta-v2 computes its attention by itself"),
        (lambda: PromptTuning(tokens=2).apply(backbone_of("bert")), "prompt tuning puts its prompt in front"),
    ],
    ids=["mpnet", "deberta", "prompt"],
)
def test_what_cannot_be_packed(backbone, why):
    encoder = Encoder(backbone(), EncoderConfig())
    batch = split_of("roberta").pack([0, 1])
    with pytest.raises(TransferlabError, match=r"data\.packed") as caught:
        encoder(batch.input_ids, batch.attention_mask, None, batch.packing)
    assert why in str(caught.value)
    assert "data.packed: false" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"max_tokens": 63}, r"data\.max_tokens: 63 .* data\.max_length \(64\)"),
        ({"max_tokens": 64, "truncation": "windows"}, r"data\.max_tokens: .* data\.truncation: windows"),
        ({"packed": True, "encoder": EncoderConfig(architecture="bilstm")}, r"data\.packed: a BiLSTM"),
    ],
)
def test_arguments_that_exclude_each_other(options, match, tiny_encoder):
    settings = {"encoder": tiny_encoder, "max_length": 64, **options}
    with pytest.raises(TransferlabError, match=match):
        TaskDataModule("demo_sentences", **settings)


# tasks, heads, strategies ------------------------------------------------------------------------------------------


def first_logits(model, batch):
    model.eval()
    with torch.no_grad():
        logits = list(model(batch))
    if batch.words is not None:
        # rows are padded to the words of their batch
        logits = [row[mask] for row, mask in zip(logits, batch.word_mask, strict=True)]
    return dict(zip(batch.index.tolist(), logits, strict=True))


@pytest.mark.parametrize("head", ["linear", "bilstm"])
@pytest.mark.parametrize("kind", ["classification", "pairs", "regression", "tagging", "windows"])
def test_logits_of_every_kind_of_task(kind, head, data, tiny_encoder):
    """Of tagging at a length that cuts some words off: an LSTM over words reads their vectors too."""
    padded = data(kind, batch_size=8, max_length=16 if kind in {"windows", "tagging"} else 64)
    assert kind != "tagging" or CUT in padded.encoded("train").words.values
    packed = copy.copy(padded)
    packed.packed = packed.static_shape = True
    packed.max_tokens = None if kind == "windows" else 256
    model = FullFineTuning(padded.spec, tiny_encoder, HeadConfig(kind=head))
    expected = {}
    for batch in padded.loader("train", np.arange(20)):
        expected |= first_logits(model, batch)
    for shuffle in (True, False):
        got = {}
        for batch in packed.loader("train", np.arange(20), shuffle=shuffle):
            assert batch.packing is not None
            assert not (shuffle and kind != "windows") or batch.input_ids.shape == (1, 256)
            got |= first_logits(model, batch)
        assert got.keys() == expected.keys() == set(range(20))
        for row, logits in got.items():
            torch.testing.assert_close(logits, expected[row], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["classification", "tagging"])
def test_a_packed_run_learns_as_a_padded_one(kind, data, tiny_encoder, fit):
    encoder = EncoderConfig(tiny_encoder.name, dropout=0.0)
    losses = []
    for options in ({}, {"packed": True}, {"packed": True, "max_tokens": 640, "batch_size": 10}):
        module = data(kind, encoder=encoder, **{"batch_size": 40, **options})
        torch.manual_seed(0)
        model = ParameterEfficient(module.spec, encoder, head=HeadConfig(dropout=0.0))
        fit(model, module, max_epochs=2)
        model.eval()
        with torch.no_grad():
            batch = next(iter(module.whole_split("test")))
            losses.append(float(model.loss(model(batch), batch)))
    # one batch of all rows is the same step, packed or not
    assert math.isclose(losses[0], losses[1], rel_tol=1e-4)
    assert math.isfinite(losses[2])


@pytest.mark.parametrize("kind", ["classification", "tagging"])
def test_frozen_values_are_read_padded(kind, data, tiny_encoder):
    """Features and hidden states are those of a padded run, whatever the rows of other splits look like."""
    logits = []
    for options in ({}, {"packed": True, "max_tokens": 128}):
        module = data(kind, **{"batch_size": 8, **options})
        torch.manual_seed(0)
        model = FeatureExtraction(module.spec, tiny_encoder, HeadConfig(kind="bilstm"))
        wrapped = model.wrap_data(module)
        found = {}
        for batch in wrapped.val_dataloader():
            assert batch.features is not None
            assert batch.packing is None
            found |= first_logits(model, batch)
        logits.append(found)
    assert logits[0].keys() == logits[1].keys()
    for row, expected in logits[0].items():
        torch.testing.assert_close(logits[1][row], expected)


def test_a_teacher_reads_padded_rows(data, tiny_encoder):
    module = data("classification", packed=True)
    assert not module.with_encoder(tiny_encoder).packed
    assert module.packed
