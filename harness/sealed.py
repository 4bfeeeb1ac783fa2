"""JSON that carries its own checksum, so that a truncated file or a flipped bit is found when it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SCHEMA = 2
"""Raised when the meaning of a field changes; readers refuse what they do not know."""

SEAL = b',\n "sha256": "'


class Damaged(ValueError):  # noqa: N818 - what a file is, not what went wrong
    """A file whose bytes are not those that were written."""


def sealed(values: Mapping[str, Any]) -> bytes:
    """UTF-8 JSON of the values (`schema` among them) in their order, and after them the checksum of all before it."""
    body = json.dumps(values, indent=1, allow_nan=False).encode().removesuffix(b"\n}")
    return body + SEAL + hashlib.sha256(body).hexdigest().encode() + b'"\n}\n'


def unsealed(data: bytes) -> dict[str, Any]:
    """The values of `sealed`; `Damaged` if a byte has changed, ValueError for what another version wrote."""
    body, seal, rest = data.rpartition(SEAL)
    if seal and rest == hashlib.sha256(body).hexdigest().encode() + b'"\n}\n':
        values: dict[str, Any] = json.loads(body + b"}")
        if values.get("schema") == SCHEMA:
            return values
        raise ValueError(f"written with schema {values.get('schema')}; this version reads {SCHEMA}")
    if _without_checksum(data):
        raise ValueError(f"written with schema 1, which had no checksums; this version reads {SCHEMA}")
    raise Damaged("its checksum does not match its content")


def _without_checksum(data: bytes) -> bool:
    try:
        values = json.loads(data)
    except ValueError:
        return False
    return isinstance(values, dict) and values.get("schema") == 1 and "sha256" not in values
