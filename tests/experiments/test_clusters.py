"""The cluster examples are what Ray, KubeRay and Slurm take, and every command in them is a command that there is."""

from __future__ import annotations

import copy
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.datasets.simulated import simulate, write_pair
from harness.store import Store

ROOT = Path(__file__).resolve().parents[2]
CLUSTERS = ROOT / "experiments" / "clusters"
FILES = ("ray-up.yaml", "kuberay-job.yaml", "slurm.sh")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
AUTHENTICATED = (2, 52)
"""The first Ray with token authentication."""


def text(name: str) -> str:
    return (CLUSTERS / name).read_text()


@pytest.fixture(scope="module")
def ray_up() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(text("ray-up.yaml"))
    return loaded


@pytest.fixture(scope="module")
def kuberay() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(text("kuberay-job.yaml"))
    return loaded


# --- the commands that stand in the files -----------------------------------------------------------------------------


def commands(name: str, program: str) -> list[list[str]]:
    """The command lines of a program in the comments of a file: those that begin a line there, or follow `&&`, `;`."""
    comments = "\n".join(line.strip()[1:] for line in text(name).splitlines() if line.strip().startswith("#"))
    found = []
    for line in re.sub(r"\\\n\s*", "", comments).splitlines():
        line = re.sub(r"^ *(Edit|Data|Auth|Submit|Watch|Go on) ", "", line)
        for part in re.split(r";|&&", re.sub(r"\s{2,}\(.*\)$|\s*> /dev/null", "", line)):
            if command := re.match(rf"\s*(?:\w+=\S+\s+)*({program}\s.*)", part):
                found.append(shlex.split(command[1]))
    return found


def check(root: Any, words: list[str]) -> None:
    """Parse a command line down to the last subcommand, and run nothing; raises for a wrong one."""
    command = root
    while subcommands := getattr(command, "commands", None):
        assert words, f"{command.name} needs a subcommand"
        assert words[0] in subcommands, f"{command.name} has no subcommand {words[0]}"
        command, words = subcommands[words[0]], words[1:]
    command.make_context(command.name, list(words))


def check_ours(words: list[str]) -> None:
    """Parse a command line of `spadit`, and what a command makes of its options before it starts."""
    import typer

    from harness.cli import app
    from harness.cluster.resources import gpus

    assert words[0] == "spadit"
    check(typer.main.get_command(app), words[1:])
    if "--gpus-per-trial" in words:
        gpus(words[words.index("--gpus-per-trial") + 1])


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


# --- Slurm, played --------------------------------------------------------------------------------------------------

NOTE = """
import json, os, sys
with open("{calls}", "a") as file:
    file.write(json.dumps({{"words": sys.argv[1:], "environment": dict(os.environ)}}) + "\\n")
"""

SRUN = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job ignores it; a task of Slurm's does not
words = sys.argv[1:]
while words[0].startswith("--"):
    words.pop(0)
os.execvp(words[0], words)
"""

SYMMETRIC_RUN = """
import stat, subprocess
note = os.stat(os.environ["RAY_AUTH_TOKEN_PATH"])
with open("{calls}.token", "w") as file:
    file.write(oct(stat.S_IMODE(note.st_mode)) + " " + open(os.environ["RAY_AUTH_TOKEN_PATH"]).read())
words = sys.argv[1:]
sys.exit(subprocess.call(words[words.index("--") + 1 :]))
"""


def program(path: Path, source: str) -> Path:
    """A Python program, ready to be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\n{source}")
    path.chmod(0o755)
    return path


