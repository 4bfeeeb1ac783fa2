"""Search that does not fool itself: Optuna through Ray Tune, by genes that are not the ones a winner is scored on.

`Search` is the question: spaces of methods, and which genes decide - those visible in each fold (`Nested`), or those of
other datasets (`Elsewhere`). `search` asks it: every configuration is judged by ordinary trials of the store, the best
of each study is scored once, with fresh seeds, on genes that chose nothing, and how many configurations were tried
stands under every table that has a tuned row.
"""

from __future__ import annotations

from harness.search.question import Elsewhere, Nested, Search
from harness.search.running import Found, search
from harness.search.samplers import GP, QMC, SAMPLERS, SCHEDULERS, TPE, Halving, Random, named
from harness.search.space import Choice, Float, Int, Space

__all__ = [
    "GP", "QMC", "SAMPLERS", "SCHEDULERS", "TPE", "Choice", "Elsewhere", "Float", "Found", "Halving", "Int", "Nested",
    "Random", "Search", "Space", "named", "search",
]  # fmt: skip
