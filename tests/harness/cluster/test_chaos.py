"""Chaos: workers, nodes and drivers are killed at random times, and nothing of it shows in what is stored.

The store lies on an S3 on loopback. With $SPADIT_SHORT it is a third of the trials and of the kills.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.datasets import load
from harness.datasets.simulated import simulate, write_pair
from harness.drivers import load_experiment
from harness.protocol import prepare
from harness.record import Record
from harness.store import Store
from harness.store.claims import claims
from harness.store.damage import verified
from harness.store.trials import sha256
from harness.trial import Trial, run_trial
from tests.chaos import Killer, NodesApart, computations, noted, plan
from tests.s3 import serving

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(1200)]

SHORT = bool(os.environ.get("SPADIT_SHORT"))
SEED = int(os.environ.get("SPADIT_CHAOS_SEED", "1"))
NODES = 3
COSTLY, CHEAP = (8, 2) if SHORT else (22, 7)
"""Variants, each of which has three folds."""

KILLS = {"worker": 2, "node": 1, "driver": 1} if SHORT else {"worker": 6, "node": 3, "driver": 3}

DRIVER = """
from harness import Experiment, KFold
from tests.chaos import Traced, TracedCheap

EXPERIMENT = Experiment(
    "chaos",
    {f"s{i}": Traced(steps=5 + i % 11, tally="TALLY", number=i) for i in range(COSTLY)}
    | {f"c{i}": TracedCheap(tally="TALLY", number=100 + i) for i in range(CHEAP)},
    ["small"],
    split=KFold(3),
)
"""


def test_whatever_is_killed_and_when_every_trial_is_stored_with_the_numbers_of_a_quiet_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pair(simulate(60, 80, 30, seed=1, name="small"), tmp_path / "D")
    tally, file = tmp_path / "tally", tmp_path / "chaos.py"
    written = DRIVER.replace("TALLY", str(tally)).replace("COSTLY", str(COSTLY)).replace("CHEAP", str(CHEAP))
    file.write_text(written)
    trials = load_experiment(str(file)).trials({"small": load("small", [tmp_path / "D"]).id})
    begun, rng = time.monotonic(), random.Random(SEED)
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "OMP_NUM_THREADS": "1"}
    with serving() as reach:
        environment = {**os.environ, **reach, **token}
        with NodesApart(NODES, 1, environment, tmp_path / "nodes.log") as nodes:
            words = [sys.executable, "-m", "harness.cli", "run", str(file), "--data", str(tmp_path / "D")]
            words += ["--store", "s3://bucket/S", "--address", nodes.address, "--checkpoint-every", "0"]
            killer = Killer(nodes, plan(rng, KILLS, len(trials)), lambda: ended(tally), rng)
            killer.start()
            codes = run_until_it_ends(words, environment, killer, tmp_path)
            killer.over.set()
            killer.join(timeout=120)
        lines = noted(tally)
        computed = sum(computations(lines).values())
        print(f"\nseed {SEED}: {len(trials)} trials, {computed} computations, drivers ended with {codes}")
        print(f"killed {dict(killer.count())} ({', '.join(killer.killed)}); {time.monotonic() - begun:.0f} s")

        assert killer.failed is None, repr(killer.failed)
        assert codes[-1] == 0, (tmp_path / f"driver{len(codes)}.log").read_text()
        assert set(killer.count()) == set(KILLS)  # on a machine that stalls, the last few may come too late
        assert codes[:-1] == [-signal.SIGKILL] * killer.count()["driver"]
        store = Store("s3://bucket/S")
        same_as_quiet(store, trials, tmp_path / "D", monkeypatch)
        only_whole_files(store, {trial.id for trial in trials})
        assert claims(store.files) == {}  # those that are there are void
        assert computed <= 1.3 * len(trials), {t: n for t, n in computations(lines).items() if n > 1}


def ended(tally: Path) -> int:
    """How many computations have come to their end."""
    return sum(line.word == "end" for line in noted(tally))


def run_until_it_ends(words: list[str], environment: dict[str, str], killer: Killer, folder: Path) -> list[int]:
    """Start the same command again for as long as it is killed; how each of them ended."""
    codes: list[int] = []
    while not codes or (codes[-1] == -signal.SIGKILL and len(codes) <= KILLS["driver"]):
        with (folder / f"driver{len(codes) + 1}.log").open("wb") as log:
            killer.driver = subprocess.Popen(words, stdout=log, stderr=log, env=environment)
        try:
            codes.append(killer.driver.wait(timeout=600))
        finally:
            killer.driver.kill()
    return codes


def same_as_quiet(store: Store, trials: list[Trial], data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every trial is there, whole, and has the numbers that it has where nothing is killed."""
    assert store.done() == {trial.id for trial in trials}
    assert store.unfinished_ids() == set()
    records, wrong = verified(store, store.done())
    assert wrong == {}
    monkeypatch.setattr(time, "sleep", lambda _: None)  # the quiet run need not take its time
    prepared = prepare(load("small", [data]), trials[0].protocol)
    for trial in trials:
        quiet, found = run_trial(trial, prepared), records[trial.id]
        assert (found.prediction_sha256, found.means) == (quiet.record.prediction_sha256, quiet.record.means)
        assert quiet.genes is not None
        assert store.rows([found])[0].equals(quiet.genes)


def only_whole_files(store: Store, ids: set[str]) -> None:
    """Each file of results is one that a record vouches for: there is no other, and none in part."""
    system, root = store.files.arrow
    from pyarrow.fs import FileSelector

    found = {info.path.removeprefix(f"{root}/") for info in system.get_file_info(FileSelector(root, recursive=True))}
    records = [Record.from_json(store.files.read(f"trials/{trial_id}.json")) for trial_id in sorted(ids)]
    vouched = {name: described for record in records for name, described in record.files.items()}
    folders = ("trials/", "genes/", "predictions/")
    assert {name for name in found if name.startswith(folders)} == {*vouched, *(f"trials/{i}.json" for i in ids)}
    for name, described in vouched.items():
        assert sha256(store.files.read(name)) == described["sha256"]
    assert not [name for name in found if name.startswith(("checkpoints/", "damaged/", "unfinished/"))]
