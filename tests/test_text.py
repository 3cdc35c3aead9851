"""Texts that are written: prompts and targets, losses, generation."""

import json
import math
import shutil

import pytest
import torch
import torch.nn.functional as F
import transformers
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from transferlab.adapters import IA3, BitFit, Bottleneck, LoRA, PromptTuning
from transferlab.adapters.targets import resolve
from transferlab.encoders import EncoderConfig, build_encoder, tiny
from transferlab.encoders.language import check_room, generate, refuse_half, target_logits
from transferlab.encoders.layers import layer_groups
from transferlab.encoders.loading import load_tokenizer, locate
from transferlab.ground.errors import TransferlabError
from transferlab.learning import overwritten
from transferlab.learning.kinds import text
from transferlab.learning.kinds.text import TextScores, counted
from transferlab.learning.losses import example_losses, task_loss
from transferlab.strategies import FeatureExtraction, FromScratch, FullFineTuning, ParameterEfficient, writing
from transferlab.strategies.step import counts
from transferlab.strategies.writing import in_loop, logits_of, target_losses, written
from transferlab.tasks import TaskDataModule
from transferlab.tasks.batch import IGNORE, collate
from transferlab.tasks.generation import Generation, Search
from transferlab.tasks.texts import Form, encode, prompt_ids, refuse_emptied, target_ids