def noted(calls: Path) -> list[dict[str, Any]]:
    """The calls that `NOTE` noted."""
    return [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []


@dataclass
class Slurm:
    """One node with Slurm's commands played by small programs, in a folder; those of `bin` come first in PATH."""

    folder: Path
    job: str

    def calls(self, name: str) -> list[dict[str, Any]]:
        return noted(self.folder / f"{name}.calls")

    def stub(self, name: str, source: str) -> None:
        program(self.folder / "bin" / name, NOTE.format(calls=self.folder / f"{name}.calls") + source)

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "PATH": f"{self.folder / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.folder),
            "SLURM_JOB_ID": self.job,
            "SLURM_JOB_NUM_NODES": "1",
            "SLURM_CPUS_ON_NODE": "2",
            "SPADIT_VENV": str(self.folder / "venv"),
            "SPADIT_HEAD_IP": "127.0.0.1",
            **more,
        }

    def start(self, *words: str, before: tuple[str, ...] = (), **more: str) -> subprocess.Popen[str]:
        with (self.folder / f"spadit-{self.job}.log").open("a") as log:
            return subprocess.Popen(
                [*before, "bash", str(CLUSTERS / "slurm.sh"), *words],
                cwd=self.folder,
                env=self.environment(**more),
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            )

    @property
    def log(self) -> str:
        return (self.folder / f"spadit-{self.job}.log").read_text()


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[Slurm]:
    """A Slurm whose tasks run here, with neither Ray nor us; a test replaces what it needs to."""
    played = Slurm(tmp_path, f"{os.getpid()}{time.monotonic_ns() % 10_000}")
    played.stub("srun", SRUN)
    played.stub("scontrol", "")
    activate = tmp_path / "venv/bin/activate"
    activate.parent.mkdir(parents=True)
    activate.write_text(f'PATH="{tmp_path}/bin:{Path(sys.executable).parent}:$PATH"\n')
    played.stub("ray", SYMMETRIC_RUN.format(calls=tmp_path / "ray.calls"))
    played.stub("spadit", "print('a table')")
    yield played
    shutil.rmtree(f"/tmp/ray-{played.job}", ignore_errors=True)


def test_the_script_for_slurm_is_one() -> None:
    subprocess.run(["bash", "-n", str(CLUSTERS / "slurm.sh")], check=True)
    options = re.findall(r"^#SBATCH (--\S+)", text("slurm.sh"), re.MULTILINE)
    body = re.sub(r"^#.*\n", "", text("slurm.sh"), flags=re.MULTILINE)

    assert text("slurm.sh").index("#SBATCH --gres") < text("slurm.sh").index(body.strip().splitlines()[0])
    assert {"--requeue", "--exclusive", "--ntasks-per-node=1", "--open-mode=append"} <= set(options)
    (warning,) = [option for option in options if option.startswith("--signal=")]
    assert re.fullmatch(r"--signal=B:USR1@\d{3}", warning)  # to the script alone, minutes before the end


def test_a_job_runs_our_command_on_the_ray_that_its_nodes_make(slurm: Slurm) -> None:
    from ray.scripts.scripts import cli
    from ray.scripts.symmetric_run import curate_and_validate_ray_start_args, symmetric_run

    job = slurm.start("--dataset", "my tissue", SPADIT_DATA="/d", SPADIT_STORE="/s", SPADIT_GPUS="auto")

    assert job.wait(60) == 0
    assert "a table" in slurm.log
    (ours,) = slurm.calls("spadit")
    check_ours(["spadit", *ours["words"]])
    assert ours["words"][:2] == ["run", "quickstart"]
    options = dict(zip(ours["words"][2::2], ours["words"][3::2], strict=True))
    assert options["--address"] == "auto"
    assert (options["--data"], options["--store"], options["--gpus-per-trial"]) == ("/d", "/s", "auto")
    assert options["--dataset"] == "my tissue"
    (rays,) = slurm.calls("ray")
    words = rays["words"][1 : rays["words"].index("--")]
    asked = symmetric_run.make_context("symmetric-run", list(words))
    assert rays["words"][0] == "symmetric-run"
    assert asked.params["address"] == "127.0.0.1:6379"
    assert asked.params["min_nodes"] == 1
    check(cli, ["start", *curate_and_validate_ray_start_args(words)])


