"""An exported folder made by hand, in no time: a bag of words, or a tagger that looks at each word alone."""

import numpy as np
from conftest import build_tokenizer
from onnx import TensorProto, helper, numpy_helper

from transferlab.tasks.spec import TaskSpec
from transferlab.use.export.facts import Facts

LABELS = {"classification": ("bad", "good"), "tagging": ("O", "B-PER", "I-PER"), "regression": ()}


def tiny_export(folder, kind="classification", text=("text",), seed=0, labels=None, **facts):
    """Writes a folder as `transferlab export` does; other seeds give other answers."""
    labels = LABELS[kind] if labels is None else labels
    folder.mkdir(parents=True, exist_ok=True)
    words = build_tokenizer(folder)
    weights = np.random.default_rng(seed).normal(size=(words, max(len(labels), 1))).astype(np.float32)
    inputs = ["input_ids", "attention_mask", *(["words"] if kind == "tagging" else [])]
    (folder / "model.onnx").write_bytes(_graph(kind, inputs, weights).SerializeToString())
    Facts(
        format="onnx",
        task=TaskSpec("tiny", kind, labels, ()),
        text=text,
        max_length=64,
        truncation="head",
        windows="even",
        inputs=tuple(inputs),
        prefix=((2,), (3,)),
        blank="",
        pad_id=0,
        decoding="argmax",
        thresholds=None,
        temperature=None,
        encoder={},
        base={},
        run={"experiment": "tiny"},
        versions={},
        **facts,
    ).write(folder)
    return folder


def _graph(kind, inputs, weights):
    node = helper.make_node
    nodes = [node("Gather", ["weights", "input_ids"], ["scores"])]
    if kind == "tagging":
        nodes += [node("Gather", ["weights", "input_ids"], ["all"]), node("Unsqueeze", ["words", "last"], ["index"])]
        nodes += [
            node("Expand", ["index", "shape"], ["wide"]),
            node("GatherElements", ["all", "wide"], ["logits"], axis=1),
        ]
    else:
        nodes += [node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT)]
        nodes += [node("Unsqueeze", ["mask", "last"], ["seen"]), node("Mul", ["scores", "seen"], ["kept"])]
        nodes += [node("ReduceSum", ["kept", "one"], ["logits" if kind == "classification" else "sum"], keepdims=0)]
        nodes += [] if kind == "classification" else [node("Squeeze", ["sum", "one"], ["logits"])]
    arrays = {
        "weights": weights,
        "last": np.array([-1]),
        "one": np.array([1]),
        "shape": np.array([1, 1, weights.shape[1]]),
    }
    axes = {"logits": {"classification": ["b", None], "regression": ["b"], "tagging": ["b", "w", None]}[kind]}
    given = [helper.make_tensor_value_info(name, TensorProto.INT64, ["b", name]) for name in inputs]
    out = helper.make_tensor_value_info("logits", TensorProto.FLOAT, axes["logits"])
    graph = helper.make_graph(nodes, "tiny", given, [out], [numpy_helper.from_array(v, k) for k, v in arrays.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
