"""Word embeddings of which only the rows learn that occur: against the training of all rows."""

import copy

import lightning as L
import pytest
import torch
from test_encoders import FAMILIES, MASK, backbone_of
from test_encoders import IDS as TEXTS
from torch import nn

from transferlab import FrozenWork
from transferlab.encoders import EncoderConfig
from transferlab.encoders.recurrent import RecurrentBackbone
from transferlab.learning.cache import CacheConfig
from transferlab.learning.steady import Steady
from transferlab.strategies import Contrastive, Distillation, FromScratch, FullFineTuning, Prompting, occurring
from transferlab.tasks.augmentation import Augment

IDS = torch.tensor([0, 2, 3])
BATCHES = [torch.tensor(ids) for ids in ([0, 2, 2], [3, 0, 2], [2, 2, 2], [3, 3, 0])]


class Words(nn.Module):
    """An encoder that is nothing but embeddings, of which row 0 is that of padding."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(6, 4, padding_idx=0)
        nn.init.normal_(self.words.weight)
        self.other = nn.Linear(4, 1)

    def get_input_embeddings(self):
        return self.words

    def set_input_embeddings(self, words):
        self.words = words


def adamw(model, **options):
    return torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5, **options)


def train(model, optimizer, batches=BATCHES):
    for ids in batches:
        optimizer.zero_grad()
        model.other(model.words(ids)).pow(2).mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.05)
        optimizer.step()


@pytest.mark.parametrize("fused", [False, True])
def test_rows_that_occur_learn_as_ever_and_the_others_decay(fused):
    plain = Words()
    start = plain.words.weight.detach().clone()
    model = copy.deepcopy(plain)
    train(plain, adamw(plain, fused=fused))
    optimizer = adamw(model, fused=fused)
    rows = occurring.Training(model, optimizer, IDS, None)
    assert model.words.weight.shape == (3, 4)
    train(model, optimizer)
    written = model.state_dict()["words.weight"]
    rows.end()
    assert torch.equal(written, model.words.weight)
    assert torch.equal(written[IDS], plain.words.weight[IDS])
    # four steps, each of them times 1 - 0.1 * 0.5
    torch.testing.assert_close(written[[1, 4, 5]], start[[1, 4, 5]] * 0.95**4)
    torch.testing.assert_close(written, plain.words.weight.detach(), rtol=2e-7, atol=0)
    assert torch.equal(model.other.weight, plain.other.weight)


def test_the_optimizer_is_left_as_one_that_trained_all_rows():
    plain = Words()
    model = copy.deepcopy(plain)
    expected, found = adamw(plain), adamw(model)
    train(plain, expected, BATCHES[:2])
    train(model, found, BATCHES[:2])
    rows = occurring.Training(model, found, IDS, None)
    train(plain, expected, BATCHES[2:])
    train(model, found, BATCHES[2:])
    rows.end()
    known, kept = (o.state_dict()["state"][0] for o in (expected, found))
    assert known.keys() == kept.keys()
    assert all(torch.equal(known[name], kept[name]) for name in known)


def test_all_ids_are_read_in_evaluation_and_none_unknown_in_training():
    model = Words()
    optimizer = adamw(model)
    occurring.Training(model, optimizer, IDS, None)
    train(model, optimizer)
    everything = torch.arange(6)
    model.eval()
    assert torch.equal(model.words(everything[None])[0], model.state_dict()["words.weight"])
    model.train()
    with pytest.raises(IndexError):
        model.words(torch.tensor([1]))


def test_a_resumed_run_goes_on_bit_for_bit():
    model = Words()
    other = copy.deepcopy(model)
    optimizer = adamw(model)
    rows = occurring.Training(model, optimizer, IDS, None)
    train(model, optimizer, BATCHES[:2])
    checkpoint = {
        "state_dict": {name: value.clone() for name, value in model.state_dict().items()},
        "optimizer_states": [optimizer.state_dict()],
    }
    rows.save(checkpoint)
    checkpoint = copy.deepcopy(checkpoint)
    # a version that does not know of such rows
    with pytest.raises(ValueError, match="doesn't match the size"):
        adamw(Words()).load_state_dict(checkpoint["optimizer_states"][0])
    train(model, optimizer, BATCHES[2:])
    resumed = occurring.load(checkpoint)
    other.load_state_dict(checkpoint["state_dict"])
    again = adamw(other)
    again.load_state_dict(checkpoint["optimizer_states"][0])
    # as any optimizer of all rows could go on from it
    assert again.state[other.words.weight]["exp_avg"].shape == (6, 4)
    occurring.Training(other, again, IDS, resumed)
    train(other, again, BATCHES[2:])
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())


def changed(change):
    model = Words()
    change(model)
    return model


@pytest.mark.parametrize(
    ("model", "optimizer", "ids", "why"),
    [
        (Words(), torch.optim.SGD, IDS, "only with AdamW"),
        (Words(), torch.optim.Adam, IDS, "only with AdamW"),
        (nn.Linear(2, 2), torch.optim.AdamW, IDS, "names no embeddings"),
        (changed(lambda m: m.words.requires_grad_(False)), torch.optim.AdamW, IDS, "do not learn"),
        (changed(lambda m: setattr(m, "tied", m.words)), torch.optim.AdamW, IDS, "used twice"),
        (changed(lambda m: setattr(m.words, "max_norm", 1.0)), torch.optim.AdamW, IDS, "of a form of their own"),
        (Words(), torch.optim.AdamW, torch.arange(5), "most rows occur"),
        (Words(), torch.optim.AdamW, IDS, ""),
    ],
)
def test_where_all_rows_are_trained(model, optimizer, ids, why):
    found = occurring.obstacle(model, [optimizer(model.parameters(), lr=0.1)], ids)
    assert found == why if not why else why in found


AUGMENTED = {"augment": Augment(copies=1)}
RUNS = {
    "plain": (FullFineTuning, "classification", {}, {}),
    "average": (FullFineTuning, "classification", {}, {"steady": Steady(ema=0.9)}),
    "from_scratch": (FromScratch, "classification", {}, {}),
    "pairs": (FullFineTuning, "pairs", {}, {}),
    "pairs apart": (FullFineTuning, "pairs", {"pairs": "apart"}, {}),
    "regression": (FullFineTuning, "regression", {}, {}),
    "tagging": (FullFineTuning, "tagging", {}, {}),
    "windows": (FullFineTuning, "windows", {"truncation": "windows", "max_length": 16}, {}),
    "multilabel": (FullFineTuning, "multilabel", {}, {}),
    "few of the examples": (FullFineTuning, "classification", {"train_examples": 8}, {}),
    "copies": (FullFineTuning, "classification", AUGMENTED, {}),
    "moved embeddings": (FullFineTuning, "classification", {}, {"steady": Steady(freelb=0.1)}),
    "two passes": (FullFineTuning, "classification", {}, {"steady": Steady(r_drop=1.0)}),
    "falling rates": (FullFineTuning, "classification", {}, {"layer_decay": 0.5}),
    "contrastive": (Contrastive, "classification", {}, {"tune_embeddings": True}),
    "distillation": (Distillation, "classification", {}, {"alpha": 1.0}),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_ends_with_the_same_weights(tmp_path, data, tiny_encoder, monkeypatch, name):
    strategy, kind, options, arguments = RUNS[name]

    def run(most):
        monkeypatch.setattr(occurring, "MOST", most)
        L.seed_everything(0)
        module = data(kind, **options)
        model = strategy(task=module.spec, encoder=tiny_encoder, **arguments)
        seen = []

        class Look(L.Callback):
            def on_train_batch_end(self, *_):
                seen.append(len(model.encoder.backbone.get_input_embeddings().weight))

        trainer = L.Trainer(
            accelerator="cpu", devices=1, max_epochs=2, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, default_root_dir=tmp_path, gradient_clip_val=1.0,
            callbacks=[FrozenWork(CacheConfig(enabled=False)), Look()],
        )  # fmt: skip
        trainer.fit(model, datamodule=module)
        return model, seen, occurring.ids_of(module)

    (few, counts, occur), (every, full, _) = run(1.0), run(0.0)
    vocabulary = len(every.encoder.backbone.get_input_embeddings().weight)
    assert set(full) == {vocabulary}
    averaged = "ema" in arguments.get("steady", Steady()).chosen
    assert set(counts) == {vocabulary if averaged else len(occur)}
    assert len(occur) < vocabulary
    assert type(few.encoder.backbone.get_input_embeddings()) is nn.Embedding
    expected = every.state_dict()
    for key, value in few.state_dict().items():
        if key.endswith("word_embeddings.weight") and not averaged:
            assert torch.equal(value[occur], expected[key][occur])
            torch.testing.assert_close(value, expected[key], rtol=2e-6, atol=0)
        else:
            assert torch.equal(value, expected[key]), key


FEW = torch.unique(torch.cat([TEXTS.flatten(), torch.tensor([0])]))


@pytest.mark.parametrize("family", [*FAMILIES, "bilstm"])
def test_every_family_of_encoders(family):
    def trained(occur):
        backbone = RecurrentBackbone(60, 8) if family == "bilstm" else backbone_of(family)
        torch.manual_seed(0)
        backbone.train()
        for part in backbone.modules():
            if isinstance(part, nn.Dropout):
                part.p = 0.0
        optimizer = torch.optim.AdamW(backbone.parameters(), lr=1e-3, weight_decay=0.1)
        assert occurring.obstacle(backbone, [optimizer], FEW) == ""
        rows = occurring.Training(backbone, optimizer, FEW, None) if occur else None
        for number in range(3):
            torch.manual_seed(number)
            optimizer.zero_grad()
            backbone(input_ids=TEXTS, attention_mask=MASK).last_hidden_state.square().mean().backward()
            optimizer.step()
        if rows:
            rows.end()
        return backbone

    torch.manual_seed(1)
    few = trained(True)
    torch.manual_seed(1)
    expected = trained(False).state_dict()
    words = few.get_input_embeddings().weight
    for name, value in few.state_dict().items():
        if value.shape == words.shape and torch.equal(value, words):
            assert torch.equal(value[FEW], expected[name][FEW])
        torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=0)


def test_a_pattern_has_tokens_of_its_own(data, language_folder):
    encoder = EncoderConfig(name=str(language_folder))
    task = data(encoder=encoder).spec
    model = Prompting(task, encoder, words={label: ("great", "terrible")[n % 2] for n, label in enumerate(task.labels)})
    assert "pattern" in model.trains_all_rows
