"""What a worker is given of a configuration, also where another driver was faster."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.search.running import Searching


@pytest.mark.parametrize(("done", "handed"), [((), "abc"), (("a",), "bc"), (("a", "b", "c"), "abc")])
def test_a_worker_is_given_what_is_missing_and_all_of_it_where_nothing_is_any_more(
    done: tuple[str, ...], handed: str
) -> None:
    """Between the choice of a configuration and its start, another driver on the same database may finish it."""
    parts = [SimpleNamespace(id=name, dataset="d", fold=0) for name in "abc"]
    run = SimpleNamespace(
        todo=SimpleNamespace(
            store=SimpleNamespace(has=lambda trial: trial in done), share=lambda trial, enlarged: "share"
        ),
        ledger=SimpleNamespace(add=lambda trials: None, enlarged=lambda trial: False),
        progress=SimpleNamespace(add=lambda *words: None),
        job=lambda trials: "job",
    )
    searching: Any = object.__new__(Searching)
    searching.run = run
    study = SimpleNamespace(topic=SimpleNamespace(said="t"), search=SimpleNamespace(halving=None))
    searching.studies = [study]
    running: Any = SimpleNamespace(study=study, configuration=SimpleNamespace(number=0), parts=parts)

    found = searching.hand(running)

    assert "".join(trial.id for trial in found.batch.trials) == handed
    assert found.batch.share == "share"
