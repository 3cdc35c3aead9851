"""What a command imports before it works."""

import contextlib
import json
import subprocess
import sys

import pytest
import yaml

from transferlab.cli import early
from transferlab.ground.errors import TransferlabError

PROGRAM = """
import json, sys
from transferlab.ground.lean import import_torchmetrics
import_torchmetrics()
print(json.dumps(sorted(name for name in sys.modules if "." not in name)))
from lightning_utilities.core.imports import RequirementCache, package_available
assert package_available("scipy") and RequirementCache("scipy") and RequirementCache("transformers>=4.4")
import torch
from torchmetrics import PearsonCorrCoef, SpearmanCorrCoef
from torchmetrics.classification import BinaryF1Score, MulticlassMatthewsCorrCoef
one, other = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 3.0, 9.0])
assert abs(SpearmanCorrCoef()(one, other) - 1) < 1e-5
# two hits, one false alarm
assert abs(BinaryF1Score()(torch.tensor([1, 1, 0, 1]), torch.tensor([1, 0, 0, 1])) - 4 / 5) < 1e-6
"""


def test_torchmetrics_leaves_out_what_its_other_metrics_read():
    """Scores stay; whoever asks for the packages afterwards finds them."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "torchmetrics" in loaded
    assert not loaded & {"matplotlib", "scipy", "transformers", "pandas", "sklearn"}


LOSSES = """
import sys
from transferlab.ground.lean import import_losses
import_losses()
from transformers.models.bert import modeling_bert
from transformers.utils import is_scipy_available
assert is_scipy_available() and "scipy" not in sys.modules
# no file of a model was looked at twice
from transformers.utils.import_utils import create_import_structure_from_path as looked
assert looked.cache_info().currsize == looked.cache_info().misses > 128
import functools
assert functools.lru_cache(lambda: 0).cache_info().maxsize == 128
"""


def test_a_model_is_imported_without_what_object_detection_reads():
    subprocess.run([sys.executable, "-c", LOSSES], check=True)


ARRAYS = """
import sys
from transferlab.ground.lean import import_numpy
import_numpy()
assert "numpy._typing" not in sys.modules
import numpy as np
assert np.linalg.svd(np.diag([3.0, 2.0])).S.tolist() == [3, 2]
from numpy.typing import NDArray
assert NDArray[np.float64].__origin__ is np.ndarray
# and where numpy is there already nothing changes
types = sys.modules["numpy._typing"]
import_numpy.cache_clear()
import_numpy()
assert sys.modules["numpy._typing"] is types
"""


def test_numpy_is_imported_without_its_types():
    subprocess.run([sys.executable, "-c", ARRAYS], check=True)


LEARNING = """
import json, sys
import numpy as np
if sys.argv[1] == "lean":
    from transferlab.ground.lean import import_sklearn
    import_sklearn()
    assert not {"pandas", "scipy.stats"} & set(sys.modules)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, label_ranking_average_precision_score
from sklearn.model_selection import train_test_split
from sklearn.svm import LinearSVC
texts = ["a good film", "a bad film", "good", "bad bad", "the good one", "no good at all"]
labels = [1, 0, 1, 0, 1, 0]
rows = TfidfVectorizer().fit_transform(texts)
one = LogisticRegression(C=3.0).fit(rows, labels)
other = LinearSVC(random_state=0).fit(rows, labels)
known = [one.coef_.tolist(), one.predict_log_proba(rows).tolist(), other.coef_.tolist()]
known += [roc_auc_score(labels, one.decision_function(rows)), train_test_split(texts, random_state=1, stratify=labels)]
# it reads a function of scipy.stats
known.append(label_ranking_average_precision_score(np.eye(2), np.array([[0.2, 0.8], [0.3, 0.7]])))
from scipy import stats
import pandas
assert stats.rankdata([3, 1, 2]).tolist() == [3, 1, 2] and pandas.Series([1, 2]).sum() == 3
print(json.dumps(known))
"""


def test_scikit_learn_computes_the_same_without_what_it_does_not_need():
    """Bit for bit; whoever asks for the packages afterwards finds them."""
    told = [
        subprocess.run([sys.executable, "-c", LEARNING, how], capture_output=True, text=True, check=True).stdout
        for how in ("lean", "usual")
    ]
    assert told[0] == told[1]
    assert len(json.loads(told[0])) == 6


PARSED = """
import inspect
from jsonargparse import ArgumentParser, lazy_instance
from transferlab.ground.lean import name_callers
name_callers()
name_callers()
parser = ArgumentParser()
parser.add_argument("--rate", type=float, default=0.5)
assert parser.parse_args(["--rate", "0.25"]).rate == 0.25
try:
    parser.parse_known_args(["--rate", "0.25"])
