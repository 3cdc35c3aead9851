"""Encoders that read from left to right."""

import copy
import importlib.util
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import transformers
from test_encoders import FAMILIES, LAYERS, SIZES, backbone_of
from test_predictor import file_of, run_of, test_rows
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

import transferlab as tl
from transferlab.adapters import IA3, LoRA
from transferlab.encoders import Encoder, EncoderConfig, build_encoder, load_tokenizer
from transferlab.encoders.loading import PACKED, locate, reads_last_pieces
from transferlab.encoders.one_way import FAMILIES as ONE_WAY
from transferlab.encoders.one_way import positions
from transferlab.encoders.packing import enable_packing
from transferlab.ground.errors import TransferlabError
from transferlab.strategies import FullFineTuning, ParameterEfficient
from transferlab.strategies.effects import without_effect
from transferlab.strategies.forward import first_pieces
from transferlab.tasks import TaskDataModule
from transferlab.tasks.parts import CUT, word_positions
from transferlab.tasks.reading.arrow import Table
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.settings import Settings
from transferlab.tasks.spec import Source
from transferlab.tasks.tokenization import encode_split
from transferlab.use.export import command, facts
from transferlab.use.exported import Exported

TEXT = torch.tensor([5, 9, 13, 2])
SHORT = torch.tensor([7, 2])
families = pytest.mark.parametrize("family", sorted(ONE_WAY))


def encoder_of(family, **options):
    return Encoder(backbone_of(family), EncoderConfig(**{"pooling": "last", **options})).eval()


def padded(side):
    ids, mask = torch.zeros(2, 6, dtype=torch.long), torch.zeros(2, 6, dtype=torch.long)
    for row, text in enumerate((TEXT, SHORT)):
        place = slice(0, len(text)) if side == "right" else slice(6 - len(text), 6)
        ids[row, place], mask[row, place] = text, 1
    return ids, mask


@pytest.fixture
def byte_level(tmp_path):
    """Saves a byte-level tokenizer without special tokens around a text, as decoders have, and a tiny GPT-2."""
    return partial(save_decoder, tmp_path)


def save_decoder(root, family="gpt2", processor=None, eos="<|end|>"):
    """Saves the tokenizer and a tiny random decoder of a family into a folder below a root; returns its settings."""
    backend = Tokenizer(
        models.BPE({letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, [])
    )
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<|end|>", "<|begin|>"])
    backend.post_processor = processor or processors.ByteLevel(trim_offsets=False)
    folder = root / family
    transformers.PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=eos).save_pretrained(folder)
    sizes = SIZES | {"vocab_size": 260, "max_position_embeddings": 160} | FAMILIES[family]
    model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(family, **sizes))
    model.save_pretrained(folder)
    return EncoderConfig(str(folder), pooling="last")


# the mask alone tells where a text is ---------------------------------------------------------------------------------


def test_positions_are_counted_over_attended_tokens():
    assert positions(torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0]])).tolist() == [[0, 0, 0, 1], [0, 1, 2, 2]]


@families
@pytest.mark.parametrize("pooling", ["last", "mean"])
@torch.no_grad()
def test_alone_padded_right_and_padded_left_are_one(family, pooling):
    encoder = encoder_of(family, pooling=pooling)
    for side in ("right", "left"):
        ids, mask = padded(side)
        vectors = encoder.pool(encoder(ids, mask), mask)
        for row, text in enumerate((TEXT, SHORT)):
            ones = torch.ones(1, len(text), dtype=torch.long)
            alone = encoder.pool(encoder(text[None], ones), ones)[0]
            torch.testing.assert_close(vectors[row], alone, atol=1e-5, rtol=0)


@families
@torch.no_grad()
def test_a_token_has_seen_only_what_stands_before_it(family):
    encoder = encoder_of(family)
    other = TEXT.clone()
    other[2] = 40
    mask = torch.ones(1, 4, dtype=torch.long)
    one, two = encoder(TEXT[None], mask), encoder(other[None], mask)
    torch.testing.assert_close(one[:, :2], two[:, :2], atol=1e-6, rtol=0)
    assert (one[:, 3] - two[:, 3]).abs().max() > 1e-3


