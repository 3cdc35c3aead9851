"""What is exported of runs that write texts writes the same, asked by those who load it."""

import copy
import json

import pytest
import torch
from test_api import train
from test_export import consumer

import transferlab as tl
from transferlab.encoders import EncoderConfig, build_encoder, tiny
from transferlab.encoders.loading import load_tokenizer
from transferlab.ground.errors import TransferlabError
from transferlab.tasks.generation import Generation
from transferlab.tasks.spec import Source
from transferlab.use.elsewhere.options import main as elsewhere
from transferlab.use.export import command, facts
from transferlab.use.exported import Exported
from transferlab.use.prediction.command import main
from transferlab.use.quantising.command import Asked
from transferlab.use.quantising.command import run as quantise
from transferlab.use.writer import Writer

INPUTS = ["3 March 2021", "May 9, 1999", "the 1st of June 2020", "7", "on 12 May", "1/2/3", "Day 9 of July 1980", "x y"]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """Folders of models that write, as a hub has them."""
    found = {}
    for name in ("llama", "t5"):
        config = EncoderConfig(f"embedded/{name}", architecture="random", pooling="last")
        folder = tmp_path_factory.mktemp("models") / name
        torch.manual_seed(1)
        build_encoder(config, writes=True).backbone.save_pretrained(folder)
        load_tokenizer(config).save_pretrained(folder)
        found[name] = EncoderConfig(str(folder), pooling="last")
    return found


@pytest.fixture(scope="module")
def run_of(tmp_path_factory, pretrained):
    folder = tmp_path_factory.mktemp("rows")
    rows = [{"input": text, "target": text[::-1]} for text in INPUTS]
    for split in ("train", "test"):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = Source(kind="text", files={split: str(folder / f"{split}.jsonl") for split in ("train", "test")})
    known = {}

    def make(name, strategy=tl.FullFineTuning, **arguments):
        key = (name, strategy, str(arguments))
        if key not in known:
            asked = {"target_length": 12, **arguments.pop("generation", {})}
            given = {"generation": Generation(**asked), "max_length": 48, "batch_size": 4}
            data = tl.TaskDataModule("own", pretrained[name], source=source, holdout=0.25, **given)
            known[key] = tmp_path_factory.mktemp("runs") / "own" / "one"
            train(known[key], strategy(data.spec, pretrained[name], **arguments), data, max_epochs=1)
        return known[key]

    return make


LORA = {"strategy": tl.ParameterEfficient, "method": tl.LoRA(r=2)}
ADAPTER = {"strategy": tl.ParameterEfficient, "method": tl.Bottleneck()}


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("llama", LORA),
        ("t5", {"generation": {"beams": 2, "template": "turn: {input}"}}),
        pytest.param("t5", LORA, marks=pytest.mark.slow),
        pytest.param("llama", {"generation": {"no_repeat": 2}}, marks=pytest.mark.slow),
    ],
)
def test_a_folder_of_transformers_writes_what_the_run_writes(name, how, run_of, tmp_path):
    run, folder = run_of(name, **how), tmp_path / "out"
    checks = command.export(run, "hf", folder)
    assert [check.passed for check in checks] == [True] * (4 if "no_repeat" in str(how) else 5)
    texts = tl.Predictor.load(run, device="cpu").predict(INPUTS)
    if name == "llama":
        # a T5 without training may say one thing to all
        assert len({answer["prediction"] for answer in texts}) > 1
    assert Writer(folder).predict(INPUTS) == texts
    assert facts.read(folder).task.search == tl.Predictor.load(run, device="cpu").task.search
    # the code of the model card, with the inputs of the test in place of its example
    code = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    found = next(line for line in code.splitlines() if line.startswith("prompts = "))
    template = found.split("[")[1].split(".replace")[0]
    code = code.replace(found, f"prompts = [{template}.replace('{{input}}', text) for text in {INPUTS!r}]")
    code = code.replace('"out"', repr(str(folder)))
    assert consumer(f"{code}\nimport json\nprint(json.dumps(texts))") == [answer["prediction"] for answer in texts]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama", "t5"])
def test_a_program_gives_the_next_token(name, run_of, tmp_path):
    run, folder = run_of(name, **LORA), tmp_path / "out"
    assert all(check.passed for check in command.export(run, "torch", folder))
    with pytest.raises(TransferlabError, match="asked as its README.md shows"):
        Writer(folder)


@pytest.mark.parametrize("name", ["llama", pytest.param("t5", marks=pytest.mark.slow)])
def test_the_update_alone_is_loaded_onto_the_pretrained_model(name, run_of, pretrained, tmp_path):
    run, folder = run_of(name, **LORA), tmp_path / "out"
    assert all(check.passed for check in command.export(run, "peft", folder))
    assert not (folder / "model.safetensors").exists()
    code = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    # a model of the hub has the name that the card writes; this one lies in a folder
    base = f'"{pretrained[name].label}"'
    code = code.replace('"out"', repr(str(folder))).replace('"a text"', repr(INPUTS[2]))
    assert base in code
    code = code.replace(base, repr(pretrained[name].name))
    expected = tl.Predictor.load(run, device="cpu")(INPUTS[2])["prediction"]
    assert consumer(f"{code}\nimport json\nprint(json.dumps(texts))") == [expected]


