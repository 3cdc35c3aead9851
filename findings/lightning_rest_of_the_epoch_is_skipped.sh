#!/usr/bin/env bash
# lightning 2.6.6: a run that max_steps ended within an epoch goes on with the next epoch.
#
# Guessed: a checkpoint that is saved after fit and continued with a larger limit does the rest of its epoch, or that epoch
# again with the warning that a checkpoint from within an epoch gives.
# Seen: the epoch counts as done. Rows 3 to 5 of it are in no step, the epoch counter and schedules by epoch are ahead, and
# nothing is said, while a checkpoint that ModelCheckpoint wrote at the very same step does three more steps of that epoch and
# warns. With a limit that is raised a little each time the end of the data is never trained on.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 lightning==2.6.6
cd "$place" && "$place/venv/bin/python" - 2>/dev/null <<'PY'
import logging
import warnings

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Model(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight, self.rows = torch.nn.Parameter(torch.zeros(1)), []

    def training_step(self, batch, index):
        self.rows.append((self.current_epoch, int(batch)))
        return self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(path=None, callbacks=(), **limits):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    model, trainer = Model(), L.Trainer(accelerator="cpu", callbacks=list(callbacks), **limits, **quiet)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        trainer.fit(model, torch.utils.data.DataLoader(torch.arange(6), batch_size=1), ckpt_path=path)
    return trainer, model.rows, any("before the epoch ended" in str(one.message) for one in said)


each = ModelCheckpoint("within", filename="{step}", every_n_train_steps=3, save_top_k=-1)
fit(callbacks=[each], max_steps=3)[0].save_checkpoint("after.ckpt")
(_, after, told), (_, within, warned) = fit("after.ckpt", max_epochs=2), fit("within/step=3.ckpt", max_epochs=2)
print("lightning", L.__version__, "after fit:", after, "told:", told, "from within:", within[:4], "told:", warned)
assert [epoch for epoch, _ in within] == [0, 0, 0, 1, 1, 1, 1, 1, 1] and warned
assert [epoch for epoch, _ in after] == [1] * 6 and not told, "the epoch is ended now, or it is told"
PY