BASE = {"vocab_size": len(tiny.VOCABULARY), "pad_token_id": tiny.PAD, "eos_token_id": tiny.END, "bos_token_id": None}
SMALL = {
    "bart": {"d_model": 32, "encoder_layers": 2, "decoder_layers": 3, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    | {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 128}
    | {"decoder_start_token_id": tiny.END, "is_encoder_decoder": True, "forced_eos_token_id": None},
    "gpt2": {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 128}
    | dict.fromkeys(("embd_pdrop", "attn_pdrop", "resid_pdrop"), 0.0),
}
INPUTS = ["3 March 2021", "May 9, 1999", "the 1st of June 2020", "7"]
TARGETS = ["2021-03-03", "1999-05-09", "2020-06-01", "x"]
models = pytest.mark.parametrize("name", ["t5", "gpt2", "bart", "llama"])


@pytest.fixture(scope="module")
def config_of(tmp_path_factory):
    """A model that writes, by family, without weights."""

    def make(name, **facts):
        if f"embedded/{name}" in tiny.SHAPES and not facts:
            return EncoderConfig(f"embedded/{name}", architecture="random", pooling="last")
        folder = tmp_path_factory.mktemp(name)
        known = tiny.SHAPES.get(f"embedded/{name}") or {"model_type": name, **SMALL[name], **BASE}
        for file in ("tokenizer.json", "tokenizer_config.json"):
            place = locate("embedded/t5", None).target
            shutil.copy(f"{place}/{file}", folder / file)
        given = {key: value for key, value in (known | facts).items() if value != "left out"}
        (folder / "config.json").write_text(json.dumps(given))
        return EncoderConfig(str(folder), architecture="random", pooling="last")

    return make


def model_of(config):
    torch.manual_seed(0)
    return build_encoder(config, writes=True).backbone.eval()


def form_of(config, causal, length=64, truncation="head", **generation):
    return Form(load_tokenizer(config), ("input",), causal, length, truncation, Generation(**generation))


def split_of(config, causal, targets=TARGETS, **generation):
    references = targets and [[one] for one in targets]
    return encode({"input": INPUTS}, references, form_of(config, causal, **generation))


def is_causal(name):
    return name in ("gpt2", "llama")


# tokens ---------------------------------------------------------------------------------------------------------------


def test_prompts_lie_left_and_targets_right_where_a_decoder_goes_on(config_of):
    for name in ("t5", "gpt2"):
        batch = collate(split_of(config_of(name), is_causal(name)), [0, 3])
        edge = batch.attention_mask[:, -1 if is_causal(name) else 0]
        assert edge.tolist() == [1, 1]
        assert batch.labels[1].tolist() == [tiny.VOCABULARY["x"], tiny.END, *[IGNORE] * 9]
        assert batch.targets.references == (("2021-03-03",), ("x",))
        assert batch.tokens.tolist() == [len(INPUTS[0]) + is_causal(name) + 11, 1 + is_causal(name) + 2]


def test_the_end_is_learned_where_padding_is_the_end(config_of):
    config = config_of("gpt2")
    tokenizer = load_tokenizer(config)
    tokenizer.pad_token, kept = tokenizer.eos_token, tokenizer.pad_token
    try:
        split = split_of(config, True)
    finally:
        tokenizer.pad_token = kept
    batch = collate(split, [0, 3])
    assert split.pad_id == tiny.END
    assert (batch.labels == tiny.END).sum(1).tolist() == [1, 1]
    assert counts(batch).tolist() == [11, 2]


def test_labels_lie_right_whatever_the_side_of_the_tokenizer(config_of):
    tokenizer = load_tokenizer(config_of("t5"))
    tokenizer.padding_side, kept = "left", tokenizer.padding_side
    try:
        labels = collate(split_of(config_of("t5"), False), [0, 3]).labels
    finally:
        tokenizer.padding_side = kept
    assert labels[1, :2].tolist() == [tiny.VOCABULARY["x"], tiny.END]


def test_a_template_keeps_its_ends_where_its_text_is_cut(config_of):
    form = form_of(config_of("gpt2"), True, length=12, template="say {input}!")
    ids, cut = prompt_ids(form, {"input": "0123456789"})
    assert (form.tokenizer.decode(ids), cut) == ("say 0123456!", True)
    ids, _ = prompt_ids(form._replace(truncation="tail"), {"input": "0123456789"})
    assert form.tokenizer.decode(ids) == "say 3456789!"
    assert form.tokenizer.decode(prompt_ids(form, {"input": "{x} 1"})[0]) == "say {x} 1!"


@pytest.mark.parametrize(("truncation", "text"), [("head", "ab\U0001f600"), ("tail", "\U0001f600ab")])
def test_a_cut_through_the_bytes_of_a_character_takes_all_of_it(truncation, text):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(BPE({letter: number for number, letter in enumerate(alphabet)} | {"<end>": 256}, []))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<end>")
    # six bytes and a line break
    for length, left in ((7, text), (6, "ab"), (4, "ab"), (3, "ab")):
        ids, cut = prompt_ids(Form(tokenizer, ("input",), True, length, truncation, Generation()), {"input": text})
        assert (tokenizer.decode(ids), cut) == (f"{left}\n", length < 7)


def test_a_cut_target_still_ends(config_of):
    form = form_of(config_of("t5"), False, target_length=4)
    assert target_ids(form, ["abc", "abcd"]) == [
        ([*(tiny.VOCABULARY[letter] for letter in "abc"), tiny.END], False),
        ([*(tiny.VOCABULARY[letter] for letter in "abc"), tiny.END], True),
    ]


def test_targets_without_tokens_are_counted_and_refused(config_of):
    facts = split_of(config_of("t5"), False, ["a", "", "b", "c"]).facts["texts"]
    assert facts["emptied"] == 1
    with pytest.raises(TransferlabError, match="1 of 4 targets have no token but their end"):
        refuse_emptied(facts, "rows")
    refuse_emptied(facts | {"rows": 100}, "rows")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"template": "say it"}, "leaves out the text column 'input'"),
        ({"template": "{input} {other}"}, "there is no text column 'other'"),
        ({"chat": True}, "has no chat template"),
    ],
)
def test_prompts_that_cannot_be_written(config_of, options, message):
    with pytest.raises(TransferlabError, match=message):
        split_of(config_of("gpt2"), True, **options)


