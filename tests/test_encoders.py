from dataclasses import replace

import pytest
import torch
from conftest import build_tokenizer
from torch import nn
from transformers import AutoConfig, AutoModel

from transferlab.adapters import targets
from transferlab.encoders import Encoder, EncoderConfig, build_encoder, load_tokenizer, padding
from transferlab.encoders.encoder import LayerMix, pool
from transferlab.encoders.layers import ABOVE, drop_top_layer, keep_layers, layer_groups, layer_list
from transferlab.encoders.loading import PACKAGES, locate, set_dropout
from transferlab.encoders.recurrent import RecurrentBackbone
from transferlab.ground.errors import TransferlabError

LAYERS = 4
SIZES = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 48,
    "pad_token_id": 0,
    "initializer_range": 0.2,
}
FAMILIES = {
    "bert": {},
    "roberta": {},
    "distilbert": {"dim": 32, "hidden_dim": 64, "n_layers": LAYERS, "n_heads": 4},
    "mpnet": {},
    "electra": {"embedding_size": 16},
    "deberta-v2": {
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 16,
        "type_vocab_size": 0,
        "position_biased_input": False,
    },
    "modernbert": {"bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2},
    "albert": {"embedding_size": 16},
    "gpt2": {"n_inner": 64},
    "llama": {"num_key_value_heads": 2},
    "qwen2": {"num_key_value_heads": 2},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 8},
    "ernie": {},
    "rembert": {"input_embedding_size": 16, "bos_token_id": 1, "eos_token_id": 2},
    "deberta": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False},
    "eurobert": {"num_key_value_heads": 2, "head_dim": 8, "bos_token_id": 1, "eos_token_id": 2, "mask_token_id": 3},
    "nomic_bert": {},
    "gte": {},
    "jina_embeddings_v3": {},
    "modernbert-decoder": {"bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2},
}
for _family in ("gpt2", "llama", "qwen2", "qwen3"):
    FAMILIES[_family] |= {"bos_token_id": 1, "eos_token_id": 2}