def test_the_script_for_slurm_alone_makes_a_command_of_ours(slurm: Slurm) -> None:
    assert slurm.start().wait(60) == 0

    (ours,) = slurm.calls("spadit")
    check_ours(["spadit", *ours["words"]])


def test_a_job_authenticates_every_process_by_a_token_of_its_own_that_is_gone_afterwards(slurm: Slurm) -> None:
    assert slurm.start(RAY_AUTH_TOKEN="another", RAY_AUTH_MODE="disabled", RAY_ADDRESS="elsewhere:1").wait(60) == 0

    for name in ("ray", "spadit"):
        (call,) = slurm.calls(name)
        assert call["environment"]["RAY_AUTH_MODE"] == "token"
        assert call["environment"]["OMP_NUM_THREADS"] == "1"
        assert not {"RAY_AUTH_TOKEN", "RAY_ADDRESS"} & set(call["environment"])
    mode, token = (slurm.folder / "ray.calls.token").read_text().split()
    assert mode == "0o600"
    assert re.fullmatch("[0-9a-f]{64}", token)
    assert token not in slurm.log + json.dumps(slurm.calls("ray") + slurm.calls("spadit") + slurm.calls("srun"))
    assert not list(slurm.folder.glob(".spadit-job-*"))
    assert not Path(f"/tmp/ray-{slurm.job}").exists()


def test_a_job_ends_as_our_command_does(slurm: Slurm) -> None:
    slurm.stub("spadit", "sys.exit(3)")

    assert slurm.start().wait(60) == 3
    assert not slurm.calls("scontrol")


def test_a_job_whose_ray_did_not_start_has_failed(slurm: Slurm) -> None:
    slurm.stub("ray", "sys.exit(0)")

    assert slurm.start().wait(60) == 1
    assert "Ray did not start" in slurm.log


WAITS = """
import signal, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
time.sleep(60)
"""


