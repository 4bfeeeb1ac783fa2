"""The bookkeeping of 10,000 trials of a trivial method: through `submit`, then plan, status and resume on the store.

    python -m tests.benchmarks.ten_thousand [--trials 10000] [--store FOLDER]

Prints wall seconds, the driver's memory while the trials went by, the most batches that waited or ran at once, and
what plan, status and a run with nothing to do take: on small files, and again after compaction.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from harness import Experiment, KFold, submit
from harness.cluster.progress import Progress
from harness.datasets.simulated import simulate, write_pair
from harness.results import make_plan
from harness.store import Store
from harness.store.compaction import compact
from harness.views.plan import plan_facts
from harness.views.status import status_facts
from tests.toys import Numbered

FOLDS, RATES = 5, (1.0, 0.8, 0.6, 0.4, 0.2)


def main() -> None:
    """Print what it takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--store", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.store or Path(temporary)
        write_pair(simulate(60, 80, 30, seed=1, name="small"), folder / "D")
        variants = {f"v{i}": Numbered(number=i) for i in range(options.trials // len(RATES) // FOLDS)}
        asked = Experiment("many", variants, ["small"], split=KFold(FOLDS), sampling_rates=RATES)
        _submitted(asked, folder)
        for when in ("small files", "compacted"):
            if when == "compacted":
                _timed("compact", lambda: compact(Store(folder / "S")))
            print(f"-- {when}")
            _timed("plan", lambda: plan_facts(make_plan(asked, Store(folder / "S"), folder / "D")))
            _timed("status", lambda: status_facts(Store(folder / "S")))
            _timed("resume, nothing to do", lambda: submit(asked, folder / "S", folder / "D", progress=False))
            words = [sys.executable, "-m", "harness.cli", "status", "--store", str(folder / "S")]
            _timed("`spadit status`", lambda words=words: subprocess.run(words, check=True, stdout=subprocess.DEVNULL))


def _submitted(asked: Experiment, folder: Path) -> None:
    readings: list[tuple[int, float]] = []
    told = Progress.told

    def reading(self: Progress, message: Any) -> None:
        told(self, message)
        if len(self.status) % 1000 == 0 and (not readings or readings[-1][0] != len(self.status)):
            readings.append((len(self.status), psutil.Process().memory_info().rss / 2**20))

    Progress.told = reading  # type: ignore[method-assign]
    start = time.perf_counter()
    results = submit(asked, folder / "S", folder / "D", keep_predictions="none")
    print(f"{results.computed} trials in {time.perf_counter() - start:.0f} s")
    print("driver, MiB after so many trials:", ", ".join(f"{n}: {mib:.0f}" for n, mib in readings))
    print(f"driver, peak: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def _timed(what: str, act: Callable[[], Any]) -> None:
    start = time.perf_counter()
    act()
    print(f"{what}: {time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main()