def test_a_chat_template_writes_its_one_start_and_the_reply_alone_is_learned(config_of):
    config = config_of("gpt2", n_layer=1)
    tokenizer = load_tokenizer(config)
    tokenizer.bos_token = "^"
    # the tokenizer puts a start before each text, and the template writes one too
    from tokenizers import processors

    start = tokenizer.convert_tokens_to_ids("^")
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="^ $A", pair="^ $A ^ $B", special_tokens=[("^", start)]
    )
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}<assistant>"
    )
    form = Form(tokenizer, ("messages",), True, 64, "head", Generation())
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yo"},
        {"role": "user", "content": "?"},
    ]
    split = encode({"messages": [messages]}, [["bye"]], form)
    assert tokenizer.decode(split.ids.row(0)) == "^<user>hi<assistant>yo<user>?<assistant>"
    assert split.ids.row(0).tolist().count(start) == 1
    assert split.labels.row(0).tolist() == [*(tiny.VOCABULARY[letter] for letter in "bye"), tiny.END]
    # a plain prompt that already begins with one
    plain = form._replace(columns=("input",), generation=Generation(template="^{input}"))
    assert prompt_ids(plain, {"input": "a"})[0] == [start, tiny.VOCABULARY["a"]]


# loading --------------------------------------------------------------------------------------------------------------


def test_a_model_without_a_token_to_start_with_is_refused(config_of):
    with pytest.raises(TransferlabError, match=r"no decoder_start_token_id.*T5 starts with the token of padding, 0"):
        build_encoder(config_of("t5", decoder_start_token_id="left out"), writes=True)


def test_a_model_that_only_reads_is_refused(tiny_encoder):
    with pytest.raises(TransferlabError, match="reads texts and writes none"):
        build_encoder(tiny_encoder, writes=True)


def test_a_checkpoint_without_a_head_is_refused(config_of):
    config = config_of("llama", tie_word_embeddings=False)
    whole = transformers.AutoModel.from_config(transformers.AutoConfig.from_pretrained(config.name))
    whole.save_pretrained(config.name)
    with pytest.raises(TransferlabError, match=r"lacks lm_head.weight"):
        build_encoder(EncoderConfig(config.name, pooling="last"), writes=True)


def test_positions_are_counted_before_anything_is_read(config_of):
    check_room(config_of("gpt2"), 100, 28)
    with pytest.raises(TransferlabError, match=r"128 positions for prompt and target together, and 100 \+ 29"):
        check_room(config_of("gpt2"), 100, 29)
    with pytest.raises(TransferlabError, match=r"data.generation.target_length: .* has 128 positions, not 129"):
        check_room(config_of("bart"), 128, 129)
    check_room(config_of("t5"), 10_000, 10_000)


def test_float16_is_refused_for_t5(config_of):
    with pytest.raises(TransferlabError, match="16-mixed gives t5 losses that are no numbers"):
        refuse_half(model_of(config_of("t5")), "16-mixed")
    refuse_half(model_of(config_of("t5")), "bf16-mixed")
    refuse_half(model_of(config_of("gpt2")), "16-mixed")


@models
def test_layers_lie_from_the_embeddings_up_to_what_writes(config_of, name):
    groups = [{part for part, _ in group} for group in layer_groups(model_of(config_of(name)))]
    assert len(groups) == {"t5": 5, "bart": 6, "gpt2": 4, "llama": 4}[name]
    norm = {"t5": "decoder.final_layer_norm.weight", "bart": "model.decoder.layernorm_embedding.weight"}
    top = norm.get(name) or {"gpt2": "transformer.ln_f.weight", "llama": "model.norm.weight"}[name]
    assert any("embed" in part or "wte" in part or "shared" in part for part in groups[0])
    assert (top in groups[-1]) == (name != "bart")
    assert all(groups)


# loss -----------------------------------------------------------------------------------------------------------------


