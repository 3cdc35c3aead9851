import copy
import subprocess
import sys

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from transferlab.adapters import IA3, AdaLoRA, BitFit, Bottleneck, Fusion, LoRA, Method, NormTuning, PromptTuning
from transferlab.adapters.targets import FAMILIES, is_linear, resolve
from transferlab.ground.errors import TransferlabError

SIZES = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 48,
    "pad_token_id": 0,
    # the usual 0.02 leaves almost no attention in a model this narrow
    "initializer_range": 0.2,
}
MODELS = {
    "bert": {},
    "roberta": {},
    "electra": {"embedding_size": 16},
    "deberta-v2": {
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 16,
        "type_vocab_size": 0,
        "position_biased_input": False,
    },
    "distilbert": {"dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 4},
    "mpnet": {},
    "modernbert": {"bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2},
    "albert": {"embedding_size": 16},
    "gpt2": {"n_inner": 64, "bos_token_id": 1, "eos_token_id": 2},
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
METHODS = {
    "lora": LoRA(r=2),
    "lora_all": LoRA(r=2, targets=("all",)),
    "rslora": LoRA(r=2, variant="rslora"),
    "dora": LoRA(r=2, variant="dora"),
    "pissa": LoRA(r=2, variant="pissa"),
    "adalora": AdaLoRA(r=3, target_r=1),
    "ia3": IA3(),
    "bitfit": BitFit(),
    "norm": NormTuning(),
    "prompt": PromptTuning(tokens=5),
    "pfeiffer": Bottleneck(size=4),
    "houlsby": Bottleneck(size=4, placement="houlsby", activation="relu"),
    "fusion": Fusion(runs=("one", "other"), size=4),
}
# what the names of the trained parameters have in common
MARKS = {
    "lora": ("lora_A", "lora_B"),
    "lora_all": ("lora_A", "lora_B"),
    "rslora": ("lora_A", "lora_B"),
    "dora": ("lora_A", "lora_B", "lora_magnitude_vector"),
    "pissa": ("lora_A", "lora_B"),
    "adalora": ("lora_A", "lora_B", "lora_E"),
    "ia3": ("ia3_l",),
    "bitfit": (".bias",),
    "norm": ("norm", "Norm", "ln_"),
    "prompt": ("prompt",),
    "pfeiffer": ("down.", "up."),
    "houlsby": ("down.", "up."),
    "fusion": ("query.", "key.", "value."),
}
WITHOUT_BIAS = ("modernbert", "modernbert-decoder", "llama", "qwen3", "eurobert")
WORKS = [(f, m) for f in MODELS for m in METHODS if m != "bitfit" or f not in WITHOUT_BIAS]

matrix = pytest.mark.parametrize(("family", "method"), WORKS)


def build(family, seed=0):
    torch.manual_seed(seed)
    return AutoModel.from_config(AutoConfig.for_model(family, **SIZES, **MODELS[family])).eval()


@pytest.fixture(scope="module")
def pretrained():
    """One model of each family; deep-copied by `fresh`."""
    return {family: build(family) for family in MODELS}


@pytest.fixture
def fresh(pretrained):
    return lambda family: copy.deepcopy(pretrained[family])


def batch():
    ids = torch.arange(3, 27).view(2, 12) % 100
    mask = torch.ones_like(ids)
    mask[1, 8:] = 0
    ids[1, 8:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def states(module):
    with torch.no_grad():
        return module.eval()(**batch()).last_hidden_state[batch()["attention_mask"].bool()]


def train(method, module, steps=1, lr=0.05, start=0):
    """Does some steps of SGD on an arbitrary loss; returns the names of the last gradients."""
    learning = {n: p for n, p in module.named_parameters() if p.requires_grad}
    optimizer = torch.optim.SGD(learning.values(), lr=lr)
    for step in range(start + 1, start + steps + 1):
        optimizer.zero_grad()
        loss = (module(**batch()).last_hidden_state * torch.arange(32)).mean()
        penalty = method.penalty(module)
        (loss if penalty is None else loss + penalty).backward()
        optimizer.step()
        method.after_step(module, step)
    return {n for n, p in learning.items() if p.grad is not None}


@matrix
def test_starts_unchanged_and_trains_only_what_it_learns(family, method, fresh):
    chosen = METHODS[method]
    backbone = fresh(family)
    untouched = states(backbone)
    module = chosen.apply(backbone, total_steps=10)
    if method == "prompt":
        assert (states(module) - untouched).abs().max() > 1e-3
    else:
        # V of a fusion starts with noise of 1e-6
        tolerance = {"pissa": 1e-5, "dora": 1e-5, "fusion": 1e-4}.get(method, 0)
        torch.testing.assert_close(states(module), untouched, atol=tolerance, rtol=0)
    out = module(**batch(), output_hidden_states=True)
    assert out.last_hidden_state.shape == (2, 12, 32)
    assert {s.shape[:2] for s in out.hidden_states} == {(2, 12)}

    learning = {n for n, p in module.named_parameters() if p.requires_grad}
    assert learning
    assert all(any(mark in name for mark in MARKS[method]) for name in learning)
    before = copy.deepcopy(module.state_dict())
    # the second step reaches what starts behind a zero
    assert train(chosen, module, steps=2) == learning, "a parameter without gradient breaks DDP"
    after = module.state_dict()
    changed = {n for n in before if not torch.equal(before[n], after[n])}
    learned = chosen.learned(module)
    assert learning <= learned <= set(after)
    assert changed <= learned
    assert changed


@matrix
def test_learned_state_restores(family, method, fresh):
    chosen = METHODS[method]
    tuned = chosen.apply(fresh(family), total_steps=10)
    train(chosen, tuned, steps=6 if method == "adalora" else 2)  # AdaLoRA fixes its ranks at 5
    state = {n: v.clone() for n, v in tuned.state_dict().items() if n in chosen.learned(tuned)}
    assert sum(v.numel() for v in state.values()) < 0.3 * sum(v.numel() for v in tuned.state_dict().values())

    torch.manual_seed(99)
    again = chosen.apply(fresh(family), total_steps=10)
    assert again.state_dict().keys() == tuned.state_dict().keys()
    assert (states(again) - states(tuned)).abs().max() > 1e-6
    again.load_state_dict(state, strict=False)
    torch.testing.assert_close(states(again), states(tuned), atol=1e-6, rtol=0)
    torch.testing.assert_close(states(copy.deepcopy(tuned)), states(tuned), atol=0, rtol=0)


@pytest.mark.parametrize("family", ["xlm-roberta", "camembert"])
def test_relatives_of_roberta(family):
    backbone = AutoModel.from_config(AutoConfig.for_model(family, **SIZES))
    assert len(resolve(backbone, ("all",))) == 12


@pytest.mark.parametrize("family", MODELS)
def test_all_covers_each_linear_map_of_the_layers(family, pretrained):
    layers = {"albert": 1}.get(family, 2)
    names = resolve(pretrained[family], ("all",))
    assert len(names) == layers * len(
        {p for paths in FAMILIES[family].paths.values() for p in ([paths] if isinstance(paths, str) else paths)}
    )
    outside = {n for n, m in pretrained[family].named_modules() if is_linear(m) and n not in names and "pos_" not in n}
    assert outside <= {"pooler", "pooler.dense", "embeddings_project", "encoder.embedding_hidden_mapping_in"}


@pytest.mark.parametrize("family", [f for f in MODELS if f != "albert"])
@pytest.mark.parametrize("make", [LoRA, AdaLoRA, IA3, Bottleneck])
def test_top_layers(family, make, fresh):
    module = make(top_layers=1).apply(fresh(family), total_steps=10)
    learning = [n for n, p in module.named_parameters() if p.requires_grad]
    assert learning
    assert all("layer.1." in n or n.startswith(("layers.1.", "h.1.")) for n in learning)


def test_top_layers_refusals(fresh):
    with pytest.raises(TransferlabError, match=r"top_layers: 'albert' uses the same layer many times"):
        LoRA(top_layers=1).apply(fresh("albert"))
    for layers in (0, 3):
        with pytest.raises(TransferlabError, match=rf"top_layers: {layers}, but the encoder has 2 layers"):
            LoRA(top_layers=layers).apply(fresh("bert"))
    with pytest.raises(TransferlabError, match="none of embeddings_project lies in the top 1 layers"):
        LoRA(targets=("embeddings_project",), top_layers=1).apply(fresh("electra"))


def test_fusion_by_hand():
    from transferlab.adapters.fusion import Fused

    base = nn.Linear(2, 2, bias=False)
    fused = Fused(base, count=2, size=1, activation="relu")
    with torch.no_grad():
        base.weight.copy_(torch.eye(2))
        for update, down, up in zip(fused.adapters, ([1.0, 0.0], [0.0, 1.0]), ([2.0, 0.0], [0.0, -1.0]), strict=True):
            update.down.weight.copy_(torch.tensor([down]))
            update.up.weight.copy_(torch.tensor(up)[:, None])
        fused.query.weight.copy_(torch.eye(2))
        fused.key.weight.copy_(torch.tensor([[0.1, 0.0], [0.0, 0.2]]))
        fused.value.weight.copy_(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    h = torch.tensor([[[1.0, 3.0]]])
    # z_1 = h + (2, 0), z_2 = h + (0, -3); scores h . K z_n: 0.3 + 1.8 and 0.1 + 0
    first = torch.tensor([2.1, 0.1]).softmax(0)[0]
    mixed = torch.stack([1 + 2 * first, 3 * first])
    torch.testing.assert_close(fused(h)[0, 0], torch.stack([mixed[0], mixed[0] + mixed[1]]))
    assert {name for name, one in fused.named_parameters() if one.requires_grad} == {
        *("base_layer.weight", "query.weight", "key.weight", "value.weight")
    }
    # V - I has one entry of 1
    assert Fusion(runs=("a", "b"), regularization=0.5).penalty(nn.Sequential(fused)).item() == pytest.approx(0.5)
    assert Fusion(runs=("a", "b"), regularization=0).penalty(nn.Sequential(fused)) is None


def test_targets(fresh):
    assert resolve(fresh("modernbert"), ("query", "key")) == ["layers.0.attn.Wqkv", "layers.1.attn.Wqkv"]
    assert resolve(fresh("bert"), ("output",)) == ["encoder.layer.0.output.dense", "encoder.layer.1.output.dense"]
    assert resolve(fresh("bert"), ("0.attention.self.query",)) == ["encoder.layer.0.attention.self.query"]
    assert len(resolve(fresh("bert"), ("output.dense", "output"))) == 4
    with pytest.raises(
        TransferlabError,
        match=r"model\.method\.targets: 'querry' \(did you mean .*'query'.*\): no such module; known: query, key",
    ):
        LoRA(targets=("value", "querry")).apply(fresh("bert"))
    with pytest.raises(TransferlabError, match=r"model\.method\.feedforward: 'up'"):
        IA3(feedforward=("up",)).apply(fresh("bert"))
    for name in ("LayerNorm", "pooler.dense", "ense"):
        with pytest.raises(TransferlabError, match="no such module"):
            LoRA(targets=(name,)).apply(fresh("bert"))
    with pytest.raises(TransferlabError, match="empty"):
        LoRA(targets=()).apply(fresh("bert"))


def test_unknown_family():
    config = AutoConfig.for_model("convbert", **SIZES, embedding_size=32)
    backbone = AutoModel.from_config(config)
    for name in ("attention_output", "all"):
        with pytest.raises(TransferlabError, match=r"family 'convbert'; known families: bert, .*albert; .*modules"):
            LoRA(targets=(name,)).apply(backbone)
    with pytest.raises(TransferlabError, match="'convbert' is not in our map"):
        LoRA(targets=("self.query",), top_layers=1).apply(backbone)
    with pytest.raises(TransferlabError, match=r"'convbert'; known families: bert, .*raw module names"):
        Bottleneck().apply(backbone)
    module = LoRA(targets=("self.query",)).apply(backbone)
    assert sum(p.requires_grad for p in module.parameters()) == 4


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: LoRA(r=0), "r"),
        (lambda: LoRA(dropout=1.0), "dropout"),
        (lambda: AdaLoRA(r=8), "target_r"),
        (lambda: AdaLoRA(dropout=-1), "dropout"),
        (lambda: AdaLoRA(beta2=1), "beta1, beta2"),
        (lambda: AdaLoRA(delta_t=0), "delta_t"),
        (lambda: AdaLoRA(tinit_fraction=0.6), r"tinit_fraction \+ tfinal_fraction"),
        (lambda: Bottleneck(size=0), "size"),
        (lambda: Fusion(runs=("one",)), "runs"),
        (lambda: PromptTuning(tokens=0), "tokens"),
    ],
)
def test_impossible_arguments(make, key):
    with pytest.raises(TransferlabError, match=rf"model\.method\.{key}: "):
        make()


def test_refusals(fresh):
    with pytest.raises(TransferlabError, match=r"BitFit finds no bias in this encoder \(modernbert\)"):
        BitFit().apply(fresh("modernbert"))
    with pytest.raises(TransferlabError, match=r"0 is not a number of steps; set trainer\.max_steps"):
        AdaLoRA().apply(fresh("bert"), total_steps=0)
    with pytest.raises(TransferlabError, match="is in both targets and feedforward"):
        IA3(targets=("key", "output")).apply(fresh("bert"))


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (LoRA(), "no linear modules"),
        (IA3(), "no linear modules"),
        (Bottleneck(), "no sites"),
        (BitFit(), "no bias"),
        (NormTuning(), "no norm"),
        (PromptTuning(), "needs a transformers encoder"),
    ],
)
def test_no_transformer(method, message):
    recurrent = nn.Sequential(nn.Embedding(9, 4), nn.LSTM(4, 4))
    recurrent.config = type("Config", (), {"model_type": "bilstm", "num_hidden_layers": 1})()
    with pytest.raises(TransferlabError, match=message):
        method.apply(recurrent)