def wait_for(what: Callable[[], Any], seconds: float, job: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it took too long"
        assert job.poll() is None, "the job has ended"
        time.sleep(0.05)


@pytest.mark.parametrize(("before", "again"), [("0", True), ("2", True), ("3", False)])
def test_a_job_that_is_warned_stops_our_command_and_queues_again(slurm: Slurm, before: str, again: bool) -> None:
    slurm.stub("spadit", WAITS)
    job = slurm.start(SLURM_RESTART_COUNT=before, SPADIT_RESTARTS="3")
    wait_for(lambda: slurm.calls("spadit"), 60, job)
    time.sleep(0.5)  # until it listens

    job.send_signal(signal.SIGUSR1)

    assert job.wait(30) == 130
    assert [call["words"] for call in slurm.calls("scontrol")] == [["requeue", slurm.job]] * again


def test_a_job_that_finishes_though_warned_does_not_queue_again(slurm: Slurm) -> None:
    slurm.stub("spadit", WAITS.replace("sys.exit(130)", "sys.exit(0)"))
    job = slurm.start()
    wait_for(lambda: slurm.calls("spadit"), 60, job)
    time.sleep(0.5)

    job.send_signal(signal.SIGUSR1)

    assert job.wait(30) == 0
    assert not slurm.calls("scontrol")


# --- for real, on a machine of its own --------------------------------------------------------------------------------

INIT = """
import fcntl, os, signal, socket, struct, subprocess, sys
with socket.socket() as lo:
    fcntl.ioctl(lo, 0x8914, struct.pack("16sh22x", b"lo", 0x41))  # SIOCSIFFLAGS: up and running
job = subprocess.Popen(sys.argv[1:])
signal.signal(signal.SIGUSR1, lambda number, _: job.send_signal(number))
while (ended := os.wait())[0] != job.pid:
    pass  # the first process of all is the parent of orphans, which stay until it knows of their end
sys.exit(os.waitstatus_to_exitcode(ended[1]))
"""


@pytest.fixture(scope="module")
def alone() -> tuple[str, ...]:
    """What to put before a command so that it sees no other process and no other network than its own.

    `ray symmetric-run` starts nothing where any Ray runs, and `ray stop` ends all that it sees: here, its own. All of
    them end with the command.
    """
    for user in (("--user", "--map-root-user"), ()):
        inside = ("unshare", *user, "--net", "--pid", "--mount-proc", "--fork", "--kill-child")
        inside += (sys.executable, "-c", INIT)
        if shutil.which("unshare") and subprocess.run([*inside, "true"], capture_output=True).returncode == 0:
            return inside
    if os.environ.get("CI"):
        pytest.fail("needs namespaces (`unshare`), which this machine does not give")
    pytest.skip("needs namespaces (`unshare`), which this machine does not give")


@pytest.fixture
def real(slurm: Slurm) -> Slurm:
    """A Slurm with the Ray and the commands of ours that are installed here."""
    for name in ("ray", "spadit"):
        (slurm.folder / "bin" / name).unlink()
    return slurm


HERE = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.mark.slow
@pytest.mark.ray
def test_a_job_runs_an_experiment_to_its_end(real: Slurm, alone: tuple[str, ...]) -> None:
    data, store = real.folder / "data", real.folder / "store"
    write_pair(simulate(60, 80, 30, seed=1, name="small"), data)
    what = ("--variant", "gene mean", "--variant", "spot total", "--fold", "0", "--seeds", "1")

    job = real.start(*what, before=alone, SPADIT_DATA=str(data), SPADIT_STORE=str(store), **HERE)

    assert job.wait(240) == 0, real.log
    assert "2/2 finished" in real.log
    assert len(Store(store).done()) == 2
    assert not list(real.folder.glob(".spadit-job-*"))


TRIALS = 8
DRIVER = f"""
from harness import Experiment, KFold
from tests.toys import Sleeps

EXPERIMENT = Experiment(
    "warned", {{f"s{{i}}": Sleeps(2 + i / 100, tally="TALLY") for i in range({TRIALS // 2})}}, ["small"], split=KFold(2)
)
"""


@pytest.mark.slow
@pytest.mark.ray
def test_a_job_that_was_warned_goes_on_where_it_was(real: Slurm, alone: tuple[str, ...]) -> None:
    import psutil

    write_pair(simulate(60, 80, 30, seed=1, name="small"), real.folder / "data")
    driver, tally, store = real.folder / "warned.py", real.folder / "tally", real.folder / "store"
    driver.write_text(DRIVER.replace("TALLY", str(tally)))
    what = {"SPADIT_EXPERIMENT": str(driver), "SPADIT_DATA": str(real.folder / "data"), "SPADIT_STORE": str(store)}

    first = real.start(before=alone, **what, **HERE)
    try:
        wait_for(lambda: Store(store).done(), 240, first)
        (init,) = psutil.Process(first.pid).children()
        init.send_signal(signal.SIGUSR1)
        assert first.wait(120) == 130, real.log
    finally:
        first.kill()
    assert [call["words"] for call in real.calls("scontrol")] == [["requeue", real.job]]
    assert "To go on" in real.log
    finished = Store(store).done()
    assert 0 < len(finished) < TRIALS

    second = real.start(before=alone, SLURM_RESTART_COUNT="1", **what, **HERE)

    assert second.wait(240) == 0, real.log
    assert len(Store(store).done()) == TRIALS
    assert len(tally.read_text().splitlines()) == TRIALS


SUBMIT = """
set -euo pipefail
{token}
{start}
{submit}
{logs}
{status} --json > status.json
"""


@pytest.mark.slow
@pytest.mark.ray
def test_a_job_that_is_submitted_to_a_head_of_ray_up_runs_there(
    ray_up: dict[str, Any], alone: tuple[str, ...], tmp_path: Path
) -> None:
    pytest.importorskip("ray.dashboard.optional_deps", reason="needs ray[default]", exc_type=ImportError)
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
