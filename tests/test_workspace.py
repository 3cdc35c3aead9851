"""The W&B workspace: built without a network, saved on a server, and made of keys that runs write."""

import json
import os
import subprocess
import sys

import pytest
from wandb_server import WandbServer

from transferlab.ground.errors import TransferlabError
from transferlab.tracking import loggers, workspace

pytest.importorskip("wandb_workspaces")


def command(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "transferlab", "workspace", *arguments], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def strings(tree):
    if isinstance(tree, dict):
        return [found for value in tree.values() for found in strings(value)]
    if isinstance(tree, list):
        return [found for value in tree for found in strings(value)]
    return [tree] if isinstance(tree, str) else []


def test_panels_compare_strategies_by_keys_that_runs_write(tmp_path):
    workspace.main(["--task", "sst2", "--entity", "lab", "--output", str(tmp_path / "w.json")])
    view = json.loads((tmp_path / "w.json").read_text())
    assert (view["entity"], view["project"]) == ("lab", "transferlab")
    sections = view["spec"]["section"]["panel_bank_config"]["sections"]
    assert [section["name"] for section in sections][:3] == ["Quality by strategy", "Learning curves", "Cost"]
    perf = dict.fromkeys(("train_s", "samples_s", "peak_mem_mb"))
    params = dict.fromkeys(("total", "trainable", "trainable_pct"))
    written = loggers.closing({"primary": "accuracy", "metrics": {}, "params": params, "perf": perf})
    written |= dict.fromkeys(("train/loss", "val/primary", "best/step"))
    shown = {word for word in strings(sections) if word.partition("/")[0] in {"perf", "params", "best", "train"}}
    shown = {word for word in shown if " " not in word and word != workspace.STEP}
    assert shown
    assert shown <= written.keys()
    grouped = {panel["config"].get("groupBy", panel["config"].get("group_by")) for panel in sections[0]["panels"]}
    assert grouped == {"strategy.value.name"}


def test_without_a_key_pushing_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(TransferlabError, match="WANDB_API_KEY"):
        workspace.main(["--push"])


@pytest.mark.slow
def test_it_is_saved_on_a_server():
    with WandbServer() as server:
        os.environ.update(server.environment)
        status, address, complaint = command("--push", "--project", "p")
        assert status == 0, complaint
        assert address.startswith(f"{server.url}/lab/p")
        assert server.views[0]["display_name"] == "transfer strategies"
        assert server.unknown == []
        server.status = 401
        status, _, complaint = command("--push", "--project", "p")
        assert status == 2
        assert complaint.splitlines()[-1].startswith("error: workspace: W&B refused it: ")
