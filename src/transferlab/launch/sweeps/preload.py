"""What the fork server of a sweep imports, once for all cells. Nothing is computed.

The only thread that starts is one of pyarrow's allocator, jemalloc, which starts it anew in a forked process.
"""

import importlib
from contextlib import suppress

from transferlab.ground.lean import import_losses, import_scipy, import_torchmetrics, uncollected

# nor does a cell search for garbage in what it shares with the others, which would copy all of it
with uncollected():
    import_torchmetrics()
    import_losses()
    import_scipy()
    for name in (
        "transferlab.cli.train",
        "transferlab.baselines.command",
        "transferlab.training.lock",
        # each cell would import these by itself as soon as it reads rows, builds an encoder and solves a head
        "datasets",
        "scipy.optimize",
        "transformers.modeling_layers",
        "transformers.models.auto.modeling_auto",
        "transformers.models.bert.modeling_bert",
        # the readers of files ask for it
        "scipy.io",
    ):
        importlib.import_module(name)
    with suppress(ImportError, AttributeError):
        # a thousand patterns for names of weights in old files, which are compiled when a model is first loaded
        importlib.import_module("transformers.conversion_mapping").get_checkpoint_conversion_mapping("bert")
