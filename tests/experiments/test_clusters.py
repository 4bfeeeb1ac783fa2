"""The cluster examples are what Ray, KubeRay and Slurm take, and every command in them is a command that there is."""

from __future__ import annotations

import copy
import json
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.datasets.simulated import simulate, write_pair
from harness.store import Store
from tests.experiments.cluster_files import (
    FILES,
    HERE,
    NOTE,
    VERSION,
    check,
    check_ours,
    commands,
    noted,
    program,
    text,
)

AUTHENTICATED = (2, 52)
"""The first Ray with token authentication."""


# --- the commands that stand in the files -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_every_command_of_ours_in_a_comment_is_one(name: str) -> None:
    found = commands(name, "spadit")

    assert ["spadit", "status"] in [words[:2] for words in found]
    for words in found:
        check_ours(words)


@pytest.mark.parametrize("name", FILES)
def test_every_command_of_rays_in_a_comment_is_one(name: str) -> None:
    from ray.scripts.scripts import cli

    found = commands(name, "ray")

    assert (name == "ray-up.yaml") == bool(found)
    for words in found:
        check(cli, words[1:])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("walk", "no subcommand walk"),
        ("run", "experiment"),
        ("run quickstart --adress auto", "--adress"),
        ("run quickstart --seeds none", "integer"),
        ("run quickstart --gpus-per-trial all", "gpus_per_trial"),
    ],
)
def test_a_command_that_is_none_is_noticed(wrong: str, said: str) -> None:
    with pytest.raises(Exception, match=said):
        check_ours(["spadit", *wrong.split()])


def test_the_commands_given_to_clusters_run_on_them_with_data_and_store_where_all_nodes_reach_them(
    kuberay: dict[str, Any],
) -> None:
    submitted = [words[words.index("--") + 1 :] for words in commands("ray-up.yaml", "ray") if "submit" in words]
    submitted.append(shlex.split(kuberay["spec"]["entrypoint"]))

    assert len(submitted) == 2
    for words in submitted:
        check_ours(words)
        options = dict(zip(words[3::2], words[4::2], strict=True))
        assert options["--address"] == "auto"
        assert options["--data"].startswith("s3://")
        assert options["--store"].startswith("s3://")


# --- what holds for all files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_a_file_begins_with_what_its_user_has_to_know(name: str) -> None:
    lines = [line for line in text(name).splitlines() if not line.startswith("#!")]
    head = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]

    assert 5 <= len(head) <= 15
    for label in ("Edit", "Data", "Auth", "Submit", "Watch", "Go on"):
        assert any(line.startswith(f"# {label} ") for line in head), label
    assert all(len(line) <= 120 for line in lines)


def test_all_files_name_one_version_of_this_project_and_one_of_ray() -> None:
    everything = "".join(map(text, FILES))
    ours = re.findall(r"spadit(?:[-_]harness(?:\[s3\])?)?(?:==|:|-)(\d[\w.]*?)(?=-py3|[\s\"])", everything)
    rays = re.findall(r"(?:ray\[[\w,]+\]==|rayproject/ray:|rayVersion: \")(\d+\.\d+\.\d+)", everything)

    assert len(ours) >= 5
    assert set(ours) == {VERSION}
    assert len(rays) >= 4
    assert len(set(rays)) == 1
    assert tuple(map(int, rays[0].split(".")[:2])) >= AUTHENTICATED


@pytest.mark.parametrize("name", FILES)
def test_no_file_holds_a_secret(name: str) -> None:
    assert not re.search(r"\b(AKIA|ASIA)[A-Z0-9]{12,}|\b[0-9a-f]{32,}\b|PRIVATE KEY", text(name))
    for name_of, value in re.findall(r"(AWS_\w+|RAY_AUTH_TOKEN)\s*[=:]\s*(\S*)", text(name)):
        assert re.fullmatch(r"|\.\.\W*", value), f"{name_of}={value}"


# --- ray up -----------------------------------------------------------------------------------------------------------


