import json
import os
from dataclasses import replace

import pytest
import torch
from conftest import WORDS, build_bert, demo_words, logits_of

from transferlab.encoders import EncoderConfig
from transferlab.encoders.layers import layer_list
from transferlab.encoders.taps import tapped
from transferlab.ground.errors import TransferlabError
from transferlab.learning import inner
from transferlab.learning.cache import CacheConfig, Work
from transferlab.learning.ensemble import mean_logits
from transferlab.learning.inner import Inner
from transferlab.learning.losses import distillation_loss, task_loss
from transferlab.learning.optim import Schedule
from transferlab.strategies import Distillation, FullFineTuning, ParameterEfficient, frozen
from transferlab.strategies.forward import encoder_inputs, first_pieces
from transferlab.strategies.teacher import align, load_teacher, restore
from transferlab.tasks import TaskDataModule
from transferlab.tasks.augmentation import Augment, Unlabelled
from transferlab.tasks.copied import TRAINED, UNLABELLED


def train_run(root, encoder, files, kind, strategy="FullFineTuning"):
    """Makes a run folder as the command line does."""
    import yaml

    from transferlab.cli.train import TransferCLI

    source = files[kind]
    windows = {"truncation": "windows", "max_length": 16} if kind == "windows" else {"max_length": 64}
    tree = {
        "encoder": {"name": encoder.name, "layers": encoder.layers, "pooling": "max"},
        "run": {"experiment": f"teacher_{kind}", "root": str(root)},
        "data": {
            "class_path": "transferlab.tasks.TaskDataModule",
            "init_args": {
                "task": f"tiny_{kind}",
                "source": {
                    "files": source.files,
                    "text": list(source.text),
                    "label": source.label,
                    "kind": source.kind,
                    "labels": list(source.labels),
                    "test": ["test"],
                },
                "batch_size": 8,
                **windows,
            },
        },
        "model": {
            "class_path": f"transferlab.strategies.{strategy}",
            "init_args": {
                "head": {"kind": "mlp", "hidden": 8, "lr": 0.01},
                "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01}},
                "schedule": {"kind": "constant", "warmup": 0.0},
            },
        },
        "trainer": {"accelerator": "cpu", "devices": 1, "max_epochs": 1, "logger": False, "log_every_n_steps": 1},
    }
    root.mkdir(parents=True, exist_ok=True)
    (root / "teacher.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    os.environ.pop("TRANSFERLAB_RUN_DIR", None)
    TransferCLI(["fit", "--config", str(root / "teacher.yaml")])
    return next((root / f"teacher_{kind}").glob("*"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_encoder, deep_encoder, files):
    """Finished runs by kind, made when they are asked for."""
    made = {}

    def get(kind="classification", strategy="FullFineTuning"):
        if (kind, strategy) not in made:
            before = dict(os.environ)
            # the teacher of words has another vocabulary, and so cuts words into other pieces
            encoder = deep_encoder if kind == "tagging" else tiny_encoder
            made[kind, strategy] = train_run(tmp_path_factory.mktemp("runs"), encoder, files, kind, strategy)
            os.environ.clear()
            os.environ.update(before)
        return made[kind, strategy]

    return get


def adamw(parameters):
    return torch.optim.AdamW(parameters, lr=1e-2)


def student(module, encoder, **options):
    settings = {"optimizer": adamw, "schedule": Schedule("constant", 0.0), **options}
    return Distillation(task=module.spec, encoder=encoder, **settings)


def batches(loader):
    return list(iter(loader))


# runs as teachers ------------------------------------------------------------------------------------------------


def test_a_run_is_rebuilt_as_it_ended(runs, data):
    run = runs()
    teacher = restore(run)
    assert not teacher.training
    assert teacher.encoder_config.pooling == "max"
    stored = [json.loads(line) for line in (run / "predictions" / "test.jsonl").read_text().splitlines()]
    batch = next(iter(data().whole_split("test")))
    logits = dict(zip(batch.index.tolist(), logits_of(teacher, batch), strict=True))
    assert len(stored) == 8
    for line in stored:
        guess = teacher.task.labels[int(logits[line["id"]].argmax())]
        assert guess == line["prediction"], line


@pytest.mark.parametrize("kind", ["classification", "regression", "windows"])
def test_teacher_logits_stand_beside_their_rows(kind, runs, data, tiny_encoder):
    module = data(kind)
    model = student(module, tiny_encoder, teacher=str(runs(kind)))
    model.wrap_data(module)
    teacher = restore(runs(kind))
    for batch in batches(module.train_dataloader())[:2]:
        torch.testing.assert_close(batch.teacher, logits_of(teacher, batch), atol=1e-5, rtol=0)
    assert batches(module.whole_split("test"))[0].teacher is None


def test_logits_per_word_with_another_tokenizer(runs, data, tiny_encoder, deep_encoder):
    module = data("tagging")
    model = student(module, tiny_encoder, teacher=str(runs("tagging")))
    teacher = restore(runs("tagging"))
    assert teacher.encoder_config.name == deep_encoder.name
    model.wrap_data(module, Work(CacheConfig(precision="32")))
    view = module.with_encoder(teacher.encoder_config)
    assert not view.attached
    split = view.encoded("train")
    different = 0
    for batch in batches(module.train_dataloader())[:2]:
        other = split.collate(batch.index.tolist())
        different += not torch.equal(other.words, batch.words)
        expected = logits_of(teacher, other)
        assert batch.teacher.shape == (*batch.words.shape, 7)
        torch.testing.assert_close(batch.teacher[batch.word_mask], expected[batch.word_mask], atol=1e-5, rtol=0)
        assert not batch.teacher[~batch.word_mask].any()
    assert different


def test_the_teacher_is_asked_once(runs, data, tiny_encoder, monkeypatch):
    student(data(), tiny_encoder, teacher=str(runs())).wrap_data(data())
    monkeypatch.setattr(frozen, "_batches", lambda *_: pytest.fail("asked again"))
    student(data(), tiny_encoder, teacher=str(runs())).wrap_data(data())


def test_in_a_single_epoch_the_teacher_is_asked_in_every_step(runs, data, tiny_encoder):
    module = data()
    model = student(module, tiny_encoder, teacher=str(runs()))
    model.wrap_data(module, Work(epochs=1))
    assert not module.attached
    assert model.frozen_work == ["teacher in every step: a single epoch sees each example once anyway"]
    batch = batches(module.train_dataloader())[0]
    logits, answer = logits_of(model, batch), logits_of(restore(runs()), batch)
    expected = distillation_loss(model.task.kind, logits, answer, batch.labels, 0.5, 2.0, None)
    torch.testing.assert_close(model.loss(logits, batch), expected)
    assert not any("teacher" in name for name in model.state_dict())


def test_without_room_a_teacher_with_other_tokens_is_refused(runs, data, tiny_encoder):
    model = student(data("tagging"), tiny_encoder, teacher=str(runs("tagging")))
    with pytest.raises(
        TransferlabError, match=r"must be cached on disk, but teacher in every step: cache.enabled is false"
    ):
        model.wrap_data(data("tagging"), Work(CacheConfig(enabled=False)))


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("kind", ["classification", "windows", "tagging"])
def test_vectors_are_pulled_towards_the_teachers(kind, epochs, runs, data, tiny_encoder, deep_encoder, fit):
    encoder = deep_encoder if kind == "tagging" else tiny_encoder
    module = data(kind, encoder)
    run = runs(kind)
    model = student(module, encoder, teacher=str(run), alpha=1.0, beta=2.0)
    model.wrap_data(module, Work(CacheConfig(precision="32"), epochs=epochs))
    assert bool(module.attached) == (epochs > 1)
    model.eval()
    batch = batches(module.train_dataloader())[0]
    loss = model.loss(model(batch), batch)
    with torch.no_grad():
        own, given = model.represent(batch)[0], restore(run).represent(batch)[0]
        plain = task_loss(
            model.task.kind, model(batch), batch.labels, None if batch.words is None else batch.words >= 0
        )
    distance = (own / own.norm(dim=-1, keepdim=True) - given / given.norm(dim=-1, keepdim=True)).square().sum(-1)
    expected = plain + 2 * (distance if batch.words is None else distance[batch.words >= 0]).mean()
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-4)
    assert distance.mean() > 0.01
    assert fit(model, module).global_step == 4


def test_vectors_of_another_width_are_refused(runs, data, tiny_encoder):
    encoder = replace(tiny_encoder, architecture="bilstm", lstm_size=5)
    model = student(data(), encoder, teacher=str(runs()), beta=1.0)
    with pytest.raises(TransferlabError, match=r"model\.beta: the vectors of .* cannot be compared with .*10 wide"):
        model.wrap_data(data())


@pytest.mark.parametrize("kind", ["classification", "regression", "tagging"])
def test_trains_on_labels_and_teacher(kind, runs, data, tiny_encoder, fit):
    module = data(kind)
    model = student(module, tiny_encoder, teacher=str(runs(kind)), alpha=0.3, temperature=3.0)
    batch = batches(model.wrap_data(module).train_dataloader())[0]
    logits = logits_of(model, batch)
    mask = None if batch.words is None else batch.words >= 0
    expected = distillation_loss(model.task.kind, logits, batch.teacher, batch.labels, 0.3, 3.0, mask)
    torch.testing.assert_close(model.loss(logits, batch), expected)
    assert not torch.allclose(expected, task_loss(model.task.kind, logits, batch.labels, mask))
    trainer = fit(model, module)
    assert trainer.global_step == 4
    assert trainer.test(model, module, verbose=False)


def test_a_run_says_its_precision_and_what_it_kept(runs, tmp_path, files, tiny_encoder, monkeypatch):
    monkeypatch.setattr("transferlab.ground.hardware.best_precision", lambda accelerator: "32-true")
    run = train_run(tmp_path, tiny_encoder, files, "classification", "FeatureExtraction")
    assert "precision: 32-true" in (run / "config.yaml").read_text()
    summary = json.loads((run / "summary.json").read_text())
    assert summary["precision"] == "32-true"
    assert summary["frozen_work"][0].startswith("features of 48 examples, computed in ")


def test_the_name_of_the_task_is_filled_in(data, tiny_encoder):
    assert student(data(), tiny_encoder, teacher="full_{task}").teacher_name == "full_tiny_classification"


def test_the_newest_run_of_an_experiment_is_the_teacher(runs, data, monkeypatch):
    run = runs()
    monkeypatch.chdir(run.parent.parent.parent)
    os.symlink(run.parent.parent, "runs")
    assert load_teacher("teacher_classification", data().spec).labels == ("negative", "positive")
    os.unlink("runs")


# without a teacher -----------------------------------------------------------------------------------------------


def test_alpha_one_equals_plain_training(data, tiny_encoder, fit):
    states = []
    for strategy, options in ((Distillation, {"alpha": 1.0}), (FullFineTuning, {})):
        torch.manual_seed(3)
        module = data()
        model = strategy(
            task=module.spec, encoder=tiny_encoder, optimizer=adamw, schedule=Schedule("linear", 0.1), **options
        )
        torch.manual_seed(4)
        fit(model, model.wrap_data(module))
        states.append(model.state_dict())
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0.5}, "model.teacher: name a run directory.*or set model.alpha: 1"),
        ({"alpha": 1.5}, r"model.alpha: 1.5 is not in \[0, 1\]"),
        ({"alpha": 1.0, "beta": -1.0}, "model.beta: -1.0 is below 0"),
        ({"alpha": 1.0, "beta": 1.0}, "model.teacher: name a run directory"),
        ({"alpha": 1.0, "temperature": 0.0}, "model.temperature: 0.0 is not above 0"),
    ],
)
def test_arguments_without_meaning(options, message, data, tiny_encoder):
    with pytest.raises(TransferlabError, match=message):
        student(data(), tiny_encoder, **options)


