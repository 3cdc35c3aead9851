"""Runs that write texts, in the forms that others load."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from transferlab.encoders.language import arguments_of, class_of, target_logits
from transferlab.encoders.loading import locate
from transferlab.encoders.one_way import positions
from transferlab.ground.errors import TransferlabError
from transferlab.strategies import Strategy
from transferlab.strategies.parameter_efficient import ParameterEfficient
from transferlab.strategies.whole import plain_backbone
from transferlab.tasks.batch import Batch
from transferlab.tasks.encoded import IGNORE
from transferlab.tasks.generation import Search
from transferlab.use.predictor import Predictor


class Writer(NamedTuple):
    """A model that writes, as it is asked.

    Attributes:
        logits: Of the tokens of the targets of a batch ``[batch, length, vocabulary]``.
        texts: What it writes for a batch.
    """

    logits: Callable[[Batch], Tensor]
    texts: Callable[[Batch], list[str]]


def tokenizer_of(predictor: Predictor) -> Any:
    """The tokenizer of a run, so that it alone makes what the model reads of prompts."""
    tokenizer = copy.deepcopy(predictor.tokenizer)
    if tokenizer.pad_token is None:
        # behind the mask nobody reads it
        tokenizer.pad_token = tokenizer.eos_token
    ways = {
        "padding_side": "left" if predictor.settings.causal else "right",
        "truncation_side": "left" if predictor.settings.truncation == "tail" else "right",
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
    }
    for name, value in ways.items():
        setattr(tokenizer, name, value)
    # only what it was made with is saved (transformers 5.23)
    tokenizer.init_kwargs |= ways
    return tokenizer


def hugging_face(predictor: Predictor, folder: Path) -> Writer:
    """A class of transformers with its language-modelling head, and in `generation_config.json` the search."""
    backbone = plain_backbone(predictor.model)
    backbone.config.use_cache = True
    _say_search(backbone, search_of(predictor))
    backbone.save_pretrained(folder)
    loaded = class_of(backbone.config).from_pretrained(folder).eval()
    return _of_transformers(loaded, tokenizer_of(predictor))


def peft(predictor: Predictor, folder: Path) -> Writer:
    """The update alone, as ``PeftModel.from_pretrained`` loads it onto the pretrained model.

    Raises:
        TransferlabError: No update that PeftModel can load, or nothing that it could be loaded onto.
    """
    from peft import LoraConfig, PeftModel, get_peft_model

    model = predictor.model
    backbone: Any = model.encoder.backbone
    config = (getattr(backbone, "peft_config", None) or {}).get("default")
    if type(config) is not LoraConfig or config.init_lora_weights == "pissa":
        raise TransferlabError(
            "--format peft: only LoRA, rsLoRA and DoRA are an update that PeftModel can load; use --format hf."
        )
    if model.encoder_config.architecture == "random":
        raise TransferlabError("--format peft: there are no pretrained weights beside the update; use --format hf.")
    config = copy.deepcopy(config)
    config.inference_mode, config.base_model_name_or_path = True, model.encoder_config.name
    config.revision = model.encoder_config.revision
    config.task_type = "CAUSAL_LM" if predictor.settings.causal else "SEQ_2_SEQ_LM"
    wrapped: Any = get_peft_model(_base(model), config)
    own = {f"base_model.model.{key}": value for key, value in backbone.state_dict().items()}
    wrapped.load_state_dict({key: own[key] for key in wrapped.state_dict() if key in own}, strict=False)
    wrapped.save_pretrained(folder)
    _say_search(backbone, search_of(predictor))
    backbone.generation_config.save_pretrained(folder)
    loaded = PeftModel.from_pretrained(_base(model), str(folder)).eval()
    inner: Any = loaded.base_model.model
    inner.generation_config = type(backbone.generation_config).from_pretrained(str(folder))
    return _of_transformers(inner, tokenizer_of(predictor))


def _base(model: Strategy) -> Any:
    """The pretrained model, from where the run has it."""
    place = locate(model.encoder_config.name, model.encoder_config.revision)
    automatic = class_of(model.encoder.backbone.config)
    return automatic.from_pretrained(place.target, revision=place.revision, dtype=torch.float32)


def search_of(predictor: Predictor) -> Search:
    """How outputs of a run are searched for.

    Raises:
        TransferlabError: The run does not know how long one may be.
    """
    search = predictor.task.search
    if search is None or search.max_new_tokens is None:
        raise TransferlabError("data.generation.max_new_tokens: the run does not know how long an output may be.")
    return search


def _say_search(backbone: Any, search: Search) -> None:
    for name, value in arguments_of(search).items():
        setattr(backbone.generation_config, name, value)


def _of_transformers(model: Any, tokenizer: Any) -> Writer:
    """A model of transformers, asked as those ask it who know nothing of this package."""

    def texts(batch: Batch) -> list[str]:
        found = model.generate(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
        found = found[:, 1 if model.config.is_encoder_decoder else batch.input_ids.shape[1] :]
        return [text.strip() for text in tokenizer.batch_decode(found, skip_special_tokens=True)]

    return Writer(lambda batch: scored(model, batch), texts)


def scored(model: Any, batch: Batch) -> Tensor:
    """Logits of the tokens of the targets of a batch."""
    assert batch.labels is not None
    return target_logits(model, batch.input_ids, batch.attention_mask, batch.labels)


class Step(nn.Module):
    """Logits of the token that comes next.

    Args:
        model: A model that writes, of transformers or with layers of ours.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.two = bool(model.config.is_encoder_decoder)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor | None = None) -> Tensor:
        """Computes logits ``[batch, vocabulary]``.

        Args:
            input_ids: Inputs ``[batch, length]``; for a decoder what it has written stands behind its prompt, and
                padding to the left of it.
            attention_mask: 1 for tokens, 0 for padding.
            decoder_input_ids: For an encoder-decoder its start token, and behind it what it has written.
        """
        given: dict[str, Any] = {"input_ids": input_ids, "attention_mask": attention_mask, "use_cache": False}
        if self.two:
            logits: Tensor = self.model(**given, decoder_input_ids=decoder_input_ids).logits
        else:
            logits = self.model(**given, position_ids=positions(attention_mask)).logits
        return logits[:, -1]


