"""The script for Slurm, played with programs that only note how they were called, and run for real on one node."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.datasets.simulated import simulate, write_pair
from harness.store import Store
from tests.experiments.cluster_files import (
    CLUSTERS,
    HERE,
    NOTE,
    check,
    check_ours,
    noted,
    program,
    text,
)

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


@pytest.fixture
def real(slurm: Slurm) -> Slurm:
    """A Slurm with the Ray and the commands of ours that are installed here."""
    for name in ("ray", "spadit"):
        (slurm.folder / "bin" / name).unlink()
    return slurm


@pytest.mark.slow
@pytest.mark.alone
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
@pytest.mark.alone
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
