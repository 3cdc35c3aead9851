"""Settings that a run carries and that change nothing in it."""

from transferlab.encoders import EncoderConfig
from transferlab.learning.heads import HeadConfig
from transferlab.tasks.spec import TaskSpec


def without_effect(encoder: EncoderConfig, head: HeadConfig, task: TaskSpec) -> dict[str, str]:
    """Keys of encoder and head that differ from their default and change nothing, with the reason."""
    recurrent = encoder.architecture == "bilstm"
    unread = {
        "hidden": (head.kind == "linear", "a linear head has no hidden layer"),
        "layers": (head.kind != "bilstm", "only a BiLSTM head has several layers"),
        "decoding": (not task.worded, "only tags are decoded"),
        "longest": (task.kind != "qa", "only answers have a longest one"),
        "n_best": (task.kind != "qa", "only questions have several answers"),
        "intent_weight": (task.kind != "slots", "only intents and slots share a loss"),
        "slots_weight": (task.kind != "slots", "only intents and slots share a loss"),
    }
    if task.kind == "text":
        of_text = "a text is written by the language-modelling head, which is part of the model"
        # strategies differ in the usual rate of a head
        unread = dict.fromkeys(vars(head).keys() - {"lr"}, (True, of_text))
    found = {f"model.head.{key}": why for key, why in _changed(head, HeadConfig(), unread)}
    transformers_only = (recurrent, "a BiLSTM has none")
    unread = {
        "lstm_size": (not recurrent, "the encoder is no BiLSTM"),
        "mix_lr": (encoder.layers != "mix", "no layer mix is trained"),
        "keep_layers": transformers_only,
        "keep_heads": transformers_only,
        "dropout": transformers_only,
        "attention_dropout": transformers_only,
        "compile": (recurrent, "a BiLSTM is not compiled"),
        "activation_checkpointing": transformers_only,
        "load_in_4bit": (encoder.architecture != "pretrained", "no pretrained weights are loaded"),
        "word_piece": (not task.worded, "only tagging reads single pieces of a word"),
    }
    return found | {f"encoder.{key}": why for key, why in _changed(encoder, EncoderConfig(), unread)}


def _changed(config: object, plain: object, unread: dict[str, tuple[bool, str]]) -> list[tuple[str, str]]:
    return [(key, why) for key, (idle, why) in unread.items() if idle and getattr(config, key) != getattr(plain, key)]