def test_a_teacher_that_is_nowhere(data, tiny_encoder):
    with pytest.raises(TransferlabError, match="no_such_run"):
        student(data(), tiny_encoder, teacher="no_such_run").wrap_data(data())


# students --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_the_student_starts_from_the_layers_of_the_teacher(alpha, runs, data, tiny_encoder):
    module = data()
    encoder = replace(tiny_encoder, keep_layers=(1,))
    model = student(module, encoder, teacher=str(runs()), alpha=alpha, from_teacher=True)
    model.wrap_data(module)
    teacher = restore(runs()).encoder.backbone
    own, given = layer_list(model.encoder.backbone)[1], layer_list(teacher)[1]
    for name, value in own[0].state_dict().items():
        assert torch.equal(value, given[1].state_dict()[name])
    name = "embeddings.word_embeddings.weight"
    assert torch.equal(model.encoder.backbone.state_dict()[name], teacher.state_dict()[name])
    plain = student(module, encoder, alpha=1.0).encoder.backbone.state_dict()
    assert not torch.equal(plain[name], teacher.state_dict()[name])


@pytest.mark.parametrize("case", ["whole", "other", "bilstm", "lora"])
def test_layers_that_cannot_be_copied(case, runs, data, tiny_encoder, deep_encoder):
    encoder = {
        "whole": tiny_encoder,
        "other": replace(deep_encoder, keep_layers=(1,)),
        "bilstm": replace(tiny_encoder, architecture="bilstm"),
        "lora": replace(tiny_encoder, keep_layers=(1,)),
    }[case]
    run = runs("classification", "ParameterEfficient" if case == "lora" else "FullFineTuning")
    model = student(data(), encoder, teacher=str(run), from_teacher=True)
    with pytest.raises(TransferlabError, match=r"model\.from_teacher"):
        model.wrap_data(data())


