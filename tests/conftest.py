"""Fixtures that several rooms share: a tiny pair whose answer is learnable, the real pairs, and the command line."""

from __future__ import annotations

import os

# As the harness runs its trials: one thread each. Two on a busy machine cost many times the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from harness.pair import Assay, PairedSample

Spadit = Callable[..., tuple[int, str, str]]
"""The command line, called with words: (exit code, stdout, stderr)."""

REAL = ("osmfish_ssp", "hippocampus_visium", "merfish_preoptic", "seqfishplus_cortex", "pdac")


def tiny_pair(seed: int = 0, spots: int = 48, cells: int = 60, genes: int = 24, extra: int = 6) -> PairedSample:
    """Counts from a shared low-rank structure, so that held-out genes can be predicted; `extra` genes are SC only."""
    rng = np.random.default_rng(seed)
    loadings = rng.gamma(1.0, 1.0, size=(3, genes + extra))
    types = rng.integers(0, 3, size=cells)
    mixture = rng.dirichlet([0.6] * 3, size=spots)
    sc = rng.poisson(3.0 * loadings[types] + 0.3)
    st = rng.poisson(4.0 * mixture @ loadings[:, :genes] + 0.3)
    names = tuple(f"Gene{i:02d}" for i in range(genes + extra))
    return PairedSample(
        name="tiny",
        st=Assay(names[:genes], sp.csr_matrix(st.astype(np.float32)), "counts"),
        sc=Assay(names, sp.csr_matrix(sc.astype(np.float32)), "counts"),
        coordinates=rng.uniform(size=(spots, 2)),
        cell_types=np.array([f"type{t}" for t in types]),
        spot_labels=None,
    )


@pytest.fixture(scope="session")
def tiny() -> PairedSample:
    """A tiny learnable pair."""
    return tiny_pair()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real pairs; skips with a reason where $SPADIT_DATA does not name it."""
    folder = Path(os.environ.get("SPADIT_DATA", ""))
    if not os.environ.get("SPADIT_DATA") or not all((folder / name / "st.h5ad").exists() for name in REAL):
        pytest.skip("the real tissue pairs are not here; set SPADIT_DATA to the folder that holds them")
    return folder


@pytest.fixture
def spadit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Spadit:
    """Run the command line in this process, in an empty folder: (exit code, stdout, stderr)."""
    from harness.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPADIT_DATA", raising=False)

    def call(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["spadit", *map(str, words)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
