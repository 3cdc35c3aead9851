"""CKA and cosine distance against hand computation, the draw of the probes, and the command on real tiny runs."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import build_bert
from scipy import stats
from sklearn.linear_model import RidgeCV

from transferlab.adapters import Bottleneck, LoRA, PromptTuning
from transferlab.encoders.encoder import LayerMix
from transferlab.ground.errors import TransferlabError
from transferlab.strategies import FeatureExtraction, FullFineTuning, ParameterEfficient
from transferlab.use.forgetting import command, measure, probe
from transferlab.use.forgetting.drift import Moments, cosine_distance, layer_drift, linear_cka


def hsic(x, y):
    """Linear CKA from its Gram matrices, as in the paper: HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L))."""
    n = len(x)
    centre = np.eye(n) - np.ones((n, n)) / n
    k, ell = (centre @ m @ m.T @ centre for m in (x.numpy(), y.numpy()))
    return np.trace(k @ ell) / np.sqrt(np.trace(k @ k) * np.trace(ell @ ell))


def test_cka_is_that_of_the_gram_matrices():
    x, y = torch.randn(30, 5, dtype=torch.float64) + 3, torch.randn(30, 7, dtype=torch.float64)
    y[:, :5] += x
    assert linear_cka(x, y) == pytest.approx(hsic(x, y), rel=1e-10)


def test_cka_by_hand():
    # centred columns (-1, 0, 1) and (1, -2, 1): orthogonal, so nothing is shared; with itself scaled all is
    x, y = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[1.0], [-2.0], [1.0]])
    assert linear_cka(x, y) == pytest.approx(0)
    assert linear_cka(x, -3 * x + 7) == pytest.approx(1)
    # x'y = 2 * 1 + ..., cos^2 of the centred columns (-1, 0, 1) and (-1, 1, 0) is (1 / 2)^2
    assert linear_cka(x, torch.tensor([[0.0], [2.0], [1.0]])) == pytest.approx(0.25)


def test_cka_ignores_rotation_scale_and_shift_and_equal_states_give_exactly_one():
    x = torch.randn(200, 16)
    rotation, _ = torch.linalg.qr(torch.randn(16, 16))
    assert linear_cka(x, x) == 1.0
    assert linear_cka(x, 5 * x @ rotation + 2) == pytest.approx(1, abs=1e-6)
    assert linear_cka(x, x * torch.linspace(0, 1, 16) ** 4) < 0.9


def test_cka_of_unrelated_states_is_small_and_of_constant_ones_not_defined():
    assert linear_cka(torch.randn(4000, 16), torch.randn(4000, 16)) < 0.02
    assert np.isnan(linear_cka(torch.ones(10, 3), torch.randn(10, 3)))


def test_moments_of_batches_are_those_of_the_whole():
    x, y = torch.randn(50, 4), torch.randn(50, 4)
    moments = Moments(4, 4)
    for part in (slice(0, 7), slice(7, 50)):
        moments.update(x[part], y[part])
    assert moments.cka() == pytest.approx(linear_cka(x, y))
    wanted = 1 - torch.cosine_similarity(x.double(), y.double())
    assert moments.distance / moments.count == pytest.approx(float(wanted.mean()))
    assert torch.allclose(cosine_distance(x.double(), y.double()), wanted)
    assert cosine_distance(x, x).sum() == 0


def test_probes_share_no_test_row_and_where_rows_suffice_no_training_row():
    found = probe.draws(train=100, test=23, probes=4, rows=25, test_rows=20, seed=1)
    assert sorted(np.concatenate([draw.train for draw in found])) == list(range(100))
    assert len(set(np.concatenate([draw.test for draw in found]))) == 20
    assert all(len(set(draw.train)) == 30 for draw in probe.draws(40, 40, 4, 30, 40, 0))
    with pytest.raises(TransferlabError, match="fewer than 4"):
        probe.draws(100, 15, 4, 10, 100, 0)


def words(vectors, labels):
    rows = np.arange(len(labels))
    return probe.Features(rows, list(vectors), list(labels), [])


def test_regression_probe_is_ridge_on_standard_features(data):
    x = np.random.randn(60, 5).astype(np.float32) * [1, 2, 3, 4, 5] + 1
    y = x @ np.arange(5) + np.random.randn(60)
    task = data("regression").spec
    draw = probe.Draw(np.arange(40), np.arange(40, 60))
    scaled = (x - x[:40].mean(0)) / x[:40].std(0)
    fitted = RidgeCV([1000, 100, 10, 1]).fit(scaled[:40], y[:40])
    wanted = stats.pearsonr(fitted.predict(scaled[40:]), y[40:])[0]
    found = probe.score(task, words(x, y), words(x, y), draw).value
    assert found == pytest.approx(wanted, abs=1e-5)


def test_classification_probe_finds_what_is_linear_and_not_what_is_noise(data):
    x = np.random.randn(400, 4).astype(np.float32)
    task = data("classification").spec
    draw = probe.Draw(np.arange(200), np.arange(200, 400))
    assert probe.score(task, words(x, (x[:, 2] > 0) * 1), words(x, (x[:, 2] > 0) * 1), draw).value > 0.95
    noise = np.random.randint(0, 2, 400)
    assert 0.35 < probe.score(task, words(x, noise), words(x, noise), draw).value < 0.65
    with pytest.raises(TransferlabError, match="same label"):
        probe.score(task, words(x, noise * 0), words(x, noise), draw)


def moved(model):
    """Stands for training: every learned parameter of the encoder gets another value."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in model.learned() and name.startswith("encoder.backbone"):
                parameter += 0.2 * torch.randn_like(parameter)
    return model.eval()


