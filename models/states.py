"""A method's state as bytes: torch's own format, read with `weights_only`, so that nothing in it can run code."""

from __future__ import annotations

import pickle
from typing import IO, Any

import torch


def write_state(state: dict[str, Any], file: IO[bytes]) -> None:
    """Write dicts and lists of tensors, numbers and text, tensor by tensor, without another copy in memory.

    TypeError names the place of anything else: it could be written, but not be read without running code.
    """
    _require_plain(state, "state")
    torch.save(state, file)


def read_state(file: IO[bytes]) -> dict[str, Any]:
    """The state, its tensors on the CPU; ValueError if the file is damaged, or holds anything but such values."""
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise ValueError(f"this is no state: {error}") from None
    if not isinstance(state, dict):
        raise ValueError(f"this is a {type(state).__name__}, no state")
    return state


def _require_plain(value: Any, place: str) -> None:
    if isinstance(value, dict):
        for key, each in value.items():
            _require_plain(each, f"{place}[{key!r}]")
    elif isinstance(value, list | tuple):
        for i, each in enumerate(value):
            _require_plain(each, f"{place}[{i}]")
    elif type(value) not in PLAIN and not isinstance(value, torch.Tensor):
        raise TypeError(
            f"a checkpoint holds tensors, numbers and text, but {place} is a {type(value).__module__}."
            f"{type(value).__qualname__}; convert it, as with float(x) or torch.from_numpy(x)."
        )


PLAIN = (int, float, bool, str, bytes, type(None), complex)