def test_lora_teaches(runs, data, tiny_encoder):
    run = runs("classification", "ParameterEfficient")
    assert isinstance(restore(run), ParameterEfficient)
    module = data()
    student(module, tiny_encoder, teacher=str(run)).wrap_data(module)
    assert batches(module.train_dataloader())[0].teacher.shape == (4, 2)


def test_a_bilstm_learns_from_a_transformer(runs, data, tiny_encoder, fit):
    encoder = replace(tiny_encoder, architecture="bilstm", lstm_size=8)
    module = data()
    model = student(module, encoder, teacher=str(runs()))
    trainer = fit(model, model.wrap_data(module))
    assert trainer.global_step == 4
    assert all(parameter.requires_grad for parameter in model.parameters())


# labels and kinds ------------------------------------------------------------------------------------------------


def test_labels_are_matched_by_name():
    assert align(("b", "A", "c"), ("a", "b", "C")) == [1, 0, 2]
    assert align((), ()) == []
    for teacher in (("a", "b"), ("LABEL_0", "LABEL_1", "LABEL_2"), ("a", "b", "c", "d"), ("a", "a", "b")):
        with pytest.raises(TransferlabError, match="cannot be matched by name"):
            align(teacher, ("a", "b", "c"))


def test_a_teacher_of_another_kind(runs, data, tiny_encoder):
    with pytest.raises(TransferlabError, match="was trained for regression, this task is classification"):
        student(data(), tiny_encoder, teacher=str(runs("regression"))).wrap_data(data())