METHODS = {"lora": LoRA(r=2), "adapter": Bottleneck(size=4), "prompt": PromptTuning(tokens=2)}


@pytest.mark.parametrize("kind", ["frozen", "full", *METHODS])
def test_drift_of_each_way_to_tune(kind, data, tiny_encoder):
    module = data()
    original = FeatureExtraction(module.spec, tiny_encoder).eval()
    build = {"frozen": FeatureExtraction, "full": FullFineTuning}.get(kind, ParameterEfficient)
    options = {"method": METHODS[kind]} if kind in METHODS else {}
    tuned = moved(build(task=module.spec, encoder=tiny_encoder, **options))
    layers, tokens = layer_drift(original.encoder.backbone, tuned.encoder.backbone, module.test_dataloader()[0])
    assert tokens == sum(int(batch.attention_mask.sum()) for batch in module.test_dataloader()[0])
    assert [layer.layer for layer in layers] == [0, 1, 2]
    if kind == "frozen":
        assert all((layer.cka, layer.cosine_distance) == (1.0, 0.0) for layer in layers)
    else:
        assert layers[-1].cka < 0.9999
        assert layers[-1].cosine_distance > 1e-3
    if kind in {"lora", "adapter"}:
        assert layers[0].cosine_distance == 0


@pytest.fixture
def run(tmp_path, data, tiny_encoder):
    """Writes the folder of a run with a checkpoint."""

    def write(model, name):
        folder = tmp_path / "runs" / name / "only"
        (folder / "checkpoints").mkdir(parents=True)
        checkpoint = {"state_dict": model.state_dict()}
        model.on_save_checkpoint(checkpoint)
        torch.save(checkpoint, folder / "checkpoints" / "best.ckpt")
        kind = f"transferlab.strategies.{type(model).__name__}"
        method = {"method": {"class_path": "transferlab.adapters.LoRA", "init_args": {"r": 2}}}
        tree = {
            "model": {"class_path": kind, "init_args": method if "Efficient" in kind else {}},
            "encoder": {"name": tiny_encoder.name},
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(tree))
        (folder / "summary.json").write_text(json.dumps({"spec": model.task._asdict(), "weights": "folder"}))
        return folder

    return write


def test_the_command_measures_several_runs_and_keeps_what_was_measured(run, data, tiny_encoder, tmp_path, capsys):
    spec = data().spec
    frozen = run(FeatureExtraction(spec, tiny_encoder), "frozen")
    lora = run(moved(ParameterEfficient(spec, tiny_encoder, LoRA(r=2))), "lora")
    options = ["--probes", "2", "--rows", "40", "--test-rows", "16", "--texts", "4"]
    picture = tmp_path / "drift.png"
    command.main(["--run", str(frozen), str(lora), "--probe", "demo_sentences", "demo_entities", *options])
    command.main(["--run", str(lora), "--probe", "demo_pairs", *options, "--picture", str(picture)])
    assert "linear CKA" in capsys.readouterr().out
    assert picture.stat().st_size > 1000
    kept = json.loads((frozen / "forgetting.json").read_text())["probes"]
    assert all(row["original"] == row["tuned"] for row in kept.values())
    assert all(row["difference"] == {"mean": 0, "low": 0, "high": 0} for row in kept.values())
    found = json.loads((lora / "forgetting.json").read_text())["probes"]
    assert list(found) == ["demo_sentences", "demo_entities", "demo_pairs"]
    assert found["demo_entities"]["original"] == kept["demo_entities"]["original"]
    assert found["demo_entities"]["drift"] != kept["demo_entities"]["drift"]


