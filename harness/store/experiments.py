"""What experiments asked of a store, so that a report knows which trial answers which cell."""

from __future__ import annotations

import dataclasses
import hashlib
import json

from harness.errors import BadInput
from harness.record import Asked
from harness.sealed import Damaged
from harness.store.files import Files
from models.component import nearest


class Experiments:
    """The part of a store under experiments/."""

    files: Files
    where: str

    def put_asked(self, asked: Asked) -> str:
        """Store what was asked as `<name>-<8 hex of content>`; asking the same again writes nothing new."""
        content = dataclasses.asdict(asked) | {"asked_at": "", "commands": ()}
        key = f"{asked.name}-{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]}"
        try:
            self._asked(key)
        except (FileNotFoundError, Damaged):
            self.files.write(f"experiments/{key}.json", asked.to_json())
        return key

    def _asked(self, key: str) -> Asked:
        data = self.files.read(f"experiments/{key}.json")
        try:
            return Asked.from_json(data)
        except Damaged:
            raise
        except (ValueError, TypeError, KeyError) as error:
            raise BadInput(
                f"{self.where}/experiments/{key}.json cannot be read: {error}; use a store of this version."
            ) from None

    def asked(self, name: str | None = None) -> list[Asked]:
        """What was asked under that name (or under every name), in order of asking.

        The same experiment asked in parts (some datasets first, others later) is one, with all its cells; the same
        name with another definition is another version.
        """
        found: list[Asked] = []
        for key in self.files.names("experiments", ".json"):
            try:
                found.append(self._asked(key))
            except Damaged as error:
                raise BadInput(
                    f"{self.where}/experiments/{key}.json is damaged: {error}; delete it and run the experiment "
                    "again, which computes nothing anew."
                ) from None
        merged: dict[tuple[str, str], Asked] = {}
        for asked in sorted(found, key=lambda a: (a.asked_at, a.name)):
            key_ = (asked.name, asked.definition)
            merged[key_] = merged.pop(key_).merged(asked) if key_ in merged else asked
        names = sorted({asked.name for asked in merged.values()})
        if name is not None and name not in names:
            # `spadit run modules --preset tiny` asks for modules-tiny; where no other size is there, modules is it.
            sizes = [each for each in names if each.rpartition("-")[0] == name]
            name = sizes[0] if len(sizes) == 1 else name
        if name is not None and name not in names:
            raise BadInput(f"{self.where} holds no experiment named {name!r}; {nearest(name, names)}")
        return [asked for asked in merged.values() if name in (None, asked.name)]

    def answered(self, asked: Asked) -> Asked:
        """The experiment as tables show it: with the answers from elsewhere that were given to the same question."""
        for other in self.asked() if not asked.external else ():
            if other.external:
                asked = asked.joined(other)
        return asked