def program(predictor: Predictor, folder: Path) -> Writer:
    """``model.pt2``: logits of the next token as a program of ``torch.export``, which needs nothing but torch.

    Raises:
        TransferlabError: Outputs are searched for with beams, which is no part of a program.
    """
    search, tokenizer = search_of(predictor), predictor.tokenizer
    if search.beams > 1 or search.no_repeat:
        raise TransferlabError(
            "--format torch: a program gives the logits of the next token, and the outputs of this run are searched "
            "for with beams or without repetitions; use --format hf."
        )
    model = predictor.model
    if isinstance(model, ParameterEfficient):
        model.method.merge(model.encoder.backbone)
    backbone: Any = model.encoder.backbone
    step = Step(backbone).eval()
    end = int(tokenizer.eos_token_id)
    # at least two of everything, so that no axis is taken for a constant
    ids = torch.full((2, 5), end)
    example = (ids, torch.ones_like(ids), *((torch.full((2, 3), end),) if step.two else ()))
    any_size = dict.fromkeys((0, 1), torch.export.Dim.AUTO)
    with torch.no_grad():
        exported = torch.export.export(step, example, dynamic_shapes=(any_size,) * len(example))
    path = folder / "model.pt2"
    torch.export.save(exported, str(path))
    loaded = torch.export.load(str(path)).module()
    start = int(backbone.config.decoder_start_token_id) if step.two else None
    return _of_steps(loaded, start, int(tokenizer.eos_token_id), int(search.max_new_tokens or 0), tokenizer)


def _of_steps(step: Any, start: int | None, end: int, most: int, tokenizer: Any) -> Writer:
    """A program that gives the next token's logits, asked again and again."""

    def after(batch: Batch, so_far: Tensor) -> Tensor:
        ids, mask = batch.input_ids, batch.attention_mask
        if start is not None:
            given = torch.cat([so_far.new_full((len(so_far), 1), start), so_far], 1)
            return step(ids, mask, given)  # type: ignore[no-any-return]
        whole = torch.cat([mask, torch.ones_like(so_far)], 1)
        return step(torch.cat([ids, so_far], 1), whole)  # type: ignore[no-any-return]

    def texts(batch: Batch) -> list[str]:
        found = batch.input_ids.new_zeros(len(batch.input_ids), 0)
        while found.shape[1] < most and not (found == end).any(1).all():
            found = torch.cat([found, after(batch, found).argmax(-1, keepdim=True)], 1)
        rows = [row[: row.index(end)] if end in row else row for row in found.tolist()]
        return [text.strip() for text in tokenizer.batch_decode(rows, skip_special_tokens=True)]

    def logits(batch: Batch) -> Tensor:
        assert batch.labels is not None
        known = batch.labels.masked_fill(batch.labels == IGNORE, end)
        return torch.stack([after(batch, known[:, :place]) for place in range(known.shape[1])], 1)

    return Writer(logits, texts)


FORMATS: dict[str, Callable[[Predictor, Path], Writer]] = {"hf": hugging_face, "torch": program, "peft": peft}


def refuse_format(form: str, name: str) -> None:
    """Refuses what cannot hold a model that writes.

    Raises:
        TransferlabError: Names the reason and what works instead.
    """
    reasons = {
        "onnx": "a graph holds no loop that writes token after token",
        "sentence-transformers": "it holds encoders, and this run writes texts",
    }
    if form in reasons:
        raise TransferlabError(
            f"--format {form}: {reasons[form]}; {name} is exported with --format hf (transformers, and what serves its "
            "folders), torch (the next token's logits) or, after LoRA, peft."
        )
