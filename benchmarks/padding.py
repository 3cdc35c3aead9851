"""How far padding moves the vector of a text: ``python -m benchmarks.padding --encoder smollm2_135m minilm_l6``.

Texts of unlike length are read alone, in one batch padded on the right and, by decoders, in one padded on the left; in
float32 and under bfloat16. Prints the largest difference of an element of the pooled vector to that of the text alone,
and its share of the largest element.
"""

import argparse
from typing import Any

import torch
import yaml
from torch import Tensor

from benchmarks.table import markdown
from transferlab.config.shipped import find
from transferlab.encoders import EncoderConfig, build_encoder
from transferlab.encoders.loading import is_one_way, load_tokenizer
from transferlab.ground.errors import TransferlabError
from transferlab.ground.quiet import quiet

TEXTS = (
    "Good.",
    "A dull film, badly played.",
    "It says in two hours what a postcard says, and says it twice, with music.",
    "Nothing here is new, and yet the three of them make an evening of it that one would not have missed " * 3,
)


@torch.inference_mode()
def vectors(encoder: Any, ids: list[list[int]], side: str, half: bool) -> Tensor:
    """Pooled vectors ``[texts, hidden]`` of a batch that is padded on a side."""
    longest = max(map(len, ids))
    rows, masks = [], []
    for own in ids:
        padding = [0] * (longest - len(own))
        rows.append(padding + own if side == "left" else own + padding)
        masks.append([*padding, *[1] * len(own)] if side == "left" else [*[1] * len(own), *padding])
    mask = torch.tensor(masks)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        tokens = encoder(input_ids=torch.tensor(rows), attention_mask=mask)
        found: Tensor = encoder.pool(tokens, mask).float()
    return found


def measured(name: str) -> list[list[str]]:
    """The rows of the table for an encoder."""
    path = find(f"configs/encoder/{name}.yaml")
    if path is None:
        raise TransferlabError(f"--encoder: no file configs/encoder/{name}.yaml")
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    config = EncoderConfig(**tree["encoder"])
    encoder, tokenizer = build_encoder(config).eval(), load_tokenizer(config)
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    rows = []
    for half in (False, True):
        alone = torch.cat([vectors(encoder, [own], "right", half) for own in ids])
        for side in ("right", "left") if is_one_way(config) else ("right",):
            moved = float((vectors(encoder, ids, side, half) - alone).abs().max())
            share = moved / float(alone.abs().max())
            rows.append([name, "bfloat16" if half else "float32", side, f"{moved:.1e}", f"{share:.1e}"])
    return rows


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", nargs="+", default=["smollm2_135m", "minilm_l6"], help="files of configs/encoder")
    quiet()
    rows = [row for name in parser.parse_args().encoder for row in measured(name)]
    print(markdown(["encoder", "computed in", "padded on the", "largest difference", "share of the largest"], rows))


if __name__ == "__main__":
    main()