def test_a_teacher_of_other_labels(runs, files, tiny_encoder):
    source = replace(files["windows"], kind="classification")
    module = TaskDataModule("numbers", tiny_encoder, source=source)
    module.setup("fit")
    assert module.spec.labels == ("0", "1")
    with pytest.raises(TransferlabError, match=r"\['negative', 'positive'\] cannot be matched"):
        student(module, tiny_encoder, teacher=str(runs())).wrap_data(module)


def test_an_unfinished_run(tmp_path, data, tiny_encoder):
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(TransferlabError, match="holds no checkpoint"):
        student(data(), tiny_encoder, teacher=str(tmp_path)).wrap_data(data())


# models of the Hub -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """Saves a model with a head as the Hub holds them."""

    def save(model="BertForSequenceClassification", **options):
        return str(build_bert(tmp_path_factory.mktemp("hub") / "teacher", model=model, **options))

    return save


def names(*labels):
    return {"id2label": dict(enumerate(labels)), "label2id": {label: n for n, label in enumerate(labels)}}


@pytest.mark.parametrize("kind", ["classification", "windows"])
def test_a_model_of_the_hub_teaches_in_the_order_of_the_task(kind, hub, files, data, tiny_encoder):
    labels = ("POSITIVE", "NEGATIVE") if kind == "classification" else ("1", "0")
    name = hub(**names(*labels))
    module = data(kind)
    student(module, tiny_encoder, teacher=name).wrap_data(module)
    teacher = load_teacher(name, module.spec)
    view = module.with_encoder(EncoderConfig(name))
    batch = batches(module.train_dataloader())[0]
    other = view.encoded("train").collate(batch.index.tolist())
    with torch.no_grad():
        logits = teacher.module(other)
    assert logits.shape == (4, 2)
    torch.testing.assert_close(batch.teacher, logits[:, [1, 0]], atol=1e-5, rtol=0)