def test_predict_asks_an_exported_folder(run_of, tmp_path):
    run = run_of("llama", **LORA)
    command.export(run, "hf", tmp_path / "out")
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"input": text}) + "\n" for text in INPUTS))
    for asked, name in ((tmp_path / "out", "a"), (run, "b")):
        main(["--run", str(asked), str(tmp_path / "in.jsonl"), "--output", str(tmp_path / name)])
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text()
    with pytest.raises(TransferlabError, match="temperature is for classification"):
        main(["--run", str(tmp_path / "out"), str(tmp_path / "in.jsonl"), "--calibrated"])
    with pytest.raises(TransferlabError, match="writes texts, which `transferlab predict --run .*` asks"):
        Exported(tmp_path / "out")
    with pytest.raises(TransferlabError, match="writes texts, which `transferlab predict --run .*` asks"):
        quantise(Asked(str(tmp_path / "out"), output=tmp_path / "small"))
    assert not (tmp_path / "small").exists()


@pytest.mark.parametrize(
    ("how", "form", "message"),
    [
        (LORA, "onnx", "no loop that writes token after token; .* --format hf"),
        (LORA, "sentence-transformers", "it holds encoders.* --format hf"),
        ({"generation": {"beams": 2}}, "peft", "only LoRA, rsLoRA and DoRA.* --format hf"),
        ({"generation": {"beams": 2}}, "torch", "with beams or without repetitions; use --format hf"),
        pytest.param(ADAPTER, "hf", "parts that transformers does not have", marks=pytest.mark.slow),
    ],
)
def test_what_a_format_cannot_hold_is_refused(how, form, message, run_of, tmp_path):
    with pytest.raises(TransferlabError, match=message):
        command.export(run_of("llama", **how), form, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_the_gate_sees_another_search(run_of, tmp_path, monkeypatch):
    from transferlab.use.export import written

    def other(predictor, folder):
        writer = written.hugging_face(predictor, folder)
        return writer._replace(texts=lambda batch: [text[:-1] for text in writer.texts(batch)])

    monkeypatch.setitem(written.FORMATS, "hf", other)
    with pytest.raises(TransferlabError, match="does not give what the run gives:\nDIFFERS by its own tokenizer"):
        command.export(run_of("llama", **LORA), "hf", tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_a_tokenizer_says_on_which_side_it_pads(run_of, tmp_path):
    from transformers import AutoTokenizer

    command.export(run_of("llama", **LORA), "hf", tmp_path / "out")
    read = AutoTokenizer.from_pretrained(tmp_path / "out")(["7", "77"], padding=True)
    assert set(read) == {"input_ids", "attention_mask"}
    assert read["input_ids"][0][0] == tiny.PAD


def test_chats_and_a_tokenizer_without_padding(tmp_path):
    import transformers

    config = EncoderConfig("embedded/llama", architecture="random", pooling="last")
    tokenizer = copy.deepcopy(load_tokenizer(config))
    tokenizer.pad_token = None
    tokenizer.chat_template = (
        "{% for one in messages %}{{ one['role'] }}: {{ one['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    torch.manual_seed(0)
    sizes = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 128, "vocab_size": len(tiny.VOCABULARY)}
    shape = transformers.GPT2Config(**sizes, bos_token_id=None, eos_token_id=tiny.END)
    transformers.GPT2LMHeadModel(shape).save_pretrained(tmp_path / "gpt2")
    tokenizer.save_pretrained(tmp_path / "gpt2")
    said = [{"role": "user", "content": text} for text in INPUTS]
    rows = [{"messages": [one, {"role": "assistant", "content": one["content"][::-1]}]} for one in said]
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = Source(kind="text", files={split: str(tmp_path / f"{split}.jsonl") for split in ("train", "test")})
    encoder = EncoderConfig(str(tmp_path / "gpt2"), pooling="last")
    given = {"generation": Generation(target_length=12), "max_length": 48, "batch_size": 4}
    data = tl.TaskDataModule("own", encoder, source=source, holdout=0.25, **given)
    run = tmp_path / "runs" / "own" / "one"
    train(run, tl.ParameterEfficient(data.spec, encoder, method=tl.LoRA(r=2)), data, max_epochs=1)
    checks = command.export(run, "hf", tmp_path / "out")
    assert [check.passed for check in checks] == [True] * 5
    code = """
import json
from transformers import AutoModelForCausalLM, AutoTokenizer
model, tokenizer = (each.from_pretrained(sys.argv[1]) for each in (AutoModelForCausalLM, AutoTokenizer))
chats = [[{"role": "user", "content": text}] for text in json.loads(sys.argv[2])]
how = {"return_dict": True, "return_tensors": "pt", "padding": True}
inputs = tokenizer.apply_chat_template(chats, add_generation_prompt=True, **how)
outputs = model.generate(**inputs)[:, inputs["input_ids"].shape[1]:]
print(json.dumps([text.strip() for text in tokenizer.batch_decode(outputs, skip_special_tokens=True)]))
"""
    predictor = tl.Predictor.load(run, device="cpu")
    answers = predictor.predict([{"input": [one]} for one in said])
    with pytest.raises(TransferlabError, match="example 0: the last message is a reply already, by 'assistant'; leave"):
        predictor.predict([{"input": rows[0]["messages"]}])
    # as the command asks, to warn of what cannot be read
    assert predictor.unread({"input": [[one] for one in said]}) == ""
    assert consumer(code, tmp_path / "out", json.dumps(INPUTS)) == [answer["prediction"] for answer in answers]
    assert Writer(tmp_path / "out").predict([{"input": [one]} for one in said]) == answers


def test_a_run_that_writes_is_not_tested_on_other_files(run_of):
    run = run_of("llama", **LORA)
    with pytest.raises(TransferlabError, match="test --files: it does not take runs that write texts"):
        elsewhere("test", ["--run", str(run), "--files", "other.csv"])