@pytest.mark.parametrize(("family", "positions"), [("bert", 48), ("roberta", 47), ("mpnet", 46), ("distilbert", 48)])
def test_prompt_needs_positions(family, positions, fresh):
    with pytest.raises(TransferlabError, match=rf"tokens: 48 leave no room .* {positions} positions"):
        PromptTuning(tokens=48).apply(fresh(family))
    module = PromptTuning(tokens=8).apply(fresh(family))
    ids = torch.full((1, positions - 8), 5)
    assert module(input_ids=ids).last_hidden_state.shape == (1, positions - 8, 32)
    with pytest.raises(TransferlabError, match=rf"cut inputs to {positions - 8} tokens"):
        module(input_ids=torch.full((1, positions - 7), 5))


def test_prompt_reads_token_types_and_ignores_padding(fresh):
    module = PromptTuning(tokens=3).apply(fresh("bert"))
    ids = torch.tensor([[5, 6, 7, 0, 0]])
    short = module(input_ids=ids[:, :3]).last_hidden_state
    padded = module(input_ids=ids, attention_mask=(ids > 0).long()).last_hidden_state[:, :3]
    torch.testing.assert_close(short, padded, atol=1e-5, rtol=1e-5)
    typed = module(input_ids=ids[:, :3], token_type_ids=torch.tensor([[0, 0, 1]])).last_hidden_state
    assert (typed - short).abs().max() > 1e-3