def test_a_tagger_of_the_hub(hub, data, tiny_encoder):
    module = data("tagging")
    labels = module.spec.labels
    name = hub("BertForTokenClassification", **names(*reversed(labels)))
    student(module, tiny_encoder, teacher=name).wrap_data(module)
    batch = batches(module.train_dataloader())[0]
    assert batch.teacher.shape == (*batch.words.shape, 7)
    assert torch.isfinite(batch.teacher).all()


def test_a_multilabel_model_of_the_hub(hub, data, tiny_encoder):
    module = data("multilabel")
    name = hub(problem_type="multi_label_classification", **names(*reversed(module.spec.labels)))
    student(module, tiny_encoder, teacher=name).wrap_data(module)
    assert next(iter(module.train_dataloader())).teacher.shape == (4, 3)
    with pytest.raises(TransferlabError, match="was trained for classification, this task is multilabel"):
        student(module, tiny_encoder, teacher=hub(**names(*module.spec.labels))).wrap_data(module)


def test_a_regression_model_of_the_hub(hub, data, tiny_encoder):
    module = data("regression")
    student(module, tiny_encoder, teacher=hub(num_labels=1)).wrap_data(module)
    assert batches(module.train_dataloader())[0].teacher.shape == (4,)


def test_nameless_labels_of_the_hub(hub, data, tiny_encoder):
    with pytest.raises(TransferlabError, match=r"\['LABEL_0', 'LABEL_1'\] cannot be matched by name"):
        student(data(), tiny_encoder, teacher=hub(num_labels=2)).wrap_data(data())


def test_kinds_of_the_hub_that_do_not_fit(hub, data, tiny_encoder):
    labels = data("tagging").spec.labels
    texts, number = hub(**names(*labels)), hub(num_labels=1)
    for kind, name, found in (
        ("regression", texts, "classification"),
        ("tagging", texts, "classification"),
        ("classification", number, "regression"),
    ):
        with pytest.raises(TransferlabError, match=f"was trained for {found}"):
            student(data(kind), tiny_encoder, teacher=name).wrap_data(data(kind))


def test_a_model_without_a_head_does_not_teach(hub, data, tiny_encoder):
    """transformers would give it a head of random weights."""
    name = hub("BertModel", **names("negative", "positive"))
    with pytest.raises(TransferlabError, match="no head"):
        student(data(), tiny_encoder, teacher=name).wrap_data(data())


# from the inside ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wide_encoder(tmp_path_factory):
    """A BERT that is half as wide as the others and has the same tokens."""
    folder = tmp_path_factory.mktemp("models") / "narrow"
    build_bert(folder, words=[*WORDS, *demo_words()])
    settings = json.loads((folder / "config.json").read_text())
    import transformers

    config = transformers.BertConfig(**{**settings, "hidden_size": 16, "num_attention_heads": 2})
    torch.manual_seed(0)
    transformers.BertModel(config).save_pretrained(folder)
    return EncoderConfig(name=str(folder))


def taught(module, encoder, run, on, epochs=2, **options):
    """A student in evaluation mode, a batch, what both see and the inner loss."""
    torch.manual_seed(1)
    model = student(module, encoder, teacher=str(run), alpha=1.0, inner=on, **options)
    model.wrap_data(module, Work(CacheConfig(precision="32"), epochs=epochs))
    model.eval()
    batch = next(iter(module.train_dataloader()))
    model(batch)
    return model, batch, model.inner_loss(batch)


