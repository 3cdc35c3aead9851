"""Explanations: by closed form on models of a line, complete on every kind and strategy, and what the page holds."""

import json

import numpy as np
import pytest
import torch
from test_predictor import OTHERS, STRATEGIES, run_of
from torch import nn

import transferlab as tl
from transferlab.encoders import EncoderConfig
from transferlab.encoders.loading import load_tokenizer
from transferlab.ground.errors import TransferlabError
from transferlab.tasks import TaskSpec
from transferlab.tasks.batch import EncodedSplit, Ragged
from transferlab.tasks.settings import Settings
from transferlab.use.explanation import attribution
from transferlab.use.explanation.explainer import Explainer
from transferlab.use.explanation.options import main
from transferlab.use.explanation.page import page
from transferlab.use.explanation.reading import NONE, SPECIAL, Reading, check, read, split
from transferlab.use.explanation.scored import Scored, Target
from transferlab.use.prediction.words import of_words
from transferlab.use.predictor import Predictor

PAD, CLS, SEP = 0, 1, 2


class Toy(nn.Module):
    """Logits that are a function of the sum of all word embeddings."""

    device = torch.device("cpu")
    task = TaskSpec("toy", "classification", ("bad", "good"), ("accuracy",))

    def __init__(self, then=lambda logits: logits):
        super().__init__()
        self.encoder = nn.Module()
        self.encoder.backbone = nn.Module()
        self.encoder.backbone.embeddings = nn.Embedding(10, 3)
        self.out = nn.Linear(3, 2)
        self.then = then

    def forward(self, batch):
        vectors = self.encoder.backbone.embeddings(batch.input_ids) * batch.attention_mask.unsqueeze(-1)
        return self.then(self.out(vectors.sum(1)))


def toy(ids, owners, words, **options):
    encoded = EncodedSplit(Ragged.of([ids]), None, None, None, None, PAD, "")
    return Scored(Toy(**options), encoded, Reading([of_words(words)], [owners]), PAD)


def test_of_a_linear_model_they_are_gradient_times_difference():
    scored = toy([CLS, 5, 6, 7, SEP], [SPECIAL, 0, 0, 1, SPECIAL], ["some", "words"])
    weight = scored.model.out.weight.detach()
    table = scored.model.encoder.backbone.embeddings.weight.detach()
    found = attribution.integrated(scored, Target("good", (1,)))
    direction = weight[1] - weight[0]
    by_hand = [sum(direction @ (table[token] - table[PAD]) for token in tokens) for tokens in ((5, 6), (7,))]
    assert found.words == pytest.approx([float(value) for value in by_hand], abs=1e-5)
    assert found.rest == 0
    assert found.residue < 1e-4
    assert found.steps == attribution.FIRST
    # where words only add up, leaving one out says the same
    assert attribution.left_out(scored, Target("good", (1,))) == pytest.approx(found.words, abs=1e-5)


def test_a_token_of_no_word_is_told_apart():
    scored = toy([CLS, 5, 6, SEP], [SPECIAL, NONE, 0, SPECIAL], ["word"])
    found = attribution.integrated(scored, Target("good", (1,)))
    assert found.rest != 0
    assert found.words.sum() + found.rest == pytest.approx(found.score - found.empty, abs=1e-5)


def test_steps_are_doubled_until_the_sum_is_right(monkeypatch):
    steep = {"then": lambda logits: torch.sigmoid(400 * (logits - 0.3))}
    scored = toy([CLS, 5, 6, 7, SEP], [SPECIAL, 0, 1, 2, SPECIAL], ["a", "b", "c"], **steep)
    scored.model.out.weight.data = torch.tensor([[0.0, 0, 0], [1, 0, 0]])
    scored.model.out.bias.data.zero_()
    scored.model.encoder.backbone.embeddings.weight.data.zero_()
    scored.model.encoder.backbone.embeddings.weight.data[5:8, 0] = 0.3
    scored = Scored(scored.model, scored._encoded, Reading([of_words(["a", "b", "c"])], [[-2, 0, 1, 2, -2]]), PAD)
    few = attribution.integrated(scored, Target("good", (1,)), tolerance=10)
    found = attribution.integrated(scored, Target("good", (1,)))
    assert few.steps == attribution.FIRST
    assert few.residue > 0.01 >= found.residue
    assert found.steps > attribution.FIRST
    monkeypatch.setattr(attribution, "LAST", attribution.FIRST)
    assert attribution.integrated(scored, Target("good", (1,))).residue == few.residue


