"""A checkpoint saved in bfloat16 is loaded and trained in float32 by every strategy."""

import pytest
import torch
from conftest import WORDS, build_bert, demo_words
from test_strategies import STRATEGIES, build, snapshot

from transferlab.encoders import EncoderConfig
from transferlab.encoders.loading import load_model
from transferlab.strategies.teacher import load_teacher


def tiny_steps(parameters):
    # next to weights of 0.2 one step is a hundredth of what bfloat16 can hold
    return torch.optim.AdamW(parameters, lr=1e-5, weight_decay=0.0)


@pytest.fixture(scope="module")
def half_encoder(tmp_path_factory):
    """An encoder whose file holds bfloat16."""
    folder = build_bert(tmp_path_factory.mktemp("models") / "half", words=[*WORDS, *demo_words()])
    from transformers import AutoModel

    AutoModel.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    assert AutoModel.from_pretrained(folder).dtype == torch.bfloat16
    return EncoderConfig(name=str(folder))


@pytest.mark.parametrize("name", STRATEGIES)
def test_small_updates_are_not_rounded_away(name, data, half_encoder, fit):
    module = data("classification", half_encoder)
    model = build(name, module, half_encoder, optimizer=tiny_steps)
    assert {p.dtype for p in model.parameters() if p.is_floating_point()} == {torch.float32}
    before = snapshot(model)
    epochs = {"max_epochs": 4, "limit_train_batches": 1} if name == "unfreeze_every" else {}
    fit(model, model.wrap_data(module), **epochs)
    # of the embeddings only those of the words that came move; AdaLoRA counts its ranks in a parameter
    moved = {
        key: float((value != before[key])[before[key].abs() > 1e-3].float().mean())
        for key, value in model.state_dict().items()
        if key in model.learned()
        and "embedding" not in key
        and value.is_floating_point()
        and (before[key].abs() > 1e-3).any()
    }
    shares = torch.tensor([share for key, share in moved.items() if "lora_E" not in key and "ranknum" not in key])
    assert len(shares)
    assert shares.median() > 0.9


def test_a_teacher_from_a_file_answers_in_float32(tmp_path, data):
    words = [*WORDS, *demo_words()]
    folder = build_bert(tmp_path / "teacher", model="BertForSequenceClassification", words=words, num_labels=2)
    load_model(str(folder), tagging=False).to(torch.bfloat16).save_pretrained(folder)
    module = data()
    batch = next(iter(module.whole_split("test")))
    names = module.spec._replace(labels=("LABEL_0", "LABEL_1"))
    assert load_teacher(str(folder), names).module(batch).dtype == torch.float32