def both(model, batch, run, attention=False):
    teacher = restore(run)
    with torch.no_grad():
        with tapped(model.encoder.backbone, attention) as own:
            model.encoder(**encoder_inputs(batch))
        with tapped(teacher.encoder.backbone, attention) as given:
            teacher.encoder(**encoder_inputs(batch))
    return own, given, teacher


def test_all_terms_add_up(runs, data, tiny_encoder):
    on = Inner(hidden=2.0, embeddings=0.5, attention=3.0, relations=0.7, patient=1.5)
    model, batch, loss = taught(data(), tiny_encoder, runs(), on)
    own, given, teacher = both(model, batch, runs(), True)
    mask = batch.attention_mask.bool()
    hidden = sum(inner.hidden_loss(own.states[n], given.states[n], mask) for n in (1, 2)) / 2
    first = inner.hidden_loss(own.states[0], given.states[0], mask)
    maps = [[inner.scores(one.queries[n], one.keys[n], 4) for n in (1, 2)] for one in (own, given)]
    attention = sum(inner.attention_loss(maps[0][n], maps[1][n], mask) for n in (0, 1)) / 2
    values = [inner.scores(one.values[2], one.values[2], 4) for one in (own, given)]
    relations = (inner.relation_loss(maps[0][1], maps[1][1], mask) + inner.relation_loss(*values, mask)) / 2
    pooled = [module.encoder.pool(one.states[1], mask) for module, one in ((model, own), (teacher, given))]
    apart = torch.nn.functional.normalize(pooled[0], dim=-1) - torch.nn.functional.normalize(pooled[1], dim=-1)
    patient = apart.square().sum(-1).mean()
    expected = 2 * hidden + 0.5 * first + 3 * attention + 0.7 * relations + 1.5 * patient
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-4)
    plain = student(data(), tiny_encoder, alpha=1.0)
    plain.load_state_dict(model.state_dict())
    torch.testing.assert_close(model.loss(model(batch), batch), plain.eval().loss(plain(batch), batch) + loss)
    assert model.is_taught
    assert not any("teacher" in name for name in model.state_dict())


@pytest.mark.parametrize("on", [{"hidden": 1.0}, {"hidden": 1.0, "form": "cosine"}, {"hidden": 1.0, "form": "cka"}])
def test_another_width_has_a_map_that_is_trained_and_resumed(on, runs, data, wide_encoder, fit, tmp_path):
    module = data(encoder=wide_encoder)
    model, batch, loss = taught(module, wide_encoder, runs(), Inner(**on))
    own, given, _ = both(model, batch, runs())
    states = [own.states[n] if model.project is None else model.project(own.states[n]) for n in (1, 2)]
    terms = [
        inner.hidden_loss(one, given.states[n], batch.attention_mask.bool(), on.get("form"))
        for n, one in enumerate(states, 1)
    ]
    torch.testing.assert_close(loss, sum(terms) / 2, atol=1e-5, rtol=1e-4)
    assert (model.project is None) == (on.get("form") == "cka")
    if model.project is not None:
        before = model.project.weight.clone()
        trainer = fit(model, module)
        assert not torch.equal(before, model.project.weight)
        trainer.save_checkpoint(tmp_path / "x.ckpt")
        kept = torch.load(tmp_path / "x.ckpt", weights_only=False)
        assert torch.equal(kept["inner"]["weight"], model.project.weight)
        assert not any(name.startswith("project") for name in kept["state_dict"])
        # who reads the run needs no teacher
        other = student(module, wide_encoder, alpha=1.0)
        other.on_load_checkpoint(kept)
        other.load_state_dict(kept["state_dict"], strict=False)
        torch.testing.assert_close(logits_of(other, batch), logits_of(model, batch))