@families
@torch.no_grad()
def test_layers_below_and_above_give_the_whole(family):
    encoder = encoder_of(family)
    ids, mask = padded("right")
    inputs = {"input_ids": ids, "attention_mask": mask}
    whole = encoder(**inputs)
    for depth in range(1, LAYERS):
        states = encoder.below(depth, inputs)
        # above needs no token ids: the states stand for them
        given = inputs | {"input_ids": torch.zeros_like(ids)}
        torch.testing.assert_close(encoder.above(depth, states, given)[mask.bool()], whole[mask.bool()])
    torch.testing.assert_close(encoder(**inputs), whole)


@families
def test_packed_rows_are_refused(family):
    with pytest.raises(TransferlabError, match=rf"data\.packed: {family} reads from left to right"):
        enable_packing(backbone_of(family))


def test_the_first_token_is_refused(byte_level):
    with pytest.raises(TransferlabError, match=r"encoder\.pooling: cls reads the first token.* take last or mean"):
        build_encoder(replace(byte_level(), pooling="cls"))


@families
def test_no_keys_and_values_are_kept(family, byte_level):
    encoder = build_encoder(byte_level(family))
    assert encoder.backbone.config.use_cache is False
    out = encoder.backbone(input_ids=TEXT[None], attention_mask=torch.ones(1, 4, dtype=torch.long))
    assert out.past_key_values is None


# special tokens -------------------------------------------------------------------------------------------------------


def test_an_end_is_put_behind_where_asked_for(byte_level):
    config = byte_level()
    plain, ended = load_tokenizer(config), load_tokenizer(replace(config, append_eos=True))
    eos = plain.eos_token_id
    ids = plain("one two")["input_ids"]
    assert eos not in ids
    assert ended("one two")["input_ids"] == [*ids, eos]
    # it counts as one of the tokens that a text may have
    assert ended("one two", truncation=True, max_length=4)["input_ids"] == [*ids[:3], eos]
    assert ended.num_special_tokens_to_add() == 1


def test_an_end_in_the_text_is_text(byte_level):
    config = byte_level()
    tokenizer, encoder = load_tokenizer(config), build_encoder(config).eval()
    ids = torch.tensor(tokenizer(["ab<|end|>", "abc"], padding=False)["input_ids"])
    assert ids[0, -1] == tokenizer.eos_token_id
    mask = torch.ones_like(ids)
    tokens = encoder(ids, mask)
    torch.testing.assert_close(encoder.pool(tokens, mask), tokens[:, -1])


def test_the_texts_of_a_pair_are_parted(byte_level):
    config = byte_level()
    tokenizer = load_tokenizer(config)
    one, two = (tokenizer(text)["input_ids"] for text in ("ab", "cd"))
    assert tokenizer("ab", "cd")["input_ids"] == [*one, tokenizer.eos_token_id, *two]
    ended = load_tokenizer(replace(config, append_eos=True))
    assert ended("ab", "cd")["input_ids"] == [*one, tokenizer.eos_token_id, *two, tokenizer.eos_token_id]


def test_a_mark_of_the_tokenizer_itself_is_enough(byte_level):
    begin = processors.TemplateProcessing(
        single="<|begin|> $A", pair="<|begin|> $A <|begin|> $B", special_tokens=[("<|begin|>", 257)]
    )
    tokenizer = load_tokenizer(byte_level(processor=begin))
    one, two = (tokenizer(text)["input_ids"] for text in ("ab", "cd"))
    assert one[0] == 257
    assert tokenizer("ab", "cd")["input_ids"] == [*one, *two]


def test_an_end_that_is_not_there_is_refused(byte_level):
    config = byte_level(eos=None)
    with pytest.raises(
        TransferlabError, match=r"encoder\.append_eos: the tokenizer of \S+ has no end-of-sequence token"
    ):
        load_tokenizer(replace(config, append_eos=True))


def test_other_tokenizers_stay_as_they_are(tmp_path, tiny_encoder):
    tokenizer = load_tokenizer(tiny_encoder)
    assert tokenizer.convert_ids_to_tokens(tokenizer("a", "b")["input_ids"]) == ["[CLS]", "a", "[SEP]", "b", "[SEP]"]


# words ----------------------------------------------------------------------------------------------------------------