def test_faithfulness_by_hand():
    scored = toy([CLS, 5, 6, SEP], [SPECIAL, 0, 1, SPECIAL], ["a", "b"])
    target = Target("good", (1,))

    def chance(*keep):
        return float(target.chance(scored.kept(np.array([keep])), "classification"))

    both, first, second, none = chance(True, True), chance(True, False), chance(False, True), chance(False, False)
    # the first word is the stronger one, so it goes first
    found = attribution.faithfulness(scored, target, np.array([2.0, 1.0]), orders=40, seed=0)
    deletion, insertion = (both / 2 + second + none / 2) / 2, (none / 2 + first + both / 2) / 2
    assert found[:2] == pytest.approx((deletion, insertion), abs=1e-6)
    other = (both / 2 + first + none / 2) / 2, (none / 2 + second + both / 2) / 2
    share = (found.random_deletion - deletion) / (other[0] - deletion)
    assert 0.2 < share < 0.8
    gap = insertion - deletion
    assert found.score == pytest.approx(gap - ((1 - share) * gap + share * (other[1] - other[0])), abs=1e-6)
    # it can be beaten only by the other order
    assert found.beaten == pytest.approx(share if gap > other[1] - other[0] else 0)


def test_the_true_order_beats_random_ones_and_its_reverse_is_beaten():
    words = list("abcdefg")
    scored = toy([CLS, *range(3, 10), SEP], [SPECIAL, *range(7), SPECIAL], words)
    target = Target("good", (1,))
    true = attribution.integrated(scored, target).words
    best = attribution.faithfulness(scored, target, true, 20, 0)
    worst = attribution.faithfulness(scored, target, -true, 20, 0)
    assert best.beaten > 0.9 > 0.1 > worst.beaten
    assert best.score > 0 > worst.score


def test_the_unread_words_of_a_cut_text_get_nothing():
    scored = toy([CLS, 5, SEP], [SPECIAL, 0, SPECIAL], ["read", "cut"])
    assert scored.read == {0}
    assert attribution.integrated(scored, Target("good", (1,))).words[1] == 0
    assert attribution.faithfulness(scored, Target("good", (1,)), np.zeros(2), 3, 0) is None


@pytest.fixture
def tokenizer(tiny_encoder):
    return load_tokenizer(tiny_encoder)


def test_words_of_tokens(tokenizer):
    text = split("The xyz-zy, you")
    assert text.words == ["The", "xyz-zy", ",", "you"]
    found = read([text], False, tokenizer, Settings(64, "head"))
    assert found.owners == [[SPECIAL, 0, 1, 1, 1, 1, 1, 1, 2, 3, SPECIAL]]
    check(found, [11])
    with pytest.raises(TransferlabError, match="cannot be matched"):
        check(found, [10])


def test_words_of_pairs_tails_and_windows(tokenizer):
    pair = read([split("the a"), split("you")], False, tokenizer, Settings(64, "head"))
    assert pair.owners == [[SPECIAL, 0, 1, SPECIAL, 2, SPECIAL]]
    apart = read([split("the a"), split("you")], False, tokenizer, Settings(64, "head", apart=True))
    assert apart.owners == [[SPECIAL, 0, 1, SPECIAL], [SPECIAL, 2, SPECIAL]]
    text = [split("the a of and to in")]
    assert read(text, False, tokenizer, Settings(5, "head")).owners == [[SPECIAL, 0, 1, 2, SPECIAL]]
    assert read(text, False, tokenizer, Settings(5, "tail")).owners == [[SPECIAL, 3, 4, 5, SPECIAL]]
    parts = read(text, False, tokenizer, Settings(6, "windows")).owners
    assert parts == [[SPECIAL, 0, 1, 2, SPECIAL], [SPECIAL, 3, 4, 5, SPECIAL]]
    words = read([of_words(["the", "xyz"])], True, tokenizer, Settings(64, "head"))
    assert words.owners == [[SPECIAL, 0, 1, 1, 1, SPECIAL]]


def test_letters_of_scripts_without_blanks_are_words():
    assert split("好的 don't").words == ["好", "的", "don't"]


def explainer_of(module, model, **options):
    return Explainer(Predictor(model.eval().requires_grad_(False), module.source, module.settings), **options)


def example_of(module):
    row = module.rows(module.source.test[0]).rows[0]
    return {name: row[name] for name in module.source.text}