def test_cka_needs_no_map_where_pooled_vectors_have_one(runs, data, wide_encoder):
    model, batch, loss = taught(
        data(encoder=wide_encoder), wide_encoder, runs(), Inner(hidden=1, form="cka", patient=2)
    )
    own, given, teacher = both(model, batch, runs())
    mask = batch.attention_mask.bool()
    hidden = sum(1 - inner.cka(own.states[n][mask], given.states[n][mask]) for n in (1, 2)) / 2
    pooled = model.project(model.encoder.pool(own.states[1], mask)), teacher.encoder.pool(given.states[1], mask)
    apart = torch.nn.functional.normalize(pooled[0], dim=-1) - torch.nn.functional.normalize(pooled[1], dim=-1)
    torch.testing.assert_close(loss, hidden + 2 * apart.square().sum(-1).mean(), atol=1e-5, rtol=1e-4)


def test_relations_of_other_numbers_of_heads(runs, data, wide_encoder):
    module = data(encoder=wide_encoder)
    on = Inner(relations=1.0, relations_of=("query", "key", "value"), relation_heads=8)
    model, batch, loss = taught(module, wide_encoder, runs(), on)
    own, given, _ = both(model, batch, runs(), True)
    mask = batch.attention_mask.bool()
    terms = [
        inner.relation_loss(inner.scores(one[2], one[2], 8), inner.scores(other[2], other[2], 8), mask)
        for one, other in ((own.queries, given.queries), (own.keys, given.keys), (own.values, given.values))
    ]
    torch.testing.assert_close(loss, sum(terms) / 3, atol=1e-5, rtol=1e-4)
    with pytest.raises(TransferlabError, match="student has 2 heads and the teacher 4"):
        taught(module, wide_encoder, runs(), Inner(attention=1.0))


def test_hidden_states_of_words_with_another_tokenizer(runs, data, tiny_encoder, fit):
    module = data("tagging")
    model, *_ = taught(module, tiny_encoder, runs("tagging"), Inner(hidden=1.0, layers=(2, 4)))
    teacher = restore(runs("tagging"))
    view = module.with_encoder(teacher.encoder_config).encoded("train")
    # words that lie elsewhere for the teacher
    sides = [(batch, view.collate(batch.index.tolist())) for batch in module.train_dataloader()]
    batch, other = next((one, two) for one, two in sides if not torch.equal(one.words, two.words))
    model(batch)
    loss = model.inner_loss(batch)
    own = model.encoder.states(**encoder_inputs(batch))
    given = teacher.encoder.states(**encoder_inputs(other))
    mask = (batch.words >= 0) & (other.words >= 0)
    terms = [
        inner.hidden_loss(first_pieces(own[n], batch.words), first_pieces(given[of], other.words), mask)
        for n, of in ((1, 2), (2, 4))
    ]
    torch.testing.assert_close(loss, sum(terms) / 2, atol=1e-5, rtol=1e-4)
    assert fit(model, module).global_step == 4
    with pytest.raises(TransferlabError, match="reads other tokens than the student"):
        taught(data("tagging"), tiny_encoder, runs("tagging"), Inner(relations=1.0))


@pytest.mark.parametrize(
    ("on", "change", "message"),
    [
        ({"attention": 1.0}, {"architecture": "bilstm"}, "want a query, a key and a value"),
        ({"embeddings": 1.0}, {"architecture": "bilstm"}, "those of a BiLSTM have another width"),
        ({"patient": 1.0}, {"architecture": "bilstm"}, "it is of layers below the last one"),
        ({"patient": 1.0, "layers": (0, 1)}, {}, "it is of layers below the last one"),
        ({"hidden": 1.0, "layers": (3,)}, {}, r"model\.inner\.layers"),
    ],
)
def test_what_cannot_be_compared_is_refused(on, change, message, runs, data, tiny_encoder):
    with pytest.raises(TransferlabError, match=message):
        taught(data(), replace(tiny_encoder, **change), runs(), Inner(**on))


def test_a_bilstm_learns_hidden_states_of_the_last_layer(runs, data, tiny_encoder, fit):
    module = data()
    encoder = replace(tiny_encoder, architecture="bilstm", lstm_size=8)
    model, _, loss = taught(module, encoder, runs(), Inner(hidden=1.0))
    assert loss > 0
    assert fit(model, module).global_step == 4


