"""A real Ray of several nodes: work spreads, moves when a node goes, and is shared between drivers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.datasets.simulated import simulate, write_pair
from harness.errors import BadInput
from harness.protocol import KFold, Prepared, Protocol, prepare
from harness.store import Store
from harness.trial import Trial, run_trial
from models.method import Method
from tests.many_nodes import STORE as OBJECT_STORE
from tests.many_nodes import Nodes, many_nodes
from tests.submitted import submitted, until
from tests.toys import Noise, Spans, Steps, VisibleMean

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.alone]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """Two nodes of two processors and a card, and one of one processor without."""
    with many_nodes(2, cpus=2, gpus=1) as cluster:
        cluster.add(num_cpus=1, num_gpus=0)
        yield cluster


def trials(method: Method, data: Prepared, n: int) -> list[Trial]:
    """Trials of equal cost, told apart by their sampling rates."""
    return [Trial(method, "tiny", data.dataset_id, KFold(3), i % 3, 0, 1 - i / (4 * n)) for i in range(n)]


def run(todo: list[Trial], data: Prepared, store: Store, **asked: object) -> None:
    submitted(todo, {data.dataset_id: data}, store, **asked)


def spans(tally: Path) -> list[tuple[float, float, str]]:
    """Start, end and card of each run that a `Spans` noted."""
    found = [line.split() for line in tally.read_text().splitlines()]
    return [(float(start), float(end), card) for start, end, card in found]


def test_trials_share_a_card_and_never_more_of_them_than_fit(tmp_path: Path, nodes: Nodes, data: Prepared) -> None:
    todo = trials(Spans(1.0, str(tmp_path / "tally")), data, 8)

    run(todo, data, Store(tmp_path / "S"), address=nodes.address, gpus_per_trial=0.5, cpus_per_trial=0.5)

    found = spans(tmp_path / "tally")
    assert len(found) == 8
    assert {card for _, _, card in found} == {"0"}  # each node has one card, which Ray calls 0
    together = max(sum(start <= s < end for start, end, _ in found) for s, _, _ in found)
    assert 2 < together <= 4  # two cards, two trials on each


def test_numbers_of_a_cluster_are_those_of_one_process(tmp_path: Path, nodes: Nodes, data: Prepared) -> None:
    todo, store = trials(Noise(), data, 4) + trials(VisibleMean(), data, 8), Store(tmp_path / "S")

    run(todo, data, store, address=nodes.address)

    assert len({record.node for record in store.records()}) >= 1
    for trial in todo:
        assert store.record(trial.id).prediction_sha256 == run_trial(trial, data).record.prediction_sha256


def test_more_than_any_single_node_has_is_refused(tmp_path: Path, nodes: Nodes, data: Prepared) -> None:
    with pytest.raises(BadInput, match="no node with more than 2 processors"):
        run(trials(Noise(), data, 1), data, Store(tmp_path / "S"), address=nodes.address, cpus_per_trial=3)
    with pytest.raises(BadInput, match="no node with more than 1 GPUs"):
        run(trials(Noise(), data, 1), data, Store(tmp_path / "S"), address=nodes.address, gpus_per_trial=2)


def test_automatic_shares_without_a_card_to_measure_are_refused(tmp_path: Path, nodes: Nodes) -> None:
    write_pair(simulate(60, 80, 30, seed=1, name="small"), tmp_path / "D")

    told = spadit(tmp_path, nodes, "--gpus-per-trial", "auto").stderr

    assert "no card was found; give a number" in told


def test_trials_of_a_node_that_goes_move_and_go_on_from_their_checkpoints(
    tmp_path: Path, nodes: Nodes, data: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    tally, store = tmp_path / "tally", Store(tmp_path / "S")
    todo = trials(Steps(30, 0.2, str(tally)), data, 4)
    lost = nodes.add(num_cpus=2, num_gpus=4)  # the only one with room for all four

    def remove() -> None:
        until(lambda: tally.exists() and len(tally.read_text().splitlines()) > 40)
        nodes.remove(nodes.alive.index(lost))

    thread = threading.Thread(target=remove)
    thread.start()
    run(todo, data, store, address=nodes.address, cpus_per_trial=0.5, gpus_per_trial=1, checkpoint_every=0)
    thread.join()

    made = len(tally.read_text().splitlines())
    assert {trial.id for trial in todo} == store.done()
    assert 4 * 30 <= made <= 4 * 30 + 8  # what was done before is not done again
    monkeypatch.setattr(time, "sleep", lambda _: None)  # one process need not take its time
    for trial in todo:
        assert store.record(trial.id).prediction_sha256 == run_trial(trial, data).record.prediction_sha256


def test_a_node_with_other_versions_is_an_error_that_names_it(tmp_path: Path, nodes: Nodes, data: Prepared) -> None:
    old = tmp_path / "other/numpy-0.0.1.dist-info"
    old.mkdir(parents=True)
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.0.1\n")
    different = nodes.add(env_vars={"PYTHONPATH": str(tmp_path / "other")})
    try:
        with pytest.raises(BadInput, match=r"has numpy 0\.0\.1, the driver \d"):
            run(trials(Noise(), data, 1), data, Store(tmp_path / "S"), address=nodes.address)
    finally:
        nodes.remove(nodes.alive.index(different))


@pytest.fixture(scope="module")
def large() -> Prepared:
    """A dataset of more than twice what an object store here takes."""
    prepared = prepare(simulate(4000, 9000, 6000, seed=1, name="large"), Protocol())
    arrays = (prepared.spots, prepared.cells.lognorm, prepared.cells.counts)
    assert sum(array.nbytes for array in arrays if array is not None) > 2 * OBJECT_STORE
    return prepared


def test_a_dataset_larger_than_the_object_store_is_kept_on_disk_and_the_run_ends_right(
    tmp_path: Path, large: Prepared
) -> None:
    todo, store = [Trial(VisibleMean(), "large", large.dataset_id, KFold(3), 0, 0)], Store(tmp_path / "S")

    with many_nodes(1) as small:
        run(todo, large, store, address=small.address)

    assert store.record(todo[0].id).prediction_sha256 == run_trial(todo[0], large).record.prediction_sha256


def test_a_full_object_store_on_a_full_disk_is_refused_in_one_sentence(tmp_path: Path, large: Prepared) -> None:
    todo, store = [Trial(VisibleMean(), "large", large.dataset_id, KFold(3), 0, 0)], Store(tmp_path / "S")

    # Ray counts a disk as full from this share of it on.
    with (
        many_nodes(1, local_fs_capacity_threshold=0.0001) as full,
        pytest.raises(BadInput, match=r"no room for dataset large .*; start Ray with a larger --object-store-memory"),
    ):
        run(todo, large, store, address=full.address)

    assert store.done() == store.unfinished_ids() == set()


def spadit(folder: Path, nodes: Nodes, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(folder, nodes, *words), capture_output=True, text=True, timeout=240)


def command(folder: Path, nodes: Nodes, *words: str) -> list[str]:
    """`spadit run` of a driver file on these nodes, `folder` holding data, store and side file."""
    driver = folder / "shared.py"
    if not driver.exists():
        driver.write_text(DRIVER.replace("TALLY", str(folder / "tally")))
    run_ = [sys.executable, "-m", "harness.cli", "run", str(driver), "--data", str(folder / "D")]
    return [*run_, "--store", str(folder / "S"), "--address", nodes.address, *words]


DRIVER = """
from harness import Experiment, KFold
from tests.toys import Sleeps