def test_a_learned_layer_mix_is_no_drift(data, tiny_encoder):
    mixed = copy.copy(tiny_encoder)
    object.__setattr__(mixed, "layers", "mix")
    spec = data().spec
    tuned = FeatureExtraction(spec, mixed).eval()
    assert isinstance(tuned.encoder.mix, LayerMix)
    torch.nn.init.normal_(tuned.encoder.mix.scores)
    settings = command.Settings(2, 20, 8, 4)
    result = measure.measure(tuned, measure.prepare(mixed, "demo_sentences", settings), settings)
    assert result["original"] == result["tuned"]


def test_mistakes_are_one_line(run, data, tiny_encoder, tmp_path):
    frozen = str(run(FeatureExtraction(data().spec, tiny_encoder), "frozen"))
    for arguments, message in (
        (["--run", frozen, "--probe", "sst"], "did you mean 'sst2'"),
        (["--run", frozen, "--probes", "1"], "no interval"),
        (["--run", frozen, "--rows", "0"], "1 or more"),
        (["--run", "nothing", "--root", str(tmp_path)], "no run 'nothing'"),
    ):
        with pytest.raises(TransferlabError, match=message):
            command.main(arguments)
    config = tmp_path / "runs" / "frozen" / "only" / "config.yaml"
    config.write_text(config.read_text().replace("init_args: {}", "init_args: {of_old: 1}"))
    with pytest.raises(TransferlabError, match="another version.*of_old"):
        command.main(["--run", frozen])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "summary.json").write_text('{"weights": "random"}')
    with pytest.raises(TransferlabError, match="nothing to forget"):
        command.main(["--run", str(scratch)])
    (tmp_path / "runs" / "frozen" / "only" / "forgetting.json").write_text("{")
    with pytest.raises(TransferlabError, match="damaged"):
        command.read(tmp_path / "runs" / "frozen" / "only")


def test_a_probe_that_gives_one_answer_says_so_and_has_no_interval(capsys):
    from transferlab.use.forgetting import report

    result = {
        "metric": "accuracy",
        "original": [0.5, 0.5],
        "tuned": [0.5, 0.5],
        "one_answer": {"original": 0, "tuned": 2},
        "difference": {"mean": 0.0, "low": None, "high": None},
        "tokens": 10,
        "drift": [],
    }
    report.show(Path("run"), "rte", result)
    shown = capsys.readouterr().out
    assert "no interval" in shown
    assert "2 of 2 probes of the tuned encoder give one answer" in shown


def test_a_task_of_several_labels_is_no_probe(tiny_encoder):
    with pytest.raises(TransferlabError, match="--probe: demo_topics has several labels an example"):
        measure.open_task("demo_topics", tiny_encoder)
    with pytest.raises(TransferlabError, match="--probe: demo_answers is answered by texts"):
        measure.open_task("demo_answers", tiny_encoder)