def test_settings_that_do_nothing_are_told_and_wrong_ones_refused(data, tiny_encoder):
    on = Inner(form="cka", relations_of=("value",), relation_heads=2, layers="last")
    keys = {f"model.inner.{name}" for name in ("form", "relations_of", "relation_heads", "layers")}
    assert set(student(data(), tiny_encoder, alpha=1.0, inner=on).without_effect()) >= keys
    for made in (lambda: Inner(hidden=0.0), lambda: Inner(relation_heads=0), lambda: Inner(relations_of=())):
        with pytest.raises(TransferlabError, match=r"model\.inner\."):
            made()
    with pytest.raises(TransferlabError, match=r"model\.teacher: name a run"):
        student(data(), tiny_encoder, alpha=1.0, inner=Inner(hidden=1.0))
    for options in ({"alpha": 1.0}, {"teachers": {"x": -1.0}}):
        with pytest.raises(TransferlabError, match=r"model\.teachers"):
            student(data(), tiny_encoder, **{"teacher": "a", "teachers": {"x": 1.0}, **options})


@pytest.mark.parametrize("kind", ["classification", "tagging"])
def test_several_teachers(kind, runs, data, tiny_encoder):
    other = runs(kind, "ParameterEfficient") if kind == "classification" else runs(kind)
    module = data(kind)
    model = student(module, tiny_encoder, teacher=str(runs(kind)), teachers={str(other): 3.0})
    model.wrap_data(module, Work(CacheConfig(precision="32"), epochs=1))
    batch = next(iter(module.train_dataloader()))
    logits = []
    for run in (runs(kind), other):
        teacher = restore(run)
        view = module.with_encoder(teacher.encoder_config).encoded("train").collate(batch.index.tolist())
        logits.append(logits_of(teacher, view))
    expected, real = (
        mean_logits(module.spec, logits, (1, 3), 2.0),
        slice(None) if batch.words is None else batch.word_mask,
    )
    torch.testing.assert_close(batch.teacher[real], expected[real], atol=1e-4, rtol=0)
    assert model._content().count("+") == 1


# more texts ---------------------------------------------------------------------------------------------------------


def test_the_teacher_answers_to_copies(runs, data, tiny_encoder):
    module = data(augment=Augment(copies=1))
    model = student(module, tiny_encoder, teacher=str(runs()))
    model.wrap_data(module, Work(CacheConfig(precision="32")))
    assert set(module.attached["teacher"]) == {TRAINED}
    batch = module.encoded(TRAINED).collate([40, 41, 42])
    answer = module.attached["teacher"][TRAINED].of(batch)
    torch.testing.assert_close(answer, logits_of(restore(runs()), batch), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["classification", "tagging"])
@pytest.mark.parametrize("epochs", [1, 2])
def test_unlabelled_texts_are_imitated(kind, epochs, runs, data, tiny_encoder, deep_encoder, fit):
    encoder = deep_encoder if kind == "tagging" else tiny_encoder
    module = data(kind, encoder, train_examples=10, unlabelled=Unlabelled(split="train", batch_size=3))
    model = student(module, encoder, teacher=str(runs(kind)), alpha=0.3)
    model.take_unlabelled(module)
    model.wrap_data(module, Work(CacheConfig(precision="32"), epochs=epochs))
    assert (UNLABELLED in module.attached.get("teacher", {})) == (epochs > 1)
    model.eval()
    texts, copies = module.unlabelled_batch(2)
    assert copies is None
    answer = logits_of(restore(runs(kind)), texts)
    labels = torch.zeros(answer.shape[:-1], dtype=torch.long)
    mask = None
    if texts.words is not None:
        mask = texts.words >= 0
        labels[~mask] = -100
    expected = distillation_loss(kind, model(texts), answer, labels, 0.0, 2.0, mask)
    torch.testing.assert_close(model.unlabelled_loss(texts, None), 0.7 * expected, atol=1e-5, rtol=1e-4)
    assert fit(model, module, limit_train_batches=2).global_step == 2
