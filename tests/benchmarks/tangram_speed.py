"""How fast is an epoch of Tangram beside the authors' package, in one process and one thread?

    pip install tangram-sc
    python tests/benchmarks/tangram_speed.py [--epochs 10] [--repeats 3]

Both start from the same mapping, run the same number of epochs on the same made-up arrays, and must end at the same
mapping before anything is timed. Cells are units of their own, or 20 clusters. Each repeat times both sides next to
each other; medians of CPU seconds per epoch are printed.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from tangram.mapping_optimizer import Mapper

from models.baselines._mapping import Mapping, Weights

TARGET = 1.0
SIZES = ((1500, 1500, 27), (1300, 6500, 90), (3000, 3000, 350), (20, 6500, 90), (20, 900, 1000))
"""Units, spots, genes; 20 units are clusters."""


def sides(units: int, spots: int, genes: int) -> tuple[Mapper, Mapping]:
    """The package's optimizer and ours, at the same start."""
    rng = np.random.default_rng(0)
    s, g = (rng.gamma(0.5, 1.0, (n, genes)).astype(np.float32) for n in (units, spots))
    w, d = (side.sum(axis=1) / side.sum() for side in (rng.gamma(1.0, 1.0, (units, 1)).astype(np.float32), g))
    clusters = units <= 20
    theirs = Mapper(S=s, G=g, d=d, d_source=w if clusters else None, lambda_d=1)
    shares = w if clusters else np.full(units, 1 / units, np.float32)
    start = theirs.M.detach().clone()
    ours = Mapping(start, *(torch.from_numpy(array) for array in (s, shares, g, d)), Weights(), lr=0.1)
    return theirs, ours


def seconds(call: Callable[[], object]) -> float:
    """CPU time of one call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> None:
    """Check, time, print."""
    parser = argparse.ArgumentParser(description="Speed of an epoch of Tangram beside tangram-sc.")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"units, spots, genes: CPU seconds per epoch; load {os.getloadavg()[0]:.1f}")
    for size in SIZES:
        theirs, ours = sides(*size)
        pair = (
            lambda theirs=theirs: theirs.train(given.epochs, learning_rate=0.1, print_each=None)[0],
            lambda ours=ours: [ours.step() for _ in range(given.epochs)],
        )
        assigned = pair[0]()
        pair[1]()
        worst = np.abs(assigned - ours.assigned.numpy()).max()
        assert worst <= 1e-3, f"the mappings differ by {worst}."
        times = np.array([[seconds(call) / given.epochs for call in pair] for _ in range(given.repeats)])
        slow, fast, ratio = (np.median(column) for column in (*times.T, times[:, 0] / times[:, 1]))
        print(f"{size}: theirs {slow:.4f} s, ours {fast:.4f} s, {ratio:.1f}x; mappings differ by {worst:.0e}")
    print(f"target {TARGET:.0f}x; medians of {given.repeats} repeats")


if __name__ == "__main__":
    main()