SEPARATE = [name for name in FAMILIES if name != "albert"]
IDS = torch.tensor([[1, 5, 9, 13, 2], [1, 7, 2, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


def backbone_of(family):
    torch.manual_seed(0)
    model = AutoModel.from_config(AutoConfig.for_model(family, **SIZES, **FAMILIES[family])).eval()
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    return model


def encoder_of(family, **options):
    return Encoder(backbone_of(family), EncoderConfig(**options)).eval()


def states_of(backbone):
    with torch.no_grad():
        return backbone(input_ids=IDS, attention_mask=MASK, output_hidden_states=True).hidden_states


def tokens_of(encoder):
    with torch.no_grad():
        return encoder(IDS, MASK)


@pytest.fixture
def saved(tmp_path):
    """Saves a tiny model of a family with a tokenizer, and names the folder."""

    def save(family):
        build_tokenizer(tmp_path / family)
        backbone_of(family).save_pretrained(tmp_path / family)
        return EncoderConfig(str(tmp_path / family))

    return save


# padding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [*FAMILIES, "xlm-roberta", "camembert"])
def test_families_of_the_map_leave_padding_out(family, monkeypatch):
    monkeypatch.setattr(padding, "FAMILIES", ())
    padding.refuse_reading_padding(
        backbone_of(family) if family in FAMILIES else AutoModel.from_config(AutoConfig.for_model(family, **SIZES))
    )


def test_every_family_of_the_map_was_looked_at():
    writers = {"t5", "mt5", "umt5", "bart", "mbart", "marian", "pegasus"}
    assert set(targets.FAMILIES) == {*FAMILIES, "xlm-roberta", "camembert", *writers}


@pytest.mark.parametrize(
    ("family", "options"), [("convbert", {"embedding_size": 16, "conv_kernel_size": 3}), ("fnet", {})]
)
def test_an_encoder_that_reads_padding_is_refused(family, options, tmp_path):
    said = f"family '{family}' read padding"
    model = AutoModel.from_config(AutoConfig.for_model(family, **SIZES, **options))
    model.embeddings.train()
    with pytest.raises(TransferlabError, match=said):
        padding.refuse_reading_padding(model)
    # left as it was
    assert model.embeddings.training
    model.save_pretrained(tmp_path)
    build_tokenizer(tmp_path)
    for architecture in ("pretrained", "random"):
        with pytest.raises(TransferlabError, match=said):
            build_encoder(EncoderConfig(str(tmp_path), architecture=architecture))


def test_an_unknown_family_that_leaves_padding_out_is_taken():
    model = AutoModel.from_config(AutoConfig.for_model("mobilebert", **SIZES, embedding_size=16))
    padding.refuse_reading_padding(model)


# layers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_groups_hold_every_parameter_once(family):
    backbone = backbone_of(family)
    groups = layer_groups(backbone)
    assert len(groups) == (LAYERS + 1 if family in SEPARATE else 2)
    names = [name for group in groups for name, _ in group]
    assert sorted(names) == sorted(name for name, _ in backbone.named_parameters())
    assert any("embeddings" in name or "embed_tokens" in name or "wte" in name for name, _ in groups[0])
    for depth, group in enumerate(groups[1:] if family in SEPARATE else []):
        inside = [name for name, _ in group if not name.startswith(ABOVE)]
        assert inside
        assert all(f".{depth}." in f".{name}" for name in inside)


def test_the_norm_behind_the_top_layer_belongs_to_it():
    groups = layer_groups(backbone_of("modernbert"))
    assert "final_norm.weight" in [name for name, _ in groups[-1]]


def test_the_groups_of_a_bilstm():
    groups = layer_groups(RecurrentBackbone(10, 4))
    assert [name for name, _ in groups[0]] == ["embeddings.weight"]
    assert all(name.startswith("lstm") for name, _ in groups[1])


@pytest.mark.parametrize("family", SEPARATE)
def test_kept_layers_are_those_layers(family):
    backbone, whole = backbone_of(family), backbone_of(family)
    keep_layers(backbone, (0, 2))
    assert backbone.config.num_hidden_layers == 2
    _, kept = layer_list(backbone)
    _, layers = layer_list(whole)
    for new, old in zip(kept, (layers[0], layers[2]), strict=True):
        assert new.state_dict().keys() == old.state_dict().keys()
        assert all(torch.equal(value, old.state_dict()[name]) for name, value in new.state_dict().items())
    assert len(layer_groups(backbone)) == 3
    # with the layers above taken away, the lower ones give what they gave
    head = backbone_of(family)
    keep_layers(head, (0, 1, 2))
    torch.testing.assert_close(states_of(head)[2], states_of(whole)[2])


@pytest.mark.parametrize("family", ["modernbert", "modernbert-decoder"])
def test_kept_layers_keep_their_reach(family, tmp_path):
    options = {"sliding_window": 4} if family == "modernbert-decoder" else {"local_attention": 4}
    types = ["full_attention", "sliding_attention", "full_attention", "sliding_attention"]
    config = AutoConfig.for_model(family, **SIZES, **FAMILIES[family], **options, layer_types=types)
    torch.manual_seed(0)
    config.use_cache = False
    backbone = AutoModel.from_config(config).eval()
    keep_layers(backbone, (0, 2))
    assert backbone.config.layer_types == ["full_attention", "full_attention"]
    ids = torch.arange(3, 33)[None]
    with torch.no_grad():
        expected = backbone(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    # read again, its layers are built from the configuration
    backbone.save_pretrained(tmp_path)
    with torch.no_grad():
        again = AutoModel.from_pretrained(tmp_path).eval()(input_ids=ids, attention_mask=torch.ones_like(ids))
    torch.testing.assert_close(again.last_hidden_state, expected)


def test_layers_that_are_not_there():
    with pytest.raises(TransferlabError, match=r"encoder\.keep_layers: no layer 4; there are 0 to 3"):
        keep_layers(backbone_of("bert"), (0, 4))
    with pytest.raises(TransferlabError, match="no separate layers"):
        keep_layers(backbone_of("albert"), (0,))


# what is read ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layers", ["last", "second_to_last", "sum_last_four", "concat_last_four", "mix"])
def test_fixed_variants_by_hand(family, layers):
    encoder = encoder_of(family, layers=layers)
    states = states_of(encoder.backbone)
    assert len(states) == LAYERS + 1
    expected = {
        "last": states[-1],
        "second_to_last": states[-2],
        "sum_last_four": states[1] + states[2] + states[3] + states[4],
        "concat_last_four": torch.cat(states[1:], -1),
        "mix": sum(states) / len(states),
    }[layers]
    tokens = tokens_of(encoder)
    assert tokens.shape == (2, 5, encoder.hidden_size)
    torch.testing.assert_close(tokens[MASK.bool()], expected[MASK.bool()], atol=1e-5, rtol=1e-5)


def test_layer_mix_by_hand():
    mix = LayerMix(3)
    with torch.no_grad():
        mix.scores.copy_(torch.tensor([0.0, 1.0, 2.0]))
        mix.gamma.fill_(0.5)
    states = tuple(torch.randn(2, 4, 8) for _ in range(3))
    shares = [torch.tensor(score).exp() for score in (0.0, 1.0, 2.0)]
    expected = 0.5 * sum(share / sum(shares) * state for share, state in zip(shares, states, strict=True))
    torch.testing.assert_close(mix(states), expected)
    assert mix.weights.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("layers", ["sum_last_four", "concat_last_four"])
def test_four_layers_are_needed(layers):
    backbone = backbone_of("bert")
    keep_layers(backbone, (0, 1, 2))
    with pytest.raises(TransferlabError, match=f"encoder.layers: {layers} needs four layers"):
        Encoder(backbone, EncoderConfig(layers=layers))


@pytest.mark.parametrize("family", FAMILIES)
def test_second_to_last_leaves_nothing_unread(family, saved):
    config = replace(saved(family), layers="second_to_last")
    encoder = build_encoder(config).eval()
    expected = states_of(backbone_of(family))[-2]
    torch.testing.assert_close(tokens_of(encoder)[MASK.bool()], expected[MASK.bool()], atol=1e-5, rtol=1e-5)
    encoder(IDS, MASK)[MASK.bool()].square().sum().backward()
    unread = [name for name, parameter in encoder.named_parameters() if parameter.grad is None]
    assert unread == []


def test_second_to_last_of_one_layer():
    backbone = backbone_of("bert")
    keep_layers(backbone, (0,))
    with pytest.raises(TransferlabError, match="second_to_last needs two layers"):
        drop_top_layer(backbone)


def test_pooling_by_hand():
    tokens = torch.randn(2, 5, 8) - 3
    tokens[1, 3:] = 50.0
    torch.testing.assert_close(pool(tokens, MASK, "cls"), tokens[:, 0])
    torch.testing.assert_close(pool(tokens, MASK, "mean"), torch.stack([tokens[0].mean(0), tokens[1, :3].mean(0)]))
    torch.testing.assert_close(pool(tokens, MASK, "last"), torch.stack([tokens[0, 4], tokens[1, 2]]))
    torch.testing.assert_close(pool(tokens.flip(1), MASK.flip(1), "last"), torch.stack([tokens[0, 0], tokens[1, 0]]))
    torch.testing.assert_close(pool(tokens, MASK, "max"), torch.stack([tokens[0].amax(0), tokens[1, :3].amax(0)]))
    assert pool(tokens.bfloat16(), MASK, "max").dtype == torch.bfloat16


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_does_not_matter(family):
    encoder = encoder_of(family)
    with torch.no_grad():
        alone = encoder(IDS[1:, :3], MASK[1:, :3])
    torch.testing.assert_close(tokens_of(encoder)[1:, :3], alone, atol=1e-5, rtol=1e-4)


# building --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_loads_from_a_folder(family, saved):
    encoder = build_encoder(saved(family))
    assert encoder.hidden_size == 32
    assert not [name for name, _ in encoder.named_parameters() if "pooler" in name]
    expected = states_of(backbone_of(family))[-1]
    torch.testing.assert_close(tokens_of(encoder.eval())[MASK.bool()], expected[MASK.bool()], atol=1e-5, rtol=1e-5)


def test_random_weights_have_the_same_shape_and_other_values(tiny_encoder):
    first, second = (build_encoder(replace(tiny_encoder, architecture="random")) for _ in range(2))
    given = build_encoder(tiny_encoder).state_dict()
    assert {name: value.shape for name, value in first.state_dict().items()} == {n: v.shape for n, v in given.items()}
    name = "backbone.encoder.layer.0.output.dense.weight"
    assert not torch.equal(first.state_dict()[name], given[name])
    assert not torch.equal(first.state_dict()[name], second.state_dict()[name])


def test_dropout_of_the_configuration_is_replaced(tiny_encoder):
    for dropout, expected in ((None, 0.1), (0.0, 0.0), (0.3, 0.3)):
        encoder = build_encoder(replace(tiny_encoder, dropout=dropout))
        assert {m.p for m in encoder.modules() if isinstance(m, nn.Dropout)} == {expected}


def test_dropout_has_many_names():
    from transformers import AutoConfig

    config = AutoConfig.for_model("gpt2")
    set_dropout(config, None)
    assert (config.embd_pdrop, config.resid_pdrop, config.attn_pdrop) == (0.1, 0.1, 0.1)
    set_dropout(config, 0.3)
    assert (config.embd_pdrop, config.resid_pdrop, config.attn_pdrop) == (0.3, 0.3, 0.3)
    set_dropout(config, 0.2, 0.0)
    assert (config.embd_pdrop, config.resid_pdrop, config.attn_pdrop) == (0.2, 0.2, 0.0)
    config = AutoConfig.for_model("bert")
    set_dropout(config, None, 0.0)
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob) == (0.1, 0.0)


def test_bilstm(tiny_encoder):
    encoder = build_encoder(replace(tiny_encoder, architecture="bilstm", lstm_size=6)).eval()
    assert encoder.hidden_size == 12
    assert encoder.backbone.embeddings.num_embeddings == len(load_tokenizer(tiny_encoder))
    tokens = tokens_of(encoder)
    assert not tokens[1, 3:].any()


@pytest.mark.parametrize(
    ("config", "label"),
    [
        (EncoderConfig("a/b"), "b"),
        (EncoderConfig("/models/b/"), "b"),
        (EncoderConfig("a/b", keep_layers=(0, 1)), "b-2layers"),
        (EncoderConfig("a/b", architecture="random"), "b-random"),
        (EncoderConfig("a/b", architecture="bilstm", lstm_size=9), "bilstm-9"),
    ],
)
def test_labels(config, label):
    assert config.label == label


# finding ---------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def forget():
    """`locate` remembers what it found."""
    locate.cache_clear()
    yield
    locate.cache_clear()


def test_a_local_folder_is_found(tiny_folder):
    assert locate(str(tiny_folder), "abc") == (str(tiny_folder), None, f"local folder {tiny_folder}")


@pytest.mark.parametrize("below", ["some-encoder", "someone/some-encoder"])
def test_a_folder_of_models_is_found(below, tmp_path, monkeypatch):
    (tmp_path / below).mkdir(parents=True)
    monkeypatch.setenv("TRANSFERLAB_MODELS", str(tmp_path))
    assert locate("someone/some-encoder", None).target == str(tmp_path / below)


def test_an_installed_package_is_found(monkeypatch):
    name, module = next(iter(PACKAGES.items()))
    pytest.importorskip(module)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
    place = locate(name, "abc")
    assert place.origin == f"installed package {module}"
    assert place.revision is None
    assert load_tokenizer(EncoderConfig(name)).tokenize("transfer")


def test_the_cache_of_the_hub_goes_before_a_package(monkeypatch):
    name = next(iter(PACKAGES))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: "/somewhere/config.json")
    assert locate(name, "abc") == (name, "abc", f"Hub {name}@abc (cached)")


@pytest.mark.parametrize("load", [build_encoder, load_tokenizer], ids=["weights", "tokenizer"])
def test_out_of_reach_names_the_remedies(load):
    with pytest.raises(TransferlabError) as caught:
        load(EncoderConfig("someone/some-encoder"))
    message = str(caught.value)
    for part in (
        "$TRANSFERLAB_MODELS/some-encoder",
        "run once with network access",
        "HF_HUB_OFFLINE=1",
        "transferlab[demo]",
    ):
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["a/b/c", "no such folder/", "what?"])
def test_an_invalid_name(name):
    with pytest.raises(TransferlabError, match=r"encoder\.name: .* is neither a folder nor a name on the Hub"):
        build_encoder(EncoderConfig(name))


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(TransferlabError, match=r"encoder\.name: local folder .* cannot be loaded"):
        build_encoder(EncoderConfig(str(tmp_path)))


def test_pickled_weights_are_not_read(tmp_path, tiny_folder):
    import shutil

    shutil.copytree(tiny_folder, tmp_path / "pickled")
    (tmp_path / "pickled" / "model.safetensors").unlink()
    torch.save(backbone_of("bert").state_dict(), tmp_path / "pickled" / "pytorch_model.bin")
    with pytest.raises(TransferlabError, match=r"encoder\.name: local folder .* cannot be loaded"):
        build_encoder(EncoderConfig(str(tmp_path / "pickled")))