@models
@torch.no_grad()
def test_logits_of_a_text_alone_are_those_in_a_batch(config_of, name):
    config = config_of(name)
    split, model = split_of(config, is_causal(name)), model_of(config)
    batch = collate(split, range(4))
    together = target_logits(model, batch.input_ids, batch.attention_mask, batch.labels)
    for row in range(4):
        one = collate(split, [row])
        alone = target_logits(model, one.input_ids, one.attention_mask, one.labels)[0]
        torch.testing.assert_close(together[row, : len(alone)], alone, atol=1e-5, rtol=0)


@models
@torch.no_grad()
def test_the_loss_is_that_of_transformers(config_of, name):
    config = config_of(name)
    split, model = split_of(config, is_causal(name)), model_of(config)
    batch = collate(split, [0])
    logits = target_logits(model, batch.input_ids, batch.attention_mask, batch.labels)
    if is_causal(name):
        whole = torch.cat([batch.input_ids, batch.labels], 1)
        labels = whole.clone()
        labels[:, : batch.input_ids.shape[1]] = IGNORE
        want = model(input_ids=whole, labels=labels).loss
    else:
        want = model(input_ids=batch.input_ids, labels=batch.labels).loss
    torch.testing.assert_close(task_loss("text", logits, batch.labels), want)


@models
def test_a_step_of_two_batches_is_that_of_one(config_of, name):
    config = config_of(name)
    split, model = split_of(config, is_causal(name)), model_of(config)
    gradients = []
    for parts in ([range(4)], [[0, 1, 2], [3]]):
        batches = [collate(split, part) for part in parts]
        tokens = sum(int(counts(batch).sum()) for batch in batches)
        for batch in batches:
            logits = target_logits(model, batch.input_ids, batch.attention_mask, batch.labels)
            (task_loss("text", logits, batch.labels) * counts(batch).sum() / tokens).backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
        model.zero_grad()
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_smoothing_counts_real_tokens_only():
    logits = torch.randn(2, 3, 5)
    labels = torch.tensor([[1, 2, 3], [4, IGNORE, IGNORE]])
    flat = logits.flatten(0, 1)[(labels != IGNORE).flatten()]
    real = labels[labels != IGNORE]
    want = 0.9 * F.cross_entropy(flat, real) + 0.1 * (-flat.log_softmax(-1).mean(-1) - math.log(5)).mean()
    torch.testing.assert_close(task_loss("text", logits, labels, smoothing=0.1), want)
    longer = torch.cat([labels, torch.full((2, 2), IGNORE)], 1), torch.cat([logits, torch.randn(2, 2, 5)], 1)
    torch.testing.assert_close(task_loss("text", longer[1], longer[0], smoothing=0.1), want)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gradient_of_many_logits_takes_their_place(dtype, monkeypatch):
    monkeypatch.setattr(overwritten, "PART", 3 * 50)
    labels = torch.randint(50, (4, 5)).masked_fill(torch.rand(4, 5) < 0.3, IGNORE)
    given = torch.randn(4, 5, 50, dtype=dtype).mul(3).requires_grad_()
    want = F.cross_entropy(given.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORE, reduction="sum")
    (expected,) = torch.autograd.grad(0.7 * want, given)
    logits, seen = given * 1, []
    logits.register_hook(seen.append)
    loss = overwritten.overwritten_loss(logits, labels)
    (gradient,) = torch.autograd.grad(0.7 * loss, given)
    torch.testing.assert_close(loss, want)
    torch.testing.assert_close(gradient, expected)
    assert seen[0].data_ptr() == logits.data_ptr()