class EightWide(nn.Module):
    """The least that `apply` needs of a backbone: one linear map, eight wide."""

    def __init__(self):
        super().__init__()
        self.config = type("Config", (), {"model_type": "eight", "num_hidden_layers": 1})()
        self.map = nn.Linear(8, 8)

    def forward(self, x):
        return self.map(x)


@pytest.mark.parametrize(("variant", "scale"), [("lora", 6 / 4), ("rslora", 6 / 2), ("dora", 6 / 4)])
def test_lora_by_hand(variant, scale):
    torch.manual_seed(0)
    module = LoRA(r=4, alpha=6.0, variant=variant, targets=("map",)).apply(EightWide())
    a, b = module.map.lora_A["default"].weight, module.map.lora_B["default"].weight
    assert (a.shape, b.shape) == ((4, 8), (8, 4))
    assert not b.any()
    with torch.no_grad():
        b.normal_()
        weight = module.map.base_layer.weight
        norm = weight.norm(dim=1, keepdim=True)
        weight = weight + scale * b @ a
        if variant == "dora":
            weight = norm * weight / weight.norm(dim=1, keepdim=True)
        x = torch.randn(3, 8)
        torch.testing.assert_close(module(x), x @ weight.T + module.map.base_layer.bias)


def test_pissa_by_hand():
    torch.manual_seed(0)
    backbone = EightWide()
    u, s, v = torch.linalg.svd(backbone.map.weight.detach())
    module = LoRA(r=3, alpha=6.0, variant="pissa", targets=("map",)).apply(backbone)
    update = 2 * module.map.lora_B["default"].weight @ module.map.lora_A["default"].weight
    torch.testing.assert_close(update, u[:, :3] * s[:3] @ v[:3])
    torch.testing.assert_close(module.map.base_layer.weight, u[:, 3:] * s[3:] @ v[3:])