except NotImplementedError:
    print("refused")
from jsonargparse import _core
assert _core.inspect.signature is inspect.signature and inspect.getmodule(inspect) is inspect
"""


def test_jsonargparse_knows_its_callers():
    """It refuses what others ask of it, as without us."""
    done = subprocess.run([sys.executable, "-c", PARSED], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"


def test_kept_parsers_read_what_new_ones_do(monkeypatch):
    """Again, behind another configuration, and where a mistake stands."""
    from jsonargparse._typehints import ActionTypeHint

    from transferlab.cli.parsing import check_text
    from transferlab.config import experiments
    from transferlab.ground.lean import keep_parsers

    texts = [yaml.safe_dump(experiments.compose(name)) for name in ("lora_demo_entities", "feature_extraction_sst2")]

    def told():
        found = [check_text(text).dumped for text in texts]
        with pytest.raises(TransferlabError) as refused:
            check_text(texts[0].replace("transferlab.strategies.", "transferlab.strategie."))
        return [*found, str(refused.value)]

    keep_parsers()
    kept = told()
    assert check_text(texts[0]).dumped == kept[0]
    monkeypatch.setattr(ActionTypeHint, "get_class_parser", staticmethod(ActionTypeHint.get_class_parser.__wrapped__))
    assert told() == kept


LEFT = """
import gc, weakref
from transferlab.ground.lean import collect_again, end_quickly, uncollected
end_quickly()
with uncollected():
    assert not gc.isenabled()
assert gc.isenabled() and (count := gc.get_freeze_count()) > 0

class Model:
    pass

model = Model()
model.itself = model
alive = weakref.ref(model)
del model
# the next training of this process
collect_again()
gc.collect()
assert alive() is None and gc.get_freeze_count() <= count
"""


def test_modules_are_set_apart_once_and_a_model_of_before_goes():
    subprocess.run([sys.executable, "-c", LEFT], check=True)


def experiment(folder, **source):
    path = folder / "mine.yaml"
    data = {"class_path": "transferlab.tasks.TaskDataModule", "init_args": {"task": "mine", "source": source}}
    path.write_text(yaml.safe_dump({"data": data, "model": {"class_path": "transferlab.strategies.FullFineTuning"}}))
    return str(path)


def test_missing_file_is_told_without_torch(tmp_path):
    arguments = ["fit", "--config", experiment(tmp_path, files={"train": "gone.csv"})]
    program = f"import sys; sys.argv[1:] = {arguments}\nfrom transferlab.__main__ import main\n"
    program += "try:\n    main()\nfinally:\n    print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "False\n")
    assert "data.source.files.train: no such file: gone.csv" in done.stderr


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"files": {"train": "full.csv", "validation": "empty.csv"}}, r"files\.validation: .*empty\.csv is empty"),
        ({"files": {"train": "full.csv", "dev": "gone.csv"}, "validation": "dev"}, r"files\.dev: no such file"),
        (
            {"files": {"train": "full.csv", "a": "full.csv", "b": "gone.csv"}, "test": ["a", "b"]},
            r"files\.b: no such file",
        ),
        # whether those are read depends on the command
        ({"files": {"train": "full.csv", "later": "gone.csv"}, "predict": ["later"]}, None),
    ],
)
def test_files_that_training_reads(tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full.csv").write_text("text,label\na,b\n")
    (tmp_path / "empty.csv").touch()
    tree = yaml.safe_load((tmp_path / experiment(tmp_path, **given)).read_text())
    if message is None:
        early.check_files(tree)
        return
    with pytest.raises(TransferlabError, match=message):
        early.check_files(tree)


@pytest.mark.parametrize("value", [None, True, 0, 1.5, "x", "a\0b", "é" * 300, [], ["a"], [[1]], {}, {"a": 1}])
@pytest.mark.parametrize("keys", [1, 2, 3, 4, 5])
def test_what_stands_in_place_of_files_is_left_to_the_parser_or_refused(value, keys):
    path, tree = ["data", "init_args", "source", "files", "train"][:keys], value
    for key in reversed(path):
        tree = {key: tree}
    with contextlib.suppress(TransferlabError):
        early.check_files(tree)
    for key in ("train", "test"):
        with contextlib.suppress(TransferlabError):
            early.check_files({"data": {"init_args": {"source": {"files": {"a": "b"}, key: value}}}})
