"""Dropped attention heads: narrower matrices that give what masked heads gave, chosen by importance."""

import copy
import json
import shutil
import subprocess
import sys

import pytest
import torch
from test_encoders import IDS, MASK, backbone_of
from test_predictor import KINDS, run_of, test_rows

import transferlab as tl
from transferlab.encoders.heads import FAMILIES, attentions, keep_heads
from transferlab.ground.errors import TransferlabError
from transferlab.learning.losses import example_losses
from transferlab.record.folder import read_summary
from transferlab.record.setting import fingerprint, of_folder
from transferlab.strategies.teacher import restore
from transferlab.use.pruning.command import prune
from transferlab.use.pruning.importance import Mask, importance, keep
from transferlab.use.reread import data_of

KEPT = ((0, 2), (1,), (0, 1, 2, 3), (3, 0))


def masked(backbone, kept):
    """What the encoder gives when the outputs of all other heads are multiplied by 0."""
    for attention, heads in zip(attentions(backbone), kept, strict=True):

        def hook(module, given, attention=attention, heads=heads):
            parted = given[0].unflatten(-1, (attention.heads, attention.width)).clone()
            parted[:, :, [head for head in range(attention.heads) if head not in heads]] = 0
            return (parted.flatten(-2),)

        attention.out.register_forward_pre_hook(hook)
    return states(backbone)


def states(backbone):
    with torch.no_grad():
        return backbone(input_ids=IDS, attention_mask=MASK).last_hidden_state


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "mpnet", "distilbert"])
def test_narrow_matrices_give_what_masked_heads_gave(family):
    backbone = backbone_of(family)
    layers = len(attentions(backbone))
    kept = KEPT[:layers]
    expected, whole = masked(copy.deepcopy(backbone), kept), states(backbone)
    before = sum(parameter.numel() for parameter in backbone.parameters())
    keep_heads(backbone, kept)
    assert states(backbone) == pytest.approx(expected, abs=1e-5)
    assert (states(backbone) - whole).abs().max() > 1e-3
    widths = [attention.out.in_features for attention in attentions(backbone)]
    assert widths == [8 * len(heads) for heads in kept]
    # four matrices of width 32, and three biases, lose 8 rows or columns for each head
    lost = sum(4 - len(heads) for heads in kept)
    assert before - sum(parameter.numel() for parameter in backbone.parameters()) == lost * 8 * (4 * 32 + 3)
    assert states(copy.deepcopy(backbone)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("family", ["albert", "deberta-v2", "modernbert"])
def test_other_families_are_refused_by_name(family):
    assert family not in FAMILIES
    with pytest.raises(TransferlabError, match=f"heads of {family} cannot be dropped; those of bert"):
        keep_heads(backbone_of(family), KEPT)


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (KEPT[:1], "1 layers are named, the encoder has"),
        (((), *KEPT[1:]), "layer 0 has the heads 0 to 3, and needs one of them"),
        (((4,), *KEPT[1:]), r"layer 0 has the heads 0 to 3, .* \[4\] are named"),
        (((1, 1), *KEPT[1:]), r"\[1, 1\] are named"),
    ],
)
def test_heads_that_there_are_not(kept, message):
    backbone = backbone_of("bert")
    layers = len(attentions(backbone))
    with pytest.raises(TransferlabError, match=message):
        keep_heads(backbone, kept[:layers])


def test_importance_is_the_mean_size_of_the_gradient_of_a_mask(files, tiny_encoder):
    data = tl.TaskDataModule("tiny", tiny_encoder, source=files["classification"], max_length=64)
    model = tl.FullFineTuning(data.spec, tiny_encoder).eval()
    batch = data.encoded("test").collate([0, 1, 2])
    found = importance(model, [batch])

    def losses(layer, head, step):
        attention = attentions(model.encoder.backbone)[layer]

        def scale(module, given):
            parted = given[0].unflatten(-1, (attention.heads, attention.width)).clone()
            parted[:, :, head] *= 1 + step
            return (parted.flatten(-2),)

        handle = attention.out.register_forward_pre_hook(scale)
        with torch.no_grad():
            told = example_losses("classification", model(batch), batch.labels)
        handle.remove()
        return told.double()

    # by central differences, example by example; then of each layer a vector of length 1
    step = 2e-2
    by_hand = torch.tensor(
        [
            [((losses(layer, head, step) - losses(layer, head, -step)) / (2 * step)).abs().mean() for head in range(4)]
            for layer in range(2)
        ]
    )
    by_hand = by_hand / by_hand.norm(dim=1, keepdim=True)
    assert found == pytest.approx(by_hand.float(), abs=2e-2)
    assert found.norm(dim=1) == pytest.approx(torch.ones(2))
    # nothing of it is left in the model
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert isinstance(Mask(attentions(model.encoder.backbone)[0]), Mask)


