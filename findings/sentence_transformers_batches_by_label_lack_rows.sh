#!/usr/bin/env bash
# sentence-transformers 6.2.0: batches grouped by label leave most rows of a frequent label out, in every epoch.
#
# Guessed: with BatchSamplers.GROUP_BY_LABEL (for the triplet losses) and drop_last False each row comes once an
# epoch, as with the other samplers; the frequent label fills what is left.
# Seen: an epoch ends when only one label has rows left, so a label gives as many rows as the second most frequent
# one. Of 90 and 10 rows 20 come; a label with one row never comes, nor the odd row of a label. len() says batches,
# nothing says how many rows are left out.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    torch==2.13.0 sentence-transformers==6.2.0 \
    datasets==5.0.0
"$place/venv/bin/python" - <<'PY'
import sentence_transformers
from datasets import Dataset
from sentence_transformers.base.sampler import GroupByLabelBatchSampler


def come(sizes):
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    rows = Dataset.from_dict({"text": [str(number) for number in range(len(labels))], "label": labels})
    sampler = GroupByLabelBatchSampler(rows, batch_size=8, drop_last=False, valid_label_columns=["label"])
    used = [labels[row] for batch in sampler for row in batch]
    return [used.count(label) for label in range(len(sizes))]


uneven, odd = come([90, 10]), come([9, 9, 1])
print("sentence-transformers", sentence_transformers.__version__, "of 90 and 10", uneven, "of 9, 9 and 1", odd)
assert uneven == [10, 10], "more rows of the frequent label come now"
assert odd[2] == 0 and sum(odd) == 16, "single rows come now"
PY
