"""Writes the smaller forms of a graph: int8 with scales found while it runs or beforehand, and float16."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transferlab.ground.errors import TransferlabError

Feed = dict[str, Any]
LINEAR = ("MatMul", "Gemm")


def int8_dynamic(model: Path, target: Path, batches: Sequence[Feed]) -> None:
    """Weights of linear layers and embeddings in int8; activations are scaled while the model runs.

    Each output channel of a weight has a scale of its own. An activation has one for the whole tensor, so it depends on
    all texts of a batch.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        model,
        target,
        op_types_to_quantize=[*LINEAR, "Gather"],
        per_channel=True,
        weight_type=QuantType.QInt8,
    )


def int8_static(model: Path, target: Path, batches: Sequence[Feed]) -> None:
    """Linear layers in int8, with scales of activations that were found beforehand on padded batches.

    All other nodes stay in float32. The padding mask is added to the scores of attention as a very negative number; a
    scale that has to reach it leaves nothing for the scores themselves.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self) -> None:
            self.left: Iterator[Feed] = iter(batches)

        def get_next(self) -> Feed | None:
            return next(self.left, None)

    quantize_static(
        model,
        target,
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(LINEAR),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def fp16(model: Path, target: Path, batches: Sequence[Feed]) -> None:
    """Weights and activations in float16; the logits come out in float32."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(model), keep_io_types=True), target)


FORMS: dict[str, Callable[[Path, Path, Sequence[Feed]], None]] = {
    "int8-dynamic": int8_dynamic,
    "int8-static": int8_static,
    "fp16": fp16,
}


def write(form: str, model: Path, target: Path, batches: Sequence[Feed] = ()) -> None:
    """Writes a form of a graph.

    Args:
        form: A key of `FORMS`.
        model: The graph in float32.
        target: Where to write.
        batches: Inputs of the graph that set the scales of ``int8-static``.

    Raises:
        TransferlabError: A part that is missing.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise TransferlabError(f"--form {form}: {error.name} is missing: pip install 'transferlab[export]'.") from error
    with _quiet():
        FORMS[form](model, target, batches)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without onnxruntime's advice to prepare a model that was prepared by its exporter."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