def test_perplexity_of_hidden_words_is_that_of_the_masked_language_model(tmp_path, data):
    """The same masks before and after; by the loss of transformers itself over the same hidden tokens."""
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    from transferlab.encoders import EncoderConfig
    from transferlab.pretraining.rows import Reading, Rows
    from transferlab.use.forgetting.perplexity import part_of, perplexity

    encoder = EncoderConfig(str(build_bert(tmp_path / "masked", model="BertForMaskedLM")))
    module = data(encoder=encoder)
    model = FullFineTuning(module.spec, encoder).eval()
    texts = ["the good film was a bad one", "a good one", "the film"] * 5
    same = perplexity(encoder, model.encoder.backbone, texts)
    assert same.original == pytest.approx(same.tuned)
    tokenizer = AutoTokenizer.from_pretrained(encoder.name)
    rows, whole = Rows(part_of(texts, tokenizer), tokenizer, Reading(), 126, None), 0.0
    reference = AutoModelForMaskedLM.from_pretrained(encoder.name).eval()
    for number in range(len(texts)):
        row = rows(0, number)
        labels = torch.full((1, len(row.ids)), -100)
        labels[0, row.places] = torch.from_numpy(row.labels)
        ids, types = torch.from_numpy(row.ids)[None], torch.from_numpy(row.types)[None]
        with torch.no_grad():
            whole += float(reference(ids, token_type_ids=types, labels=labels).loss) * len(row.places)
    assert same.original == pytest.approx(np.exp(whole / same.hidden), rel=1e-4)
    changed = perplexity(encoder, moved(model).encoder.backbone, texts)
    assert changed.original == pytest.approx(same.original)
    assert abs(changed.tuned - changed.original) > 1e-3
    # no head was pretrained for it
    assert perplexity(EncoderConfig(str(build_bert(tmp_path / "bare"))), model.encoder.backbone, texts) is None


def test_the_encoder_of_a_run_starts_another_one(run, data, tiny_encoder, tmp_path):
    from transferlab.cli.intermediate import leave_encoder
    from transferlab.encoders import EncoderConfig, build_encoder
    from transferlab.encoders.lineage import lineage_of

    tuned = moved(ParameterEfficient(data().spec, tiny_encoder, LoRA(r=2)))
    folder = run(tuned, "lora_demo")
    leave_encoder(folder)
    config = EncoderConfig(str(folder), from_run=str(folder))
    assert config.label == "lora_demo"
    left = build_encoder(config).eval()
    ids = torch.randint(5, 20, (2, 7))
    with torch.no_grad():
        expected, found = (each(ids, torch.ones_like(ids)) for each in (tuned.encoder, left))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert lineage_of(config)["from"]["name"] == tiny_encoder.label
    written = (folder / "encoder" / "model.safetensors").stat().st_mtime_ns
    leave_encoder(folder)
    assert (folder / "encoder" / "model.safetensors").stat().st_mtime_ns == written
    with pytest.raises(TransferlabError, match="no checkpoint"):
        leave_encoder(tmp_path / "runs")


def test_a_pretraining_is_measured_with_the_head_that_it_left(tmp_path, language_folder):
    from safetensors.torch import load_file, save_file

    from transferlab.encoders import EncoderConfig, build_encoder
    from transferlab.encoders.content import content_of
    from transferlab.use.forgetting.measure import tuned_model
    from transferlab.use.forgetting.perplexity import perplexity

    run = tmp_path / "run"
    shutil.copytree(language_folder, run / "encoder")
    weights = run / "encoder" / "model.safetensors"
    torch.manual_seed(0)
    moved = {name: value + 0.05 * torch.randn_like(value) for name, value in load_file(weights).items()}
    save_file(moved, weights, metadata={"format": "pt"})
    before, left = EncoderConfig(str(language_folder)), EncoderConfig(str(run))
    summary = {"kind": "pretraining", "base": {"weights": content_of(before).weights}}
    (run / "summary.json").write_text(json.dumps(summary))
    (run / "config.yaml").write_text(yaml.safe_dump({"encoder": {"name": str(language_folder), "revision": None}}))
    model = tuned_model(run)
    assert model.encoder_config.name == str(language_folder)
    name = "encoder.layer.0.output.dense.weight"
    assert torch.equal(model.encoder.backbone.state_dict()[name].cpu(), moved[f"bert.{name}"])
    texts = ["a film is great", "the film is terrible and bad", "good film"] * 4
    found = perplexity(before, model.encoder.backbone, texts, left)
    alone = [perplexity(config, build_encoder(config).backbone, texts) for config in (before, left)]
    assert (found.original, found.tuned) == pytest.approx((alone[0].original, alone[1].original))
    # under the head of before it is another one
    assert perplexity(before, model.encoder.backbone, texts).tuned != pytest.approx(found.tuned)
    (run / "summary.json").write_text(json.dumps({**summary, "base": {"weights": "0" * 16}}))
    with pytest.raises(TransferlabError, match="started from the weights 0000000000000000"):
        tuned_model(run)
    (run / "config.yaml").write_text(yaml.safe_dump({"encoder": {"new": {"layers": 1}}}))
    with pytest.raises(TransferlabError, match="began with random weights"):
        tuned_model(run)
