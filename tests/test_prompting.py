"""Prompting: patterns and words by hand, calibration, demonstrations, soft prompts, and what is refused."""

from pathlib import Path

import lightning as L
import pytest
import torch
from conftest import build_bert, logits_of

from transferlab.config import experiments
from transferlab.encoders import EncoderConfig
from transferlab.encoders.loading import load_tokenizer
from transferlab.ground.errors import TransferlabError
from transferlab.learning.steady import Steady
from transferlab.strategies import Prompting
from transferlab.strategies.patterns import cut, layout_of, word_tokens, written_out
from transferlab.tasks.augmentation import Augment

ROOT = Path(__file__).parents[1]
WORDS = {"0": ("terrible",), "1": ("great", "by my")}
PAIR = "{a} ? {mask} , {b}"


@pytest.fixture(scope="module")
def encoder(language_folder):
    return EncoderConfig(str(language_folder))


@pytest.fixture(scope="module")
def tokenizer(encoder):
    return load_tokenizer(encoder)


@pytest.fixture(scope="module")
def language(encoder):
    """The model of transformers, from which expectations are computed."""
    from transformers import AutoModelForMaskedLM

    return AutoModelForMaskedLM.from_pretrained(encoder.name).eval()


def words_of(module):
    return dict(zip(module.spec.labels, WORDS.values(), strict=True))


def build(module, encoder, **options):
    return Prompting(module.spec, encoder, **{"words": words_of(module), **options})


def texts_of(module, split):
    rows = module.rows(split).rows
    return [[rows[column][number] for column in module.source.text] for number in range(len(rows))]