@pytest.mark.parametrize("kind", ["classification", "multilabel", "regression", "pairs", "windows", "tagging"])
def test_every_kind_is_explained_to_the_last_percent(kind, data, tiny_encoder):
    module = data(kind)
    model = tl.FullFineTuning(module.spec, tiny_encoder)
    # in training mode dropout would make attributions of noise
    explainer = explainer_of(module, model.train(), orders=2)
    example = example_of(module)
    answer, found = explainer(example)
    assert answer == explainer.predictor(example)
    assert found or kind == "tagging"
    for each in found:
        record = json.loads(json.dumps(each.record()))
        values = [word["attribution"] for word in record["words"] if word["attribution"] is not None]
        assert sum(values) + record["no_word"] == pytest.approx(
            record["score"] - record["score_without_words"], rel=0.02
        )
        assert record["residue"] <= 0.01
        for word in record["words"]:
            assert each.texts[word["text"]].text[word["start"] : word["end"]] == word["word"]
    if kind == "multilabel":
        assert len(found) == max(len(answer["prediction"]), 1)
    if kind == "tagging":
        spans = [(one["start"], one["end"]) for one in answer["entities"]]
        assert [(e.record()["target"]["start"], e.record()["target"]["end"]) for e in found] == spans


@pytest.mark.parametrize(
    "way", ["lora", "prompt", "frozen with a BiLSTM", *(pytest.param(w, marks=pytest.mark.slow) for w in OTHERS)]
)
def test_every_strategy_is_explained(way, data, tiny_encoder):
    strategy, arguments, _ = (STRATEGIES | OTHERS)[way]
    module = data()
    explainer = explainer_of(module, strategy(module.spec, tiny_encoder, **arguments), orders=1)
    answer, (found,) = explainer(example_of(module))
    assert found.attribution.residue <= 0.01
    assert found.target.label == answer["prediction"]
    # with all words there is what is predicted, without any the same text of padding
    assert found.faithfulness is not None


def test_a_bilstm_is_explained(data, tiny_folder):
    student = EncoderConfig(str(tiny_folder), architecture="bilstm")
    module = data(encoder=student)
    _, (found,) = explainer_of(module, tl.FromScratch(module.spec, student), orders=0)(example_of(module))
    assert found.attribution.residue <= 0.01
    assert found.faithfulness is None


def test_a_word_left_out_is_one_of_padding(data, tiny_encoder):
    module = data()
    explainer = explainer_of(module, tl.FullFineTuning(module.spec, tiny_encoder), orders=0)
    _, (found,) = explainer("you and they")
    tokens = explainer.predictor.tokenizer
    model = explainer.predictor.model

    def score(*words):
        ids = torch.tensor([[2, *tokens.convert_tokens_to_ids(words), 3]])
        batch = explainer.predictor.encode({"text": ["you and they"]})[0].collate([0])
        with torch.no_grad():
            return float(found.target.score(model(batch._replace(input_ids=ids)), "classification"))

    whole = score("you", "and", "they")
    assert found.left_out[1] == pytest.approx(whole - score("you", "[PAD]", "they"), abs=1e-5)
    assert found.attribution.empty == pytest.approx(score("[PAD]", "[PAD]", "[PAD]"), abs=1e-5)


def test_a_label_may_be_named(data, tiny_encoder):
    module = data()
    explainer = explainer_of(module, tl.FullFineTuning(module.spec, tiny_encoder), orders=0)
    for label in module.spec.labels:
        assert explainer("you and they", label)[1][0].target.label == label
    with pytest.raises(TransferlabError, match="no label 'nonsense'"):
        explainer("you", "nonsense")


def test_texts_are_shown_and_never_obeyed(data, tiny_encoder):
    module = data()
    explainer = explainer_of(module, tl.FullFineTuning(module.spec, tiny_encoder), orders=0)
    text = "a <script>alert(1)</script> & \x1b[31m \u202e"
    shown = page("<run>", "classification", [("line 1", *explainer(text))], {"explained": "1"})
    assert "<script>" not in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "<run>" not in shown
    assert "alert" in shown


def test_the_command_writes_a_page_and_json(files, tiny_encoder, tmp_path, monkeypatch, capsys):
    run = run_of(tmp_path / "runs" / "py" / "one", files, tiny_encoder, "classification", (tl.FullFineTuning, {}, {}))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new.csv").write_text("text,n\nyou and they,1\n,2\nthe next,3\n", encoding="utf-8")
    main(["--run", "py", "new.csv", "--orders", "2", "--device", "cpu"])
    told = json.loads((tmp_path / "explanation.json").read_text(encoding="utf-8"))
    assert len(told["examples"]) == 2
    assert "residue" in capsys.readouterr().out
    assert (tmp_path / "explanation.html").read_text(encoding="utf-8").count("<section>") == 2
    with pytest.raises(TransferlabError, match="is there already"):
        main(["--run", "py", "--text", "you", "--device", "cpu"])
    for wrong in (["--run", "py"], ["--run", "py", "new.csv", "--text", "you"]):
        with pytest.raises(TransferlabError, match="not both"):
            main(wrong)
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