def accepted(config: dict[str, Any]) -> dict[str, Any]:
    """A file for `ray up` as Ray completes it, without asking the cloud; raises what `ray up` would."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    complete: dict[str, Any] = prepare_config(copy.deepcopy(config))
    validate_config(complete)
    return complete


def on_premise(config: dict[str, Any]) -> dict[str, Any]:
    """The file with what its last comment puts in place of the cloud."""
    block = text("ray-up.yaml").split("# On machines of your own", 1)[1]
    instead = yaml.safe_load("\n".join(line[4:] for line in block.split("\n#\n")[1].splitlines()))
    replaced = block.split("in place of", 1)[1].split(", and take", 1)[0].replace("\n#", " ")
    gone = set(re.findall(r"\w+", replaced)) - {"and"}
    assert gone <= set(config)
    return {key: value for key, value in config.items() if key not in gone} | instead


def test_ray_accepts_the_file_for_ray_up(ray_up: dict[str, Any]) -> None:
    nodes = accepted(ray_up)["available_node_types"]

    assert ray_up["provider"]["type"] == "aws"
    assert nodes["head"]["resources"]["CPU"] == 0
    for kind in ("cpu", "gpu"):
        assert 0 <= nodes[kind]["min_workers"] <= nodes[kind]["max_workers"]
        assert nodes[kind]["node_config"]["ImageId"] == nodes["head"]["node_config"]["ImageId"]
    assert sum(nodes[kind]["max_workers"] for kind in ("cpu", "gpu")) <= ray_up["max_workers"]


def test_ray_notices_a_field_that_is_none(ray_up: dict[str, Any]) -> None:
    import jsonschema

    with pytest.raises(jsonschema.ValidationError):
        accepted(ray_up | {"max_wrokers": 3})


def test_ray_accepts_the_file_as_changed_for_machines_of_ones_own(ray_up: dict[str, Any]) -> None:
    complete = accepted(on_premise(ray_up))

    assert complete["provider"]["type"] == "local"
    assert complete["max_workers"] == len(complete["provider"]["worker_ips"])
    for which in ("head_start_ray_commands", "worker_start_ray_commands"):
        assert complete[which] == ray_up[which]


def test_every_node_installs_the_same_and_gets_the_token(ray_up: dict[str, Any]) -> None:
    assert f"spadit-harness[s3]=={VERSION}" in " ".join(ray_up["setup_commands"])
    assert not ray_up.get("head_setup_commands")
    assert not ray_up.get("worker_setup_commands")
    assert ray_up["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


@pytest.mark.parametrize("which", ["head_start_ray_commands", "worker_start_ray_commands"])
def test_ray_up_starts_ray_with_authentication(which: str, ray_up: dict[str, Any], tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    program(tmp_path / "spadit/bin/ray", NOTE.format(calls=calls))

    for command in ray_up[which]:
        environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "RAY_HEAD_IP": "10.0.0.1"}
        subprocess.run(["bash", "-c", command], env=environment, check=True)

    stop, start = noted(calls)
    assert stop["words"] == ["stop"]
    assert start["environment"]["RAY_AUTH_MODE"] == "token"
    assert start["environment"]["OMP_NUM_THREADS"] == "1"
    check_start(start["words"])


def check_start(words: list[str]) -> None:
    from ray.scripts.scripts import cli

    assert words[0] == "start"
    check(cli, words)


# --- KubeRay ----------------------------------------------------------------------------------------------------------


def pods(kuberay: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The groups of pods, by name."""
    cluster = kuberay["spec"]["rayClusterSpec"]
    return {"head": cluster["headGroupSpec"]} | {group["groupName"]: group for group in cluster["workerGroupSpecs"]}


def size(quantity: str) -> float:
    """Bytes of a Kubernetes quantity."""
    number, unit = re.fullmatch(r"(\d+)(Ki|Mi|Gi|)", quantity).groups()  # type: ignore[union-attr]
    return int(number) * 1024 ** ["", "Ki", "Mi", "Gi"].index(unit)


def test_the_manifest_has_what_kuberay_demands(kuberay: dict[str, Any]) -> None:
    spec = kuberay["spec"]

    assert (kuberay["apiVersion"], kuberay["kind"]) == ("ray.io/v1", "RayJob")
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,45}[a-z0-9])?", kuberay["metadata"]["name"])
    assert spec["submissionMode"] in ("K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode")
    assert spec["shutdownAfterJobFinishes"] is True  # without it a time to live is refused
    assert spec["ttlSecondsAfterFinished"] >= 0
    assert spec["backoffLimit"] >= 1
    assert set(pods(kuberay)) == {"head", "cpu", "gpu"}
    for name, group in pods(kuberay).items():
        assert all(isinstance(value, str) for value in group["rayStartParams"].values()), name
        if name != "head":
            assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    assert pods(kuberay)["head"]["rayStartParams"]["num-cpus"] == "0"


