"""What searches suggested and what came of it: searches/<study id>/, shared by every search that asks the same.

A study's `<number>.json` are its configurations, numbered without a gap in the order in which they were suggested, and
written before they run; `outcomes/<number>.json` say what the sampler was told of each. Both are written once.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.errors import BadInput
from harness.sealed import SCHEMA, Damaged, sealed, unsealed
from harness.store.files import Files
from harness.store.trials import beside

State = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What became of a configuration, as its sampler was told.

    values: objective -> number, over the `parts` that finished. state: all parts finished; or it was stopped after
    some, being worse than others; or one failed, and reason says why. metrics: mean of every metric. seconds, memory:
    of all its parts, and the most MiB that one took.
    """

    state: State
    values: dict[str, float] = field(default_factory=dict)
    parts: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    memory: float = 0.0
    reason: str = ""
    schema: int = SCHEMA


@dataclass(frozen=True)
class Configuration:
    """One suggestion of a study.

    params, distributions: as Optuna has them (the latter as its JSON). component: the method, canonical. trials: the
    ids of its parts, in order. seen: how many configurations had an outcome when it was suggested, all of which the
    sampler knew. origin: "first" (named by the space), "earlier" (found finished in the store), or "sampler".
    asked_as: its number in the Optuna study that suggested it. infeasible: draws before it that were no method, or
    too large.
    """

    study: str
    number: int
    params: dict[str, Any]
    distributions: dict[str, str]
    component: dict[str, Any]
    trials: tuple[str, ...]
    seen: int
    origin: str
    asked_as: int
    infeasible: int = 0
    schema: int = SCHEMA


class Searches:
    """The part of a store under searches/."""

    files: Files
    where: str

    def put_study(self, study: str, facts: Mapping[str, Any]) -> None:
        """Say what a study is about, once."""
        self.files.create(f"searches/{study}/about/study.json", sealed(dict(facts) | {"schema": SCHEMA}))

    def studies(self) -> dict[str, dict[str, Any]]:
        """What each study is about, by id."""
        ids = [study for study in self.files.folders("searches") if re.fullmatch(r"[0-9a-f]{16}", study)]
        found = beside(lambda study: (study, self._sealed(f"searches/{study}/about/study.json")), ids)
        return {study: facts for study, facts in found if facts is not None}

    def put_configuration(self, configuration: Configuration) -> bool:
        """Store a suggestion under its number; False, and nothing is written, where that number is taken."""
        name = f"searches/{configuration.study}/{configuration.number}.json"
        return self.files.create(name, sealed(dataclasses.asdict(configuration)))

    def configurations(self, study: str, but: Mapping[int, Configuration] | None = None) -> dict[int, Configuration]:
        """The configurations of a study by number; `but`: those that were read before, and are not read again."""
        known = dict(but or {})
        new = [number for number in self._numbers(f"searches/{study}") if number not in known]
        for number, values in beside(lambda n: (n, self._sealed(f"searches/{study}/{n}.json")), new):
            if values is not None:
                values["trials"] = tuple(values["trials"])
                known[number] = Configuration(**values)
        return dict(sorted(known.items()))

    def put_outcome(self, study: str, number: int, outcome: Outcome) -> None:
        """Say what became of a configuration; what was said first stands."""
        self.files.create(f"searches/{study}/outcomes/{number}.json", sealed(dataclasses.asdict(outcome)))

    def outcomes(self, study: str, but: Mapping[int, Outcome] | None = None) -> dict[int, Outcome]:
        """What became of a study's configurations, by number; see `configurations`."""
        known = dict(but or {})
        new = [number for number in self._numbers(f"searches/{study}/outcomes") if number not in known]
        for number, values in beside(lambda n: (n, self._sealed(f"searches/{study}/outcomes/{n}.json")), new):
            if values is not None:
                known[number] = Outcome(**values)
        return dict(sorted(known.items()))

    def start(self, study: str) -> int:
        """How many times the study was started before; each start has a number of its own."""
        n = len(self.files.names(f"searches/{study}/starts", ".mark"))
        while not self.files.create(f"searches/{study}/starts/{n}.mark", b""):
            n += 1
        return n

    def _numbers(self, folder: str) -> list[int]:
        return [int(name) for name in self.files.names(folder, ".json") if re.fullmatch(r"[0-9]+", name)]

    def _sealed(self, name: str) -> dict[str, Any] | None:
        """What a file says; None for one that is being written this moment. `BadInput` for a damaged one."""
        for _ in range(2):
            try:
                return unsealed(self.files.read(name))
            except FileNotFoundError:
                return None
            except Damaged as error:
                damaged = error
        raise BadInput(
            f"{self.where}/{name} is damaged: {damaged}; delete it and search again, which repeats no finished trial."
        )