def test_ia3_by_hand():
    torch.manual_seed(0)
    out = IA3(targets=("map",), feedforward=("second",))
    backbone = EightWide()
    backbone.second = nn.Linear(8, 8)
    module = out.apply(backbone)
    with torch.no_grad():
        first, second = module.map.ia3_l["default"].normal_(), module.second.ia3_l["default"].normal_()
        x = torch.randn(3, 8)
        torch.testing.assert_close(module.map(x), first.view(-1) * module.map.base_layer(x))
        torch.testing.assert_close(module.second(x), module.second.base_layer(second.view(-1) * x))


@pytest.mark.parametrize(("activation", "function"), [("gelu", nn.functional.gelu), ("relu", torch.relu)])
def test_bottleneck_by_hand(activation, function, fresh):
    module = Bottleneck(size=4, activation=activation).apply(fresh("bert"))
    site = module.encoder.layer[1].output.dense
    assert site.down.weight.detach().std() == pytest.approx(1e-2, rel=0.3)
    with torch.no_grad():
        site.up.weight.normal_()
        x = torch.randn(3, 64)
        h = site.base_layer(x)
        by_hand = h + function(h @ site.down.weight.T) @ site.up.weight.T
        torch.testing.assert_close(site(x), by_hand)


def test_adalora_spends_the_final_budget(fresh):
    method = AdaLoRA(r=6, target_r=2, delta_t=2)
    module = method.apply(fresh("bert"), total_steps=40)
    sums = []
    for step in range(40):
        train(method, module, start=step)
        sums.append(sum(method.ranks(module).values()))
    assert sums[:4] == [24] * 4
    assert sums == sorted(sums, reverse=True)
    assert sums[9] == int(8 + 16 * (1 - 6 / 16) ** 3)
    assert sums[19:] == [8] * 21
    values = [p for n, p in module.named_parameters() if "lora_E" in n]
    assert sum(int((v != 0).sum()) for v in values) == 8


