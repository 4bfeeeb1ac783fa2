"""The store that most tests of the reports look at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.store import Store
from reports.report import write_report
from tests.reports.stores import NOT_SCORED, Plan, Variant, build, genes, qualities


def golden_store(root: Path) -> Store:
    """Everything at once: two datasets, seeds, a failure, a skip, controls, tuned, biased, names that need escaping."""
    mean = {
        "w/ <script>alert(1)</script>": 0.50,
        "a_b & 50%": 0.49,
        "Φ_small {x} #1": 0.30,
        "fails": 0.2,
        "skips": 0.2,
        "Low-rank ridge": 0.45,
        "Gene mean": 0.0,
    }
    inner = qualities(mean)

    def values(label: str, dataset: str, seed: int, gene: str) -> Mapping[str, float]:
        if gene == "gene003":
            return NOT_SCORED
        found = dict(inner(label, dataset, seed, gene))
        return found | {"bias": 0.9} if label.startswith("Φ") else found

    plan = Plan(
        variants={
            "w/ <script>alert(1)</script>": Variant(),
            "a_b & 50%": Variant(selection="tuned on these genes", device="cuda:0"),
            "Φ_small {x} #1": Variant(random=False),
            "fails": Variant(ends={("MG", 1, 0): ("failed", "ValueError: <b>too</b> small & flat")}),
            "skips": Variant(ends={("MG", f, s): ("skipped", "needs coordinates") for f in (0, 1) for s in (0, 1)}),
            "Low-rank ridge": Variant(method="low_rank_ridge", random=False, control=True),
            "Gene mean": Variant(method="gene_mean", random=False, control=True),
        },
        values=values,
        datasets={"MG": [*genes(40), "<script>alert(2)</script>"], "sim_a": genes(30)},
        synthetic="simulated",
        seeds=(0, 1),
        flags=("size factors include held-out genes",),
        dirty=True,
    )
    return build(root / "store", plan)


@pytest.fixture(scope="session")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """See `golden_store`."""
    return golden_store(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="session")
def written(golden: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden store's report."""
    out = tmp_path_factory.mktemp("report") / "out"
    write_report(golden, out, "demo")
    return out
