"""What a dataset of 500 MB costs in memory while four trials run on it at once: once, and little more per worker.

    python -m tests.benchmarks.shared_memory [--cells 15000] [--genes 4000] [--spots 5000] [--measured 250]

Private memory (unique to a process: what would come back if it ended) of four workers that run the nearest-cells
control, above that of the same workers after a trial on a tiny pair; of the driver, above itself before the data; and
what lies in shared memory. Peaks over readings five times a second.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import threading
from pathlib import Path

import psutil

from harness.cluster.connection import connected
from harness.cluster.resources import Resources
from harness.datasets.simulated import simulate
from harness.pair import Assay
from harness.protocol import KFold, Prepared, Protocol, prepare
from harness.store import Store
from harness.trial import Trial
from models.controls.nearest_cells import NearestCells
from models.method import Method
from tests.conftest import tiny_pair
from tests.submitted import submitted
from tests.toys import VisibleMean

MIB = 2**20
AT_ONCE, CPUS = 4, 0.5


def main() -> None:
    """Print megabytes, and their ratios to the dataset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("cells", 15_000), ("genes", 4_000), ("spots", 5_000), ("measured", 250)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    with connected(Resources()), tempfile.TemporaryDirectory() as folder:
        small = prepare(tiny_pair(), Protocol())
        idle = _peaks(VisibleMean(), {small.dataset_id: small}, Store(Path(folder) / "idle"))
        data = _large(options)
        size = data_size(data)
        before = private(psutil.Process())
        shared = psutil.virtual_memory().shared
        held = {data.dataset_id: data}
        del data
        busy = _peaks(NearestCells(), held, Store(Path(folder) / "busy"))
    print(f"dataset {size / MIB:.0f} MiB; workers seen: {len(idle.workers)} idle, {len(busy.workers)} busy")
    base = min(idle.workers.values())
    for pid, value in busy.workers.items():
        more = value - base
        print(f"worker {pid}: {more / MIB:6.0f} MiB above an idle one = {more / size:.2f}x the dataset")
    print(f"driver: {(busy.driver_after - before) / MIB:.0f} MiB since before Ray held the data")
    more = busy.shared - shared
    print(f"shared memory of the machine: {more / MIB:.0f} MiB more = {more / size:.2f}x the dataset")


def _large(options: argparse.Namespace) -> Prepared:
    pair = simulate(options.spots, options.cells, options.genes, seed=1, name="large")
    values = pair.st.values[:, : options.measured].tocsr()
    st = Assay(pair.st.genes[: options.measured], values, pair.st.kind)  # an imaging assay measures few genes
    return prepare(dataclasses.replace(pair, st=st), Protocol())


def data_size(data: Prepared) -> int:
    """Bytes of the arrays of a prepared pair."""
    arrays = (data.spots, data.coordinates, data.cells.lognorm, data.cells.counts, data.cells.size_factors)
    return sum(array.nbytes for array in arrays if array is not None)


class Peaks:
    """The largest private memory of each worker, what is shared, and the driver's at the end."""

    def __init__(self) -> None:
        self.workers: dict[int, int] = {}
        self.shared = 0
        self.driver_after = 0
        self.end = threading.Event()

    def watch(self) -> None:
        """Read until told to end."""
        while not self.end.wait(0.2):
            self.shared = max(self.shared, psutil.virtual_memory().shared)
            for process in psutil.Process().children(recursive=True):
                try:
                    if process.name().startswith("ray::ImplicitFunc"):  # what Tune calls a worker
                        self.workers[process.pid] = max(self.workers.get(process.pid, 0), private(process))
                except psutil.Error:
                    continue
            self.driver_after = private(psutil.Process())


def private(process: psutil.Process) -> int:
    """Bytes that only this process has."""
    return int(process.memory_full_info().uss)


def _peaks(method: Method, data: dict[str, Prepared], store: Store) -> Peaks:
    [prepared] = data.values()
    todo = [Trial(method, "it", prepared.dataset_id, KFold(4), i % 4, 0, 1 - i / 100) for i in range(16)]
    peaks = Peaks()
    del prepared
    thread = threading.Thread(target=peaks.watch, daemon=True)
    thread.start()
    submitted(todo, data, store, cpus_per_trial=CPUS, max_concurrent=AT_ONCE)
    peaks.end.set()
    thread.join()
    assert len(store.done()) == len(todo)
    return peaks


if __name__ == "__main__":
    main()