def test_adalora_allocates_as_peft_does(fresh):
    from peft import AdaLoraConfig
    from peft.tuners.adalora import AdaLoraModel

    ours = AdaLoRA(r=6, target_r=2, delta_t=3)
    names = resolve(fresh("bert"), ours.targets)
    config = AdaLoraConfig(
        init_r=6, target_r=2, tinit=4, tfinal=20, deltaT=3, total_step=40, target_modules=names, lora_alpha=16
    )
    theirs = AdaLoraModel(fresh("bert"), config, "default")

    class Peft:
        def after_step(self, module, step):
            module.update_and_allocate(step)

        def penalty(self, module):
            loss = type("Out", (), {"loss": torch.zeros(())})()
            inner, module.model.forward = module.model.forward, lambda: loss
            module.forward()
            module.model.forward = inner
            return loss.loss

    module = ours.apply(fresh("bert"), total_steps=40)
    theirs.model.load_state_dict(
        {n: v for n, v in module.state_dict().items() if ".ranknum" in n or "lora_" in n}, False
    )
    for step in range(40):
        train(ours, module, start=step)
        train(Peft(), theirs, start=step)
    assert len(ours.learned(module) & set(theirs.model.state_dict())) == 16
    for name in ours.learned(module) & set(theirs.model.state_dict()):
        torch.testing.assert_close(module.state_dict()[name], theirs.model.state_dict()[name], msg=name)


def test_adalora_goes_on_after_a_checkpoint(fresh):
    method = AdaLoRA(r=6, target_r=2, delta_t=2)
    module = method.apply(fresh("bert"), total_steps=40)
    train(method, module, steps=11)
    state = {n: v.clone() for n, v in module.state_dict().items() if n in method.learned(module)}
    assert any("ranknum" in n for n in state)
    again = method.apply(fresh("bert"), total_steps=40)
    again.load_state_dict(state, strict=False)
    for m in (module, again):
        train(method, m, steps=29, start=11)
    for name, value in module.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_adalora_wants_a_plan_and_gradients(fresh):
    method = AdaLoRA()
    module = method.apply(fresh("bert"))
    with pytest.raises(RuntimeError, match="call plan first"):
        method.after_step(module, 1)
    method.plan(module, 40)
    with pytest.raises(RuntimeError, match="before they are zeroed"):
        method.after_step(module, 1)


def test_built_from_yaml():
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Method, "method")
    settings = {"class_path": "transferlab.adapters.LoRA", "init_args": {"r": 4, "targets": ["key"], "variant": "dora"}}
    built = parser.instantiate_classes(parser.parse_object({"method": settings})).method
    assert built == LoRA(r=4, targets=("key",), variant="dora")
    for wrong in ({"rank": 4}, {"r": "four"}, {"variant": "qlora"}):
        with pytest.raises(Exception, match=next(iter(wrong))):
            parser.parse_object({"method": {**settings, "init_args": wrong}})


def test_import_is_light():
    code = "import sys, transferlab.adapters; print([m for m in ('peft', 'transformers') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