def test_the_least_important_heads_go_and_a_layer_keeps_one():
    scores = torch.tensor([[0.9, 0.1, 0.5], [0.2, 0.3, 0.0]])
    assert keep(scores, [3, 3], 0.5) == [(0, 2), (1,)]
    assert keep(scores, [3, 3], 0.0) == [(0, 1, 2), (0, 1, 2)]
    assert keep(scores, [3, 3], 1.0) == [(0,), (1,)]
    # a layer with two heads only
    assert keep(scores, [3, 2], 0.2) == [(0, 2), (0, 1)]


def test_a_pruned_run_is_a_run(files, tiny_encoder, tmp_path):
    source = run_of(tmp_path / "runs" / "full" / "one", files, tiny_encoder, "classification", KINDS["classification"])
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    folder = prune(source, 0.5, root=tmp_path / "runs")
    assert folder.parent.name == "py_heads50"
    assert {path: path.read_bytes() for path in before} == before
    model, data = restore(folder), data_of(folder)
    kept = model.encoder_config.keep_heads
    assert sum(map(len, kept)) == 4
    assert model.encoder_config.label.endswith("-4heads")
    # the weights are those of the run, without the dropped heads
    whole = restore(source)
    keep_heads(whole.encoder.backbone, kept)
    batch = data.encoded("test").collate([0, 1, 2])
    with torch.no_grad():
        assert torch.equal(model(batch), whole(batch))
    rows = [row["text"] for row in test_rows(files, "classification")]
    assert len(tl.Predictor.load(folder, device="cpu").predict(rows)) == len(rows)
    # other seeds lose other heads and are one setting with it; training with these heads only is none of it
    known = read_summary(folder)["setting"]
    assert known not in (fingerprint(of_folder(folder)), read_summary(source)["setting"])
    seeded = shutil.copytree(source, tmp_path / "runs" / "full" / "two")
    (seeded / "summary.json").write_text(json.dumps(read_summary(source) | {"run": "two", "seed": 4}))
    assert read_summary(prune(seeded, 0.5, examples=1, root=tmp_path / "runs"))["setting"] == known
    assert read_summary(prune(seeded, 0.25, root=tmp_path / "runs"))["setting"] != known
    # heads of a pruned run keep the numbers that they have in the pretrained encoder
    again = restore(prune(folder, 0.25, root=tmp_path / "runs")).encoder_config.keep_heads
    assert sum(map(len, again)) == 3
    assert all(set(fewer) <= set(more) for fewer, more in zip(again, kept, strict=True))


def test_what_was_put_into_an_encoder_has_no_heads(files, tiny_encoder, tmp_path):
    way = (tl.ParameterEfficient, {"method": tl.LoRA(r=2)}, {})
    source = run_of(tmp_path / "runs" / "lora" / "one", files, tiny_encoder, "classification", way)
    with pytest.raises(TransferlabError, match="which was put into the encoder and has no heads of its own"):
        prune(source, 0.5, root=tmp_path / "runs")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["lora"]


@pytest.mark.slow
def test_the_command(files, tiny_encoder, tmp_path):
    """Pruned, validated, tested; exported and asked in processes of their own."""
    source = run_of(tmp_path / "runs" / "full" / "one", files, tiny_encoder, "classification", KINDS["classification"])

    def command(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "transferlab", *map(str, arguments)], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    told = command("prune", "--run", source, "--heads", "50%")
    assert "heads: 4 of 8 are kept" in told
    (folder,) = (tmp_path / "runs" / "py_heads50").iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    assert {"val/accuracy", "test/accuracy"} <= summary["metrics"].keys()
    assert (folder / "predictions" / "test.jsonl").is_file()
    assert not (folder / "retests").exists()
    command("export", "--run", "py_heads50")
    (tmp_path / "in.txt").write_text("\n".join(row["text"] for row in test_rows(files, "classification")))
    answers = [command("predict", "--run", name, "in.txt") for name in ("py_heads50", "exports/py_heads50-onnx")]
    first, second = ([json.loads(line)["prediction"] for line in told.splitlines()] for told in answers)
    assert first == second
    recorded = [json.loads(line) for line in (folder / "predictions" / "test.jsonl").read_text().splitlines()]
    assert first == [line["prediction"] for line in recorded]
    command("fit", "--config", folder / "config.yaml", "--run.experiment", "again", "--trainer.max_epochs", "1")
    (again,) = (tmp_path / "runs" / "again").iterdir()
    assert json.loads((again / "summary.json").read_text())["encoder"].endswith("-4heads")