def ids_of(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@torch.no_grad()
def by_hand(language, tokenizer, sequence):
    """Logits of terrible, and of great with "by my", at the mask of a written sequence with its special tokens."""
    ids = torch.tensor([sequence if isinstance(sequence, list) else ids_of(tokenizer, sequence)])
    at = language(input_ids=ids).logits[0, ids[0].tolist().index(tokenizer.mask_token_id)]
    terrible, great, by, my = (at[tokenizer.convert_tokens_to_ids(word)] for word in ("terrible", "great", "by", "my"))
    return torch.stack([terrible, (great + (by + my) / 2) / 2])


def test_logits_are_those_of_the_words_at_the_mask(data, encoder, language, tokenizer):
    for kind, pattern in (("classification", "{text} It was {mask}."), ("pairs", PAIR)):
        module = data(kind, encoder)
        model = build(module, encoder, pattern=pattern).eval()
        batch = module.encoded("test").collate([0, 1, 2, 3])
        expected = []
        for a, *b in texts_of(module, "test")[:4]:
            filled = pattern.format(text=a, a=a, b="".join(b), mask="[MASK]")
            expected.append(by_hand(language, tokenizer, f"[CLS] {filled} [SEP]"))
        torch.testing.assert_close(logits_of(model, batch), torch.stack(expected), atol=1e-5, rtol=1e-5)


FAMILIES = {
    "roberta": {"pad_token_id": 0, "max_position_embeddings": 66},
    "modernbert": {"global_attn_every_n_layers": 1, "pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3},
    "distilbert": {},
    "albert": {"embedding_size": 16},
    "electra": {"embedding_size": 16},
    "deberta-v2": {"legacy": False},
    "mpnet": {"max_position_embeddings": 66},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_heads_of_other_families_are_asked_too(family, data, tokenizer, tmp_path):
    from transformers import AutoConfig, AutoModelForMaskedLM

    sizes = {"vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"intermediate_size": 64, "max_position_embeddings": 64, "initializer_range": 0.2}
    config = AutoConfig.for_model(family, **{**sizes, **FAMILIES[family]})
    language = AutoModelForMaskedLM.from_config(config).eval()
    language.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    module = data("classification", EncoderConfig(str(tmp_path)), max_length=32)
    model = build(module, module.encoder)
    assert model.layout.longest <= 66
    split = module.encoded("test")
    expected = []
    for row in range(3):
        # as it was tokenised, without the special token at the end
        kept = split.ids.row(row).tolist()[:-1]
        expected.append(by_hand(language, tokenizer, [*kept, *ids_of(tokenizer, "It was [MASK]. [SEP]")]))
    torch.testing.assert_close(logits_of(model, split.collate([0, 1, 2])), torch.stack(expected), atol=1e-4, rtol=1e-4)
    embeddings = model.encoder.backbone.get_input_embeddings()
    if family == "deberta-v2":
        # its head multiplies by the embeddings themselves
        assert model.head.language._given.embeddings.word_embeddings is embeddings
    else:
        assert model.head.language.model.get_output_embeddings().weight is embeddings.weight


def test_texts_are_cut_and_never_the_pattern(data, encoder, tokenizer):
    module = data("classification", encoder)
    model = build(module, encoder)
    long, layout = list(range(40, 44)) * 50, model.layout
    ids, place = layout.sequence([long])
    assert len(ids) == layout.longest == 128
    assert ids[place] == tokenizer.mask_token_id
    assert tokenizer.decode(ids[place - 2 :]) == "it was [MASK] . [SEP]"
    assert [len(part) for part in cut([long, long[:10]], 50)] == [40, 10]
    assert [len(part) for part in cut([long[:60], long], 51)] == [26, 25]
    assert [len(part) for part in cut([long, long], 0)] == [0, 0]
    demonstrations = [layout.demonstration([long], [5], 2) for _ in range(2)]
    ids, place = layout.sequence([long], demonstrations)
    assert len(ids) == 128
    assert ids.count(tokenizer.mask_token_id) == 1
    # all three share the room
    assert max(len(one) for one in demonstrations) + 1 <= 126 // 3
    assert place - 1 > 126 // 3 - 6


@pytest.mark.parametrize("family", ["roberta", "albert", "modernbert"])
def test_pieces_of_a_pattern_are_those_of_the_whole_sentence(family):
    """Byte-level and Metaspace tokenizers tell a word behind a blank from one without."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    sentence = "fine It was great. Yes, no"
    if family == "albert":
        backend = Tokenizer(
            models.WordLevel(
                {
                    t: n
                    for n, t in enumerate(
                        [
                            "<unk>",
                            "<s>",
                            "</s>",
                            "<mask>",
                            "▁fine",
                            "▁It",
                            "▁was",
                            "▁great",
                            ".",
                            "▁Yes",
                            ",",
                            "▁no",
                            "▁a",
                            ".",
                        ]
                    )
                },
                unk_token="<unk>",
            )
        )
        backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    else:
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        vocabulary = {t: n for n, t in enumerate(["<unk>", "<s>", "</s>", "<mask>", *alphabet])}
        backend = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, mask_token="<mask>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    whole = tokenizer(sentence, add_special_tokens=False)["input_ids"]
    start = tokenizer("fine", add_special_tokens=False)["input_ids"]
    pieces = [
        written_out(" It was ", tokenizer),
        word_tokens("great", tokenizer, True),
        written_out(". Yes, no", tokenizer),
    ]
    assert [*start, *(number for piece in pieces for number in piece)] == whole
    layout, blank = layout_of("{a} ? {mask} , {b}", tokenizer, 40)
    assert blank
    texts = [[4, 5, 6], [7]]
    asked = [1, *texts[0], 2, 2, *texts[1], 2]
    assert layout.split(asked, None) == texts
    assert layout.split([1, 2, 2, 2], None) == [[], []]


def test_zero_shot_is_calibrated_by_texts_without_content(data, encoder, language, tokenizer, fit):
    module = data("classification", encoder)
    model = build(module, encoder, tune="none")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.wrap_data(module)
    trainer = fit(model, module, max_epochs=3, limit_train_batches=None)
    assert trainer.global_step == 1
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"head.prior"} == model.learned()
    free = [f"[CLS] {text} It was [MASK]. [SEP]" for text in ("N/A", "[MASK]", "")]
    # the place of the text is the first mask, that of the word the last one
    ids = [tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"] for text in free]
    names = tokenizer.convert_tokens_to_ids(["terrible", "great", "by", "my"])
    with torch.no_grad():
        at = [language(input_ids=one).logits[0, one.shape[1] - 3, names] for one in ids]
    z = torch.stack([torch.stack([one[0], (one[1] + (one[2] + one[3]) / 2) / 2]) for one in at])
    prior = z.softmax(-1).mean(0)
    torch.testing.assert_close(model.head.prior.exp(), prior, atol=1e-5, rtol=1e-5)
    a, *_ = texts_of(module, "test")[0]
    expected = by_hand(language, tokenizer, f"[CLS] {a} It was [MASK]. [SEP]").softmax(-1) / prior
    found = logits_of(model, module.encoded("test").collate([0])).softmax(-1)[0]
    torch.testing.assert_close(found, expected / expected.sum(), atol=1e-5, rtol=1e-5)
    plain = build(module, encoder, tune="none", calibrate=False)
    plain.wrap_data(module)
    fit(plain, module, limit_train_batches=None)
    assert not plain.head.prior.any()


def test_demonstrations_stand_behind_the_text(data, encoder, language, tokenizer, fit, tmp_path):
    module = data("classification", encoder)
    model = build(module, encoder, demonstrations=3)
    assert model.wrap_data(module) is module
    first, second = model._demonstrations
    rows, labels = module.part_rows("train")[1].tolist(), module.encoded("train").labels
    for number, label in enumerate((first, second)):
        drawn = [one[0] for one in label]
        assert len(set(drawn)) == 3
        assert set(drawn) <= set(rows)
        assert {int(labels[row]) for row in drawn} == {number}
    assert [[one[0] for one in label] for label in build_again(module, encoder)] == [
        [one[0] for one in label] for label in (first, second)
    ]
    a, *_ = texts_of(module, "test")[0]
    train = texts_of(module, "train")
    expected = []
    for one, other in zip(first, second, strict=True):
        behind = []
        for row, word in ((one[0], "terrible"), (other[0], "great")):
            # a third of 126 leaves 37 beside "it was great." and the token behind it
            behind += ids_of(tokenizer, train[row][0])[: 126 // 3 - 5] + ids_of(tokenizer, f"It was {word}. [SEP]")
        kept = ids_of(tokenizer, a)[: 126 - 4 - len(behind)]
        expected.append(by_hand(language, tokenizer, [2, *kept, *ids_of(tokenizer, "It was [MASK]. [SEP]"), *behind]))
    expected = torch.stack(expected).mean(0)
    batch = module.encoded("test").collate([0])
    torch.testing.assert_close(logits_of(model.eval(), batch)[0], expected, atol=1e-5, rtol=1e-5)
    own = first[1][0]
    for step in range(3):
        # with a step of 0 the turn of row r is r mod 3
        assert model._turn(own + 3 * step, first) == first[own % 3][1:] if step else True
    assert all(model._turn(one[0], first) != one[1:] for one in first)
    trainer = fit(model, module)
    trainer.save_checkpoint(tmp_path / "best.ckpt", weights_only=True)
    stored = torch.load(tmp_path / "best.ckpt", weights_only=True)
    fresh = build(module, encoder, demonstrations=3)
    with pytest.raises(TransferlabError, match="none were drawn"):
        logits_of(fresh, batch)
    fresh.on_load_checkpoint(stored)
    fresh.load_state_dict(stored["state_dict"], strict=False)
    torch.testing.assert_close(logits_of(fresh, batch), logits_of(model, batch), atol=0, rtol=0)


def test_a_script_may_validate_before_it_trains(data, encoder):
    module = data("classification", encoder)
    model = build(module, encoder, demonstrations=3)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "limit_val_batches": 1}
    L.Trainer(accelerator="cpu", devices=1, **quiet).validate(model, module, verbose=False)
    assert model._demonstrations == build_again(module, encoder)


def build_again(module, encoder):
    model = build(module, encoder, demonstrations=3)
    model.wrap_data(module)
    return model._demonstrations


def test_fine_tuning_keeps_the_head_tied_to_the_embeddings(data, encoder, fit):
    module = data("pairs", encoder)
    model = build(module, encoder, pattern=PAIR)
    embeddings = model.encoder.backbone.get_input_embeddings().weight
    output = model.head.language.model.get_output_embeddings()
    assert output.weight is embeddings
    before = embeddings.detach().clone()
    fit(model, module)
    assert output.weight is model.encoder.backbone.get_input_embeddings().weight
    assert not torch.equal(before, output.weight)
    assert not model.head.prior.any()
    model.loss(model(batch := module.encoded("test").collate([0, 1])), batch).backward()
    assert {name for name, p in model.named_parameters() if p.requires_grad and p.grad is None} == set()


def test_soft_prompts_start_as_the_pattern_and_learn_alone(data, encoder, fit):
    module = data("classification", encoder)
    hard, soft = build(module, encoder).eval(), build(module, encoder, tune="soft").eval()
    batch = module.encoded("test").collate([0, 1, 2])
    torch.testing.assert_close(logits_of(soft, batch), logits_of(hard, batch), atol=1e-6, rtol=1e-6)
    before = {name: value.clone() for name, value in soft.state_dict().items()}
    fit(soft, module)
    moved = {name for name, value in soft.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == soft.learned() == {"encoder.backbone.embeddings.word_embeddings.rows"}
    # "it was" and "." of the pattern, and two in front
    more = build(module, encoder, tune="soft", soft_tokens=2)
    assert more.encoder.backbone.get_input_embeddings().rows.shape == (5, 32)
    assert more.layout.sequence([[7]])[0][1:3] == [soft.layout.parts[1][0], soft.layout.parts[1][1]]


def test_windows_are_averaged(data, encoder):
    module = data("windows", encoder)
    model = build(module, encoder).eval()
    split = module.encoded("test")
    row = int(split.windows.lengths.argmax())
    batch = split.collate([row])
    assert len(batch.documents) > 1
    with torch.no_grad():
        parts = model.head(model.asked(batch))
    shares = batch.weights / batch.weights.sum()
    torch.testing.assert_close(logits_of(model, batch)[0], (parts * shares[:, None]).sum(0), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pattern": "It was {mask}."}, "needs {mask} once and the text once"),
        ({"pattern": "{a} {c} {mask}"}, "it has {a}, {c}, {mask}"),
        ({"pattern": "{a} " + "very " * 130 + "{mask}"}, "leave no room"),
        ({"words": {"0": ("a",)}}, "name a word for each"),
        ({"words": {"0": ("a",), "1": ("a",)}}, "the same words"),
        ({"words": {"0": ("a",), "1": ("☃",)}}, "does not know '☃'"),
        ({"soft_tokens": 2, "tune": "none"}, "model.soft_tokens"),
        ({"steady": Steady(r_drop=1.0), "tune": "none"}, "model.steady.r_drop"),
        ({"calibrate": True}, "model.calibrate"),
        ({"demonstrations": 1}, "stand behind itself"),
        ({"pattern": "{a}{mask}", "tune": "soft"}, "set model.soft_tokens"),
    ],
)
def test_keys_that_do_not_fit_are_refused(options, message, data, encoder):
    module = data("classification", encoder)
    if "words" in options:
        options = {**options, "words": dict(zip(module.spec.labels, options["words"].values(), strict=False))}
    with pytest.raises(TransferlabError, match=message):
        build(module, encoder, **options)


def test_what_has_no_head_for_masked_words_is_refused(data, encoder, tiny_encoder, tmp_path):
    module, packed = data("classification", encoder), data("classification", encoder, packed=True)
    with pytest.raises(TransferlabError, match=r"no pretrained head for masked words \(cls.predictions.*bert_base"):
        build(data("classification"), tiny_encoder)
    build_bert(tmp_path / "other", model="BertForSequenceClassification")
    with pytest.raises(TransferlabError, match="no pretrained head"):
        build(module, EncoderConfig(str(tmp_path / "other")))
    for changed, message in (
        (EncoderConfig(encoder.name, architecture="bilstm"), "encoder.architecture: bilstm"),
        (EncoderConfig(encoder.name, architecture="random"), "encoder.architecture: random"),
        (EncoderConfig(encoder.name, layers="mix"), "encoder.layers"),
    ):
        with pytest.raises(TransferlabError, match=message):
            build(module, changed)
    with pytest.raises(TransferlabError, match="which tagging does not have"):
        Prompting(data("tagging", encoder).spec, encoder)
    copied = data("classification", encoder, augment=Augment())
    build(copied, encoder).wrap_data(copied)
    with pytest.raises(TransferlabError, match="leave data.augment out"):
        build(copied, encoder, demonstrations=2).wrap_data(copied)
    for other, wrong in ((data("pairs", encoder), "so the pattern needs {a} and {b}"), (packed, "data.packed")):
        model = build(other, encoder)
        with pytest.raises(TransferlabError, match=wrong):
            model.wrap_data(other)


@pytest.mark.parametrize("task", ["sst2", "imdb", "mrpc", "rte", "mnli"])
@pytest.mark.parametrize("name", ["bert_base", "roberta_base", "modernbert_base"])
def test_recipes_fit_their_tasks_and_every_encoder(task, name, tokenizer):
    from transferlab.tasks.table import TASKS

    tree = experiments.compose(f"prompting_{task}", ROOT, {"encoder": name})
    given = tree["model"]["init_args"]
    assert len(tree["encoder"]["revision"]) == 40
    layout, _ = layout_of(given["pattern"], tokenizer, 512)
    assert layout.texts == len(TASKS[task].text)
    assert set(given["words"]) == LABELS[task]


LABELS = {
    "sst2": {"negative", "positive"},
    "imdb": {"neg", "pos"},
    "mrpc": {"not_equivalent", "equivalent"},
    "rte": {"entailment", "not_entailment"},
    "mnli": {"entailment", "neutral", "contradiction"},
}
"""Names in the data sets themselves."""
