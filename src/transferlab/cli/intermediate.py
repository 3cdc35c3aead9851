"""An intermediate task: the encoder that a finished run has left, as the start of another one."""

import shutil
from pathlib import Path

from transferlab.config import hashes
from transferlab.encoders import load_tokenizer
from transferlab.encoders.config import EncoderConfig
from transferlab.encoders.lineage import LINEAGE, lineage_of
from transferlab.encoders.loading import ENCODER, locate
from transferlab.ground.errors import TransferlabError
from transferlab.ground.hints import refuse_without_task
from transferlab.record import folder as run_folder
from transferlab.strategies.teacher import restore
from transferlab.strategies.whole import plain_backbone


def leave_encoder(run: Path) -> None:
    """Writes ``encoder/`` into the directory of a finished run: the encoder of its best checkpoint, without the head.

    What is there already and belongs to that checkpoint stays. Phang et al. 2018 (STILTs,
    https://arxiv.org/abs/1811.01088): such an encoder is fine-tuned further, under a fresh head.

    Args:
        run: The run directory; that of a pretraining has left its encoder itself.

    Raises:
        TransferlabError: The run has no checkpoint, or an encoder that transformers has no class for.
    """
    folder, best = run / ENCODER, run / "checkpoints" / "best.ckpt"
    lineage = lineage_of(EncoderConfig(str(run))) if (folder / "config.json").is_file() else {}
    if not best.is_file() and lineage:
        return
    refuse_without_task(run)
    if not best.is_file():
        raise TransferlabError(f"encoder.from_run: {run} holds no checkpoint (checkpoints/best.ckpt); did it finish?")
    mark = hashes.of_path(best)
    if lineage.get("checkpoint") == mark:
        return
    model = restore(run)
    config = model.encoder_config
    try:
        backbone = plain_backbone(model)
    except TransferlabError as error:
        # the remedy behind is that of an export
        raise TransferlabError(f"encoder.from_run: {run}: {str(error).partition(';')[0]}.") from error
    temporary = run / f".{ENCODER}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    backbone.save_pretrained(str(temporary))
    load_tokenizer(config).save_pretrained(str(temporary))
    summary = run_folder.read_summary(run)
    facts = {key: summary.get(key) for key in ("experiment", "run", "setting", "seed", "strategy", "task", "metrics")}
    before = {"name": config.label, "content": model.encoder.content._asdict(), "lineage": lineage_of(config)}
    run_folder.write_json(temporary / LINEAGE, {**facts, "checkpoint": mark, "from": before})
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
    locate.cache_clear()