def test_positions_of_words_by_hand():
    pieces = [None, 0, 0, 1, 2, 2, 2, None]
    assert word_positions(pieces, 4) == [1, 3, 4, CUT]
    assert word_positions(pieces, 4, last=True) == [2, 3, 6, CUT]


def test_the_last_piece_of_a_word_stands_for_it(byte_level, tiny_encoder, tmp_path):
    config = byte_level()
    assert reads_last_pieces(config)
    assert not reads_last_pieces(replace(config, word_piece="first"))
    assert not reads_last_pieces(tiny_encoder)
    rows = Rows(Table.from_dict({"text": [["ab", "c", "def"]]}), "own")
    source = Source(files={"train": "x"}, kind="tagging")
    tokenizer = load_tokenizer(config, words=True)
    found = {
        (last, length): encode_split(rows, source, None, tokenizer, Settings(length, "head", last_pieces=last))
        for last in (False, True)
        for length in (64, 5)
    }
    # every letter is a piece
    assert found[False, 64].words.row(0).tolist() == [0, 2, 3]
    assert found[True, 64].words.row(0).tolist() == [1, 2, 5]
    # the last piece that was kept, where a word was cut inside
    assert found[True, 5].words.row(0).tolist() == [1, 2, 4]
    batch = found[True, 64].collate([0])
    tokens = torch.arange(6.0)[None, :, None]
    assert first_pieces(tokens, batch.words).flatten().tolist() == [1, 2, 5]
    assert len({split.fingerprint for split in found.values()}) == 4


# training ---------------------------------------------------------------------------------------------------------


@families
def test_recomputed_states_give_the_same_gradients(family):
    plain = encoder_of(family).train()
    again = copy.deepcopy(plain)
    again.backbone.activation_checkpointing_enable({"use_reentrant": False})
    ids, mask = padded("right")
    for encoder in (plain, again):
        # frozen embeddings give the recomputed part no gradient of its inputs
        encoder.backbone.get_input_embeddings().requires_grad_(False)
        torch.manual_seed(0)
        encoder.pool(encoder(ids, mask), mask).square().sum().backward()
    assert again.backbone.is_activation_checkpointing
    gradients = {name: p.grad for name, p in plain.named_parameters() if p.grad is not None}
    assert gradients.keys() == {name for name, p in again.named_parameters() if p.grad is not None}
    for name, parameter in again.named_parameters():
        if name in gradients:
            torch.testing.assert_close(parameter.grad, gradients[name], atol=1e-6, rtol=1e-5)


def test_the_key_asks_for_recomputed_states(byte_level):
    assert not build_encoder(byte_level()).backbone.is_activation_checkpointing
    assert build_encoder(replace(byte_level(), activation_checkpointing=True)).backbone.is_activation_checkpointing


def test_a_text_longer_than_the_positions_is_refused(byte_level, files):
    with pytest.raises(TransferlabError, match=r"data\.max_length: gpt2 reads at most 160 tokens, not 161"):
        TaskDataModule("mine", source=files["classification"], encoder=byte_level(), max_length=161).setup("fit")


@pytest.mark.parametrize("task", ["demo_answers", "demo_relations"])
def test_what_reads_both_sides_refuses_a_decoder(task, byte_level):
    with pytest.raises(TransferlabError, match=r"encoder\.name: gpt2 reads from left to right"):
        TaskDataModule(task, encoder=byte_level(), max_length=128).setup("fit")


def test_keys_that_change_nothing_are_told(tiny_encoder, data):
    task = data("classification", tiny_encoder).spec
    given = replace(tiny_encoder, architecture="random", load_in_4bit=True, word_piece="last")
    found = without_effect(given, tl.HeadConfig(), task)
    assert found.keys() == {"encoder.load_in_4bit", "encoder.word_piece"}


def test_four_bits_need_a_gpu_and_lora(byte_level, data, tiny_encoder):
    config, task = replace(byte_level(), load_in_4bit=True), data("classification", tiny_encoder).spec
    with pytest.raises(TransferlabError, match=r"encoder\.load_in_4bit: .* cannot be trained; use strategy/lora"):
        FullFineTuning(task, config)
    with pytest.raises(TransferlabError, match=r"encoder\.load_in_4bit: .* cannot be trained; use strategy/lora"):
        ParameterEfficient(task, config, IA3())
    if not torch.cuda.is_available():
        with pytest.raises(TransferlabError, match=r"encoder\.load_in_4bit: needs a CUDA GPU"):
            ParameterEfficient(task, config, LoRA())


