"""What each label of an experiment stands for: settings that most rows of one kind share are said once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.reading.scores import Comparison
from reports.writing.wording import spelled

_BOOKKEEPING = ("component", "version", "source")


@dataclass(frozen=True)
class Described:
    """A variant: its label, id and code, and the settings by which it differs from what its kind has in common."""

    label: str
    id: str
    code: str
    settings: str


@dataclass(frozen=True)
class Kind:
    """Variants of one class; common: the settings that they have where nothing else is said; empty for one alone."""

    name: str
    common: str
    variants: tuple[Described, ...]


def kinds(comparison: Comparison) -> list[Kind]:
    """The variants by the class that runs them, in the order of the tables."""
    labels: dict[str, list[str]] = {}
    for label, facts in comparison.asked.variants.items():
        labels.setdefault(_name(facts.get("component", {})) or str(facts.get("method", "")), []).append(label)
    codes = _codes(comparison)
    return [_kind(comparison, name, own, codes) for name, own in labels.items()]


def _kind(comparison: Comparison, name: str, labels: Sequence[str], codes: Mapping[str, set[str]]) -> Kind:
    facts = {label: comparison.asked.variants[label] for label in labels}
    fields = {label: _fields(facts[label].get("component", {})) for label in labels}
    common = _common(list(fields.values()))
    described = tuple(
        Described(
            label=label,
            id=str(facts[label].get("variant_id", "")),
            code=", ".join(sorted(codes.get(label, ()))),
            settings=_listed(_own(fields[label], common)),
        )
        for label in labels
    )
    return Kind(name, _listed(common), described)


def _common(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The settings that more than half of several rows have; those of a component, of the rows that have that one."""
    found: dict[str, str] = {}
    for key in dict.fromkeys(key for row in rows for key in row):
        having = [row for row in rows if _belongs(key, row, found)]
        if len(having) > 1 and all(key in row for row in having):
            ((value, n), *_) = Counter(row[key] for row in having).most_common()
            if 2 * n > len(having):
                found[key] = value
    return found


def _belongs(key: str, row: Mapping[str, str], common: Mapping[str, str]) -> bool:
    """Whether a row has the component in common that this is a setting of; so for every setting that is of none."""
    within = key.rpartition(".")[0]
    return not within or (within in common and row.get(within) == common[within] and _belongs(within, row, common))


def _own(row: Mapping[str, str], common: Mapping[str, str]) -> dict[str, str]:
    return {k: value for k, value in row.items() if common.get(k) != value or not _belongs(k, row, common)}


def _name(component: Mapping[str, Any]) -> str:
    return str(component.get("component", "")).rpartition(":")[2]


def _fields(component: Mapping[str, Any]) -> dict[str, str]:
    """Setting -> its value in words; those of a component within are named by their path (masks.zero)."""
    found: dict[str, str] = {}
    for key, value in component.items():
        if key in _BOOKKEEPING:
            continue
        if isinstance(value, Mapping) and "component" in value:
            found[key] = _name(value)
            found |= {f"{key}.{inner}": said for inner, said in _fields(value).items()}
        else:
            found[key] = spelled(value)
    return found


def _listed(fields: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in fields.items())


def _codes(comparison: Comparison) -> dict[str, set[str]]:
    codes: dict[str, set[str]] = {}
    for cell in comparison.asked.cells:
        if (record := comparison.records.get(cell["trial_id"])) is not None:
            codes.setdefault(cell["label"], set()).add(record.code)
    return codes