def test_logits_that_are_needed_for_a_gradient_are_not_overwritten_in_silence():
    given = torch.randn(2, 3, 5, requires_grad=True)
    loss = overwritten.overwritten_loss(torch.tanh(given), torch.ones(2, 3, dtype=torch.long))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_only_the_last_reader_overwrites_logits(monkeypatch):
    monkeypatch.setattr(text, "LARGE", 0)
    given, labels = torch.randn(2, 3, 5, requires_grad=True), torch.ones(2, 3, dtype=torch.long)
    for options, kept in (({}, True), ({"last": True, "smoothing": 0.1}, True), ({"last": True}, False)):
        logits = given * 1
        before = logits.detach().clone()
        task_loss("text", logits, labels, **options)
        assert torch.equal(logits.detach(), before) == kept


@models
@torch.no_grad()
def test_losses_of_an_evaluation_are_the_same_in_parts(config_of, name, monkeypatch):
    config = config_of(name)
    split, model = split_of(config, is_causal(name)), model_of(config)
    batch = collate(split, range(4))
    whole = target_losses(model, batch)
    torch.testing.assert_close(whole, example_losses("text", logits_of(model, batch), batch.labels))
    monkeypatch.setattr(writing, "LOGITS", 1)
    torch.testing.assert_close(target_losses(model, batch), whole)


def test_perplexity_is_that_of_all_tokens(config_of):
    config = config_of("t5")
    task = TaskDataModule("demo_dates", config, max_length=64, generation=Generation(max_new_tokens=4)).spec
    metric, logits = TextScores(task), torch.randn(4, 11, 99)
    batch = collate(split_of(config, False), range(4))
    for rows in ([0], [1, 2, 3]):
        part, tokens = batch.labels[rows], counts(batch)[rows]
        sums = example_losses("text", logits[rows], part) * tokens
        outputs = {"texts": ["x"], "ends": ["cut"], "places": torch.tensor([0]), "references": [["x"]]}
        metric.update(counted(task, outputs, sums, tokens), part)
    values = metric.compute()
    want = F.cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORE).exp()
    torch.testing.assert_close(values["perplexity"].float(), want)
    assert [float(values[name]) for name in ("exact_match", "cut", "endless", "empty")] == [1, 1, 0, 0]


# generation -----------------------------------------------------------------------------------------------------------


@models
def test_outputs_of_a_batch_are_those_of_single_inputs(config_of, name):
    config = config_of(name)
    split, model = split_of(config, is_causal(name), None), model_of(config)
    search = Search(8)
    together = written(model, load_tokenizer(config), collate(split, range(4)), search, some=False)
    alone = [written(model, load_tokenizer(config), collate(split, [row]), search, some=False) for row in range(4)]
    assert together.texts == [one.texts[0] for one in alone]
    assert together.new_tokens == [one.new_tokens[0] for one in alone]
    assert max(together.new_tokens) <= 8


def test_beams_and_the_settings_of_a_checkpoint(config_of):
    config = config_of("t5")
    split, model = split_of(config, False, None), model_of(config)
    batch = collate(split, range(2))
    # what a checkpoint brings along does not reach the search
    assert model.generation_config.max_length in (None, 20)
    found = generate(model, batch.input_ids, batch.attention_mask, Search(6, beams=2, length_penalty=0.5, no_repeat=2))
    assert found.shape[1] <= 6


def test_the_end_of_an_output():
    assert in_loop([1, 2, 3, 2, 3, 2, 3, 2, 3])
    assert in_loop([4] * 8)
    assert not in_loop([1, 2, 3, 4, 5, 6])
    assert not in_loop([2, 4, 4, 4])
    assert not in_loop([1, 2, 3, 2, 3, 2, 3])


@pytest.mark.parametrize("name", ["t5", "gpt2"])
def test_a_model_that_has_learned_stops_by_itself(config_of, name):
    config = config_of(name)
    split, model = split_of(config, is_causal(name)), model_of(config).train()
    batch = collate(split, range(4))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(60 if is_causal(name) else 150):
        loss = task_loss(
            "text", target_logits(model, batch.input_ids, batch.attention_mask, batch.labels), batch.labels
        )
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    found = written(model.eval(), load_tokenizer(config), batch, Search(30), some=False)
    assert found.texts == TARGETS
    assert found.ends == ["ended"] * 4