EXPERIMENT = Experiment(
    "shared", {f"s{i}": Sleeps(2 + i / 1000, tally="TALLY") for i in range(20)}, ["small"], split=KFold(2)
)
"""


def test_two_drivers_that_start_together_share_a_grid(tmp_path: Path, nodes: Nodes) -> None:
    write_pair(simulate(60, 80, 30, seed=1, name="small"), tmp_path / "D")
    words = command(tmp_path, nodes, "--max-concurrent", "2")

    both = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [driver.communicate(timeout=280)[1] for driver in both]

    assert [driver.returncode for driver in both] == [0, 0], told
    store = Store(tmp_path / "S")
    computed = len((tmp_path / "tally").read_text().splitlines())
    print(f"40 trials, two drivers: {computed} computations")
    assert len(store.records()) == 40
    assert computed <= 44
    assert list(store.files.sizes("claims", ".json")) == []
    assert len(store.genes(store.records())) == 2 * 20 * len(store.measured(store.records()[0].dataset_id).columns) // 2


def test_a_user_module_beside_the_driver_reaches_the_workers(tmp_path: Path, nodes: Nodes) -> None:
    write_pair(simulate(60, 80, 30, seed=1, name="small"), tmp_path / "D")
    (tmp_path / "own_methods.py").write_text(
        "from dataclasses import dataclass\nimport numpy as np\nfrom models.method import Method\n\n\n"
        "@dataclass(frozen=True)\nclass Own(Method):\n    def impute(self, problem, run):\n"
        "        return np.repeat(problem.spots.lognorm.mean(axis=1, keepdims=True), len(problem.targets), axis=1)\n"
    )
    (tmp_path / "shared.py").write_text(
        f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nfrom own_methods import Own\n"
        "from harness import Experiment, KFold\n\n"
        "EXPERIMENT = Experiment('own', {'own': Own()}, ['small'], split=KFold(2))\n"
    )

    ran = spadit(tmp_path, nodes)

    assert ran.returncode == 0, ran.stderr
    assert len(Store(tmp_path / "S").done()) == 2


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="Linux only")
def test_nothing_but_results_is_on_stdout(tmp_path: Path, nodes: Nodes) -> None:
    import json

    write_pair(simulate(60, 80, 30, seed=1, name="small"), tmp_path / "D")
    (tmp_path / "shared.py").write_text(
        "from harness import Experiment, KFold\nfrom tests.toys import Dies\n\n"
        f"EXPERIMENT = Experiment('dies', {{'d': Dies({str(tmp_path / 'tally')!r})}}, ['small'], split=KFold(2))\n"
    )

    ran = spadit(tmp_path, nodes, "--json")

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["ok"] == 2
    assert "lost: d · small" in ran.stderr