# GGUF -----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_packaged_decoder_is_read_once(tmp_path, monkeypatch):
    pytest.importorskip("gguf")
    name = next(iter(PACKED))
    if importlib.util.find_spec(PACKED[name][0]) is None:
        pytest.skip("the package is not installed")
    monkeypatch.setenv("TRANSFERLAB_CACHE", str(tmp_path))
    locate.cache_clear()
    first = locate(name, None)
    times = {path.name: path.stat().st_mtime_ns for path in Path(first.target).iterdir()}
    locate.cache_clear()
    assert locate(name, None) == first
    assert {path.name: path.stat().st_mtime_ns for path in Path(first.target).iterdir()} == times
    encoder = build_encoder(EncoderConfig(name, pooling="last")).eval()
    assert encoder.content.weights
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    tokenizer = load_tokenizer(EncoderConfig(name, pooling="last"))
    ids = torch.tensor([tokenizer("The film is")["input_ids"]])
    assert encoder(ids, torch.ones_like(ids)).shape == (1, 3, 576)


def test_a_file_is_found_without_reading_it(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"no weights")
    name = str(tmp_path / "model.gguf")
    assert locate(name, None, unpack=False) == (name, None, f"file {name}")


def test_a_file_that_is_no_gguf_is_refused(tmp_path):
    pytest.importorskip("gguf")
    (tmp_path / "model.gguf").write_bytes(b"no weights")
    with pytest.raises(TransferlabError, match=r"encoder\.name: \S+model\.gguf cannot be read as GGUF"):
        build_encoder(EncoderConfig(str(tmp_path / "model.gguf")))
    assert not list((tmp_path / "cache").rglob("*.part"))


# use ------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classification", "tagging", "pairs"])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_an_exported_decoder_answers_as_the_run(family, kind, byte_level, files, tmp_path):
    way = (tl.ParameterEfficient, {"method": LoRA(r=2)}, {})
    run = run_of(tmp_path / "runs" / "py" / "one", files, byte_level(family), kind, way)
    text = files[file_of(kind)].text
    rows = [{column: row[column] for column in text} for row in test_rows(files, kind)]
    checks = command.export(run, "onnx", tmp_path / "onnx")
    assert all(check.passed and check.changed == 0 for check in checks)
    assert facts.read(tmp_path / "onnx").last_pieces == (kind == "tagging")
    mine, theirs = Exported(tmp_path / "onnx").predict(rows), tl.Predictor.load(run, device="cpu").predict(rows)
    assert [one["prediction"] for one in mine] == [one["prediction"] for one in theirs]
    with pytest.raises(TransferlabError, match=r"--format hf: transformers' classes for decoders"):
        command.export(run, "hf", tmp_path / "hf")
    if kind == "classification":
        checks = command.export(run, "sentence-transformers", tmp_path / "vectors")
        assert all(check.passed for check in checks)
        assert json.loads((tmp_path / "vectors/1_Pooling/config.json").read_text())["pooling_mode_lasttoken"]


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(ONE_WAY))
@pytest.mark.parametrize(
    "way",
    [
        (tl.FeatureExtraction, {"head": tl.HeadConfig(), "solver": "lbfgs"}, {}),
        (tl.FullFineTuning, {"top_layers": 1}, {}),
        (tl.ParameterEfficient, {"method": tl.PromptTuning(tokens=3)}, {}),
    ],
    ids=["frozen", "top layers", "prompt"],
)
def test_decoders_are_trained_in_every_way(family, way, byte_level, files, tmp_path):
    run = run_of(tmp_path / "runs" / "py" / "one", files, byte_level(family), "classification", way)
    texts = [row["text"] for row in test_rows(files, "classification")]
    predictor = tl.Predictor.load(run, device="cpu")
    together, alone = predictor.predict(texts), [predictor(text) for text in texts]
    assert [one["prediction"] for one in together] == [one["prediction"] for one in alone]