# data and strategies --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(config_of):
    return TaskDataModule(
        "demo_dates", config_of("t5"), max_length=64, generation=Generation(eval_rows=7, target_length=16)
    )


def test_the_training_targets_say_how_much_is_generated(data):
    assert data.spec.search == Search(max_new_tokens=11)
    assert data.encoded("train").facts["texts"] == {"rows": 4000, "inputs": 0, "targets": 0, "emptied": 0}


def test_outputs_are_generated_for_a_drawn_part_of_the_validation_set(data):
    drawn = sum(int(batch.generate.sum()) for batch in data.val_dataloader())
    assert drawn == 7
    again = torch.cat([batch.index[batch.generate] for batch in data.val_dataloader()])
    assert sorted(again.tolist()) == sorted(
        torch.cat([batch.index[batch.generate] for batch in data.val_dataloader()]).tolist()
    )


def test_a_question_of_parts_that_a_text_does_not_have(config_of):
    with pytest.raises(TransferlabError, match=r"data.packed: prompts and targets are padded"):
        TaskDataModule("demo_dates", config_of("t5"), packed=True, max_tokens=512)
    with pytest.raises(TransferlabError, match=r"data.generation: only texts are generated"):
        TaskDataModule("demo_sentences", config_of("t5"), generation=Generation())
    with pytest.raises(TransferlabError, match=r"length_penalty: a greedy search"):
        Generation(length_penalty=0.5)


@models
@pytest.mark.parametrize(
    "method", [LoRA(), IA3(), Bottleneck(size=4), Bottleneck(size=4, placement="houlsby"), BitFit()]
)
def test_methods_learn_beside_a_model_that_writes(config_of, data, name, method):
    config = config_of(name)
    if isinstance(method, BitFit) and name in ("t5", "llama"):
        with pytest.raises(TransferlabError, match="BitFit finds no bias"):
            ParameterEfficient(data.spec, config, method)
        return
    model = ParameterEfficient(data.spec, config, method)
    batch = collate(split_of(config, is_causal(name)), range(4))
    model.loss(model(batch), batch).backward()
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert learned
    assert all(parameter.grad is not None for parameter in learned)
    assert written(model.eval().encoder.backbone, load_tokenizer(config), batch, Search(3), some=False).texts


def test_targets_of_both_stacks(config_of):
    t5 = model_of(config_of("t5"))
    # four maps of two encoder layers, eight of two decoder layers
    assert len(resolve(t5, ["query", "key", "value", "attention_output"])) == 4 * 2 + 8 * 2
    assert len(resolve(t5, ["all"])) == 6 * 2 + 10 * 2
    assert all(name.startswith("decoder.block.1.") for name in resolve(t5, ["all"], top_layers=1))
    bart = model_of(config_of("bart"))
    assert len(resolve(bart, ["all"])) == 6 * 2 + 10 * 3
    assert len(resolve(model_of(config_of("gpt2")), ["query"])) == 3


def test_strategies_that_texts_do_not_have(config_of, data):
    with pytest.raises(TransferlabError, match="feature_extraction trains a new head"):
        FeatureExtraction(data.spec, config_of("t5"))
    with pytest.raises(TransferlabError, match="PromptTuning puts vectors"):
        ParameterEfficient(data.spec, config_of("t5"), PromptTuning())
    with pytest.raises(TransferlabError, match="reads texts and writes none"):
        FromScratch(data.spec, EncoderConfig())


def test_top_layers_of_an_encoder_decoder_are_those_of_the_decoder(config_of, data):
    model = FullFineTuning(data.spec, config_of("t5"), top_layers=1)
    assert all(
        name.startswith(("encoder.backbone.decoder.block.1.", "encoder.backbone.decoder.final"))
        for name in model.learned()
    )
