"""The forms that a run is exported in: each writes its files, and says how the result is asked again."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from transferlab.encoders.encoder import pool
from transferlab.encoders.loading import locate
from transferlab.encoders.one_way import is_one_way
from transferlab.ground.errors import TransferlabError
from transferlab.strategies import Strategy
from transferlab.strategies.whole import plain_backbone
from transferlab.use.export.facts import joined
from transferlab.use.export.graph import Form, Graph
from transferlab.use.export.parity import Ask, of_module

OPSET = 20


class Made(NamedTuple):
    """What was written.

    Attributes:
        ask: The exported model, read back from the folder.
        reference: What it is to give, the run's.
        decides: Whether that are logits, from which predictions follow.
    """

    ask: Ask
    reference: Ask
    decides: bool


Write = Callable[[Strategy, Form, tuple[torch.Tensor, ...], Path], Made]


def onnx(model: Strategy, form: Form, example: tuple[torch.Tensor, ...], folder: Path) -> Made:
    """``model.onnx``: encoder, pooling and head as one graph, batch and length of any size.

    Raises:
        TransferlabError: A package is missing.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  torch's exporter is built on it
    except ImportError as error:
        raise TransferlabError(f"--format onnx: {error.name} is missing: pip install 'transferlab[export]'.") from error
    reference = of_module(Graph(copy.deepcopy(model), form).eval(), form)
    graph = Graph(model, form).eval()
    path = folder / "model.onnx"
    with torch.no_grad():
        torch.onnx.export(
            graph,
            example,
            str(path),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(form.inputs),
            output_names=list(form.outputs),
            dynamic_shapes=(tuple(graph.shapes()[name] for name in form.inputs),),
            external_data=False,
            verbose=False,
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def ask(given: Any) -> Any:
        return joined(session.run(None, {name: given[name] for name in form.inputs}))

    return Made(ask, reference, True)


def program(model: Strategy, form: Form, example: tuple[torch.Tensor, ...], folder: Path) -> Made:
    """``model.pt2``: the same graph as a program of ``torch.export``, which needs nothing but torch."""
    reference = of_module(Graph(copy.deepcopy(model), form).eval(), form)
    graph = Graph(model, form).eval()
    shapes = [{axis: torch.export.Dim.AUTO for axis in graph.shapes()[name]} for name in form.inputs]
    with torch.no_grad():
        exported = torch.export.export(graph, example, dynamic_shapes=(tuple(shapes),))
    path = folder / "model.pt2"
    torch.export.save(exported, str(path))
    return Made(of_module(torch.export.load(str(path)).module(), form), reference, True)


def sentence_transformers(
    model: Strategy, form: Form, example: tuple[torch.Tensor, ...], folder: Path, max_length: int = 128
) -> Made:
    """The tuned encoder with its pooling, as sentence-transformers loads it; the head is not part of it.

    Raises:
        TransferlabError: The run has no single vector of a text from the last layer.
    """
    import json

    from transformers import AutoModel

    how = model.encoder_config.pooling
    if form.tagging or model.encoder_config.layers != "last":
        what = "tagging has no vector of a text" if form.tagging else f"layers: {model.encoder_config.layers}"
        raise TransferlabError(f"--format sentence-transformers: {what}; use --format onnx.")
    backbone = plain_backbone(model)
    backbone.save_pretrained(folder)
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    modes = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "last": "lasttoken"}
    pooling = {"word_embedding_dimension": model.encoder.width}
    pooling |= {f"pooling_mode_{name}": mode == how for mode, name in modes.items()}
    (folder / "1_Pooling").mkdir()
    for name, content in (
        ("modules.json", modules),
        ("1_Pooling/config.json", pooling),
        ("sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False}),
    ):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return Made(_pooled(AutoModel.from_pretrained(folder), how), _pooled(model.encoder.backbone, how), False)


def _pooled(backbone: nn.Module, how: Any) -> Ask:
    def ask(given: Any) -> Any:
        read = [name for name in given if name not in ("share", "texts")]
        tensors = {name: torch.from_numpy(np.ascontiguousarray(given[name])) for name in read}
        with torch.inference_mode():
            tokens = backbone.eval()(**tensors).last_hidden_state
            return pool(tokens, tensors["attention_mask"], how).numpy()

    return ask


def peft(model: Strategy, form: Form, example: tuple[torch.Tensor, ...], folder: Path) -> Made:
    """The update alone, as ``PeftModel.from_pretrained`` loads it onto the pretrained encoder; without the head.

    Raises:
        TransferlabError: The update is none that peft can load onto the pretrained encoder.
    """
    from peft import LoraConfig, PeftModel, get_peft_model

    backbone: Any = model.encoder.backbone
    config = (getattr(backbone, "peft_config", None) or {}).get("default")
    if type(config) is not LoraConfig or config.init_lora_weights == "pissa" or _smaller(model):
        raise TransferlabError(
            "--format peft: only LoRA, rsLoRA and DoRA on the whole pretrained encoder are an update that PeftModel "
            "can load; use --format onnx or torch."
        )
    name, revision = model.encoder_config.name, model.encoder_config.revision
    config = copy.deepcopy(config)
    config.inference_mode, config.base_model_name_or_path, config.revision = True, name, revision
    config.task_type = "FEATURE_EXTRACTION"
    wrapped: Any = get_peft_model(_base(model), config)
    own = {f"base_model.model.{key}": value for key, value in backbone.state_dict().items()}
    wrapped.load_state_dict({key: own[key] for key in wrapped.state_dict() if key in own}, strict=False)
    wrapped.save_pretrained(folder)
    loaded = PeftModel.from_pretrained(_base(model), str(folder))
    return Made(_pooled(loaded, "mean"), _pooled(backbone, "mean"), False)


def _smaller(model: Strategy) -> bool:
    return bool(model.encoder_config.keep_layers) or model.encoder_config.keep_heads is not None


def _base(model: Strategy) -> Any:
    """The pretrained encoder, from where the run has it."""
    from transformers import AutoModel

    place = locate(model.encoder_config.name, model.encoder_config.revision)
    return AutoModel.from_pretrained(place.target, revision=place.revision, dtype=torch.float32)


def hugging_face(model: Strategy, form: Form, example: tuple[torch.Tensor, ...], folder: Path) -> Made:
    """A class of transformers with its own head, where that head can hold ours.

    Raises:
        TransferlabError: It cannot; names the form that works.
    """
    reference = of_module(Graph(copy.deepcopy(model), form).eval(), form)
    head = model.head
    if form.windows or form.apart or model.encoder_config.layers != "last" or head.lstm is not None:
        raise TransferlabError(
            "--format hf: no class of transformers reads windows, two texts apart, other layers or an LSTM; use onnx."
        )
    if is_one_way(model.encoder.backbone):
        raise TransferlabError(
            "--format hf: transformers' classes for decoders read the last token by its padding id, so that an "
            "end-of-sequence token in a text is skipped, and label the last piece of no word; use --format onnx (all "
            "of it), or sentence-transformers (the encoder)."
        )
    backbone = plain_backbone(model)
    built = _tagger(model, backbone) if form.tagging else _classifier(model, backbone)
    built.eval().save_pretrained(folder)
    loaded: Any = type(built).from_pretrained(folder).eval()

    def ask(given: Any) -> Any:
        tensors = {name: torch.from_numpy(np.ascontiguousarray(given[name])) for name in given if name != "words"}
        with torch.inference_mode():
            logits = loaded(**tensors).logits
        if form.tagging:
            index = torch.from_numpy(given["words"]).unsqueeze(-1).expand(-1, -1, logits.shape[-1])
            logits = logits.gather(1, index)
        return (logits.squeeze(-1) if model.task.kind == "regression" else logits).numpy()

    return Made(ask, reference, True)


def _config(model: Strategy, backbone: Any) -> Any:
    config = copy.deepcopy(backbone.config)
    labels = list(model.task.labels) or ["score"]
    config.id2label = dict(enumerate(labels))
    config.label2id = {name: number for number, name in enumerate(labels)}
    problems = {"regression": "regression", "multilabel": "multi_label_classification"}
    config.problem_type = problems.get(model.task.kind, "single_label_classification")
    return config


def _fill(built: Any, backbone: Any) -> None:
    inner = getattr(built, built.base_model_prefix)
    missing = inner.load_state_dict(backbone.state_dict(), strict=False).missing_keys
    if lacking := [name for name in missing if "pooler" not in name]:
        raise TransferlabError(f"--format hf: {type(built).__name__} has weights of its own ({lacking[0]}); use onnx.")


def _tagger(model: Strategy, backbone: Any) -> Any:
    import transformers

    automatic: Any = transformers.AutoModelForTokenClassification
    built = automatic.from_config(_config(model, backbone))
    _fill(built, backbone)
    if not isinstance(model.head.inner, nn.Identity) or not isinstance(getattr(built, "classifier", None), nn.Linear):
        raise TransferlabError("--format hf: tagging needs a linear head; use --format onnx.")
    built.classifier.load_state_dict(model.head.out.state_dict())
    return built


def _classifier(model: Strategy, backbone: Any) -> Any:
    import transformers

    automatic: Any = transformers.AutoModelForSequenceClassification
    built = automatic.from_config(_config(model, backbone))
    _fill(built, backbone)
    inner: Any = getattr(built, built.base_model_prefix)
    head: Any = getattr(built, "classifier", None)
    pooler = getattr(inner, "pooler", None)
    dense: Any = getattr(head, "dense", None) or getattr(pooler, "dense", None)
    out: Any = getattr(head, "out_proj", head)
    ours: Any = model.head.inner[0] if isinstance(model.head.inner, nn.Sequential) else None
    fits = isinstance(dense, nn.Linear) and isinstance(out, nn.Linear) and ours is not None
    if not fits or model.encoder_config.pooling != "cls" or dense.weight.shape != ours.weight.shape:
        raise TransferlabError(
            f"--format hf: {type(built).__name__} reads the first token through a dense layer and tanh, so it can only "
            "hold a run with encoder.pooling: cls and model.head.kind: mlp of the encoder's width; this one has "
            f"{model.encoder_config.pooling} and {model.head_config.kind}. Use --format onnx (all of it), or "
            "sentence-transformers (the encoder)."
        )
    with torch.no_grad():
        dense.weight.copy_(ours.weight)
        dense.bias.zero_()
    out.load_state_dict(model.head.out.state_dict())
    return built


FORMATS: dict[str, Write] = {
    "onnx": onnx,
    "torch": program,
    "hf": hugging_face,
    "sentence-transformers": sentence_transformers,
    "peft": peft,
}