def test_the_manifest_authenticates_every_process_of_ray(kuberay: dict[str, Any]) -> None:
    cluster = kuberay["spec"]["rayClusterSpec"]

    assert cluster["authOptions"] == {"mode": "token"}
    assert tuple(map(int, cluster["rayVersion"].split(".")[:2])) >= AUTHENTICATED  # older ones are refused
    for name, group in pods(kuberay).items():
        for container in group["template"]["spec"]["containers"]:
            environment = {entry["name"]: entry.get("value") for entry in container["env"]}
            assert environment["RAY_AUTH_MODE"] == "token", name
            assert environment["OMP_NUM_THREADS"] == "1", name


def test_the_manifest_takes_the_keys_of_the_bucket_from_a_secret(kuberay: dict[str, Any]) -> None:
    for group in pods(kuberay).values():
        for container in group["template"]["spec"]["containers"]:
            assert [set(source) for source in container["envFrom"]] == [{"secretRef"}]
            assert not [e["name"] for e in container["env"] if re.search("KEY|SECRET|TOKEN|PASSWORD", e["name"])]


def test_the_pods_have_one_image_and_room_for_what_they_are_asked_to_hold(kuberay: dict[str, Any]) -> None:
    images = set()
    for group in pods(kuberay).values():
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        images.add(container["image"])
        shared = {v["name"]: v["emptyDir"] for v in pod["volumes"]}
        (mount,) = [m for m in container["volumeMounts"] if m["mountPath"] == "/dev/shm"]
        limits = container["resources"]["limits"]

        assert shared[mount["name"]]["medium"] == "Memory"
        room = size(shared[mount["name"]]["sizeLimit"])
        assert int(group["rayStartParams"]["object-store-memory"]) < room < size(limits["memory"])
        assert container["resources"]["requests"] == limits
        assert pod["terminationGracePeriodSeconds"] > 30  # what a driver takes to let everything be written
    assert len(images) == 1


def test_the_pods_of_one_group_have_gpus(kuberay: dict[str, Any]) -> None:
    limits = {name: g["template"]["spec"]["containers"][0]["resources"]["limits"] for name, g in pods(kuberay).items()}

    assert [name for name in limits if "nvidia.com/gpu" in limits[name]] == ["gpu"]


SUBMIT = """
set -euo pipefail
{token}
{start}
{submit}
{logs}
{status} --json > status.json
"""


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.ray
def test_a_job_that_is_submitted_to_a_head_of_ray_up_runs_there(
    ray_up: dict[str, Any], alone: tuple[str, ...], tmp_path: Path
) -> None:
    # Not Ray's own module: importing that one settles how this process authenticates, for every later Ray in it.
    pytest.importorskip("aiohttp_cors", reason="needs ray[default]")
    store = tmp_path / "store"
    write_pair(simulate(60, 80, 30, seed=1, name="small"), tmp_path / "data")
    (tmp_path / "job").mkdir()  # what is submitted
    (tmp_path / "spadit").mkdir()
    (tmp_path / "spadit/bin").symlink_to(Path(sys.executable).parent)

    def as_written(program: str, *words: str, **instead: str) -> str:
        (found,) = [line for line in commands("ray-up.yaml", program) if line[1 : 1 + len(words)] == list(words)]
        here = {"s3://my-bucket/store": str(store), "s3://my-bucket/data": str(tmp_path / "data"), **instead}
        return shlex.join(here.get(word, word) for word in found)

    # The file's own commands; this one node runs the trials too, and no cloud is asked for more.
    start = ray_up["head_start_ray_commands"][-1].replace("--num-cpus=0", "--num-cpus=2")
    steps = {
        "token": as_written("ray", "get-auth-token") + " > /dev/null",
        "start": "bash -c " + shlex.quote(re.sub(r"--autoscaling-config=\S+", "", start)),
        "submit": as_written("ray", "job", "submit", **{".": str(tmp_path / "job")})
        + " --variant 'gene mean' --fold 0 --seeds 1",
        "logs": as_written("ray", "job", "logs"),
        "status": as_written("spadit", "status"),
    }
    with tempfile.TemporaryDirectory(prefix="ray-") as short:  # a socket's path has to be
        environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "RAY_AUTH_MODE": "token",
            "RAY_TMPDIR": short,
            **HERE,
        }
        done = subprocess.run(
            [*alone, "bash", "-c", SUBMIT.format(**steps)],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
        )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1/1 finished" in done.stdout
    assert json.loads((tmp_path / "status.json").read_text())
    assert len(Store(store).done()) == 1
