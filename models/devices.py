"""How much memory a device has, and whether it ran out."""

from __future__ import annotations

import os
import sys


def memory_of(device: str) -> int | None:
    """Bytes of a device, "cpu" or "cuda[:n]"; None where it cannot be told, or there is no such device."""
    if device == "cpu":
        names = os.sysconf_names if hasattr(os, "sysconf_names") else {}
        known = "SC_PHYS_PAGES" in names and "SC_PAGE_SIZE" in names
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if known else None
    import torch

    if not torch.cuda.is_available():
        return None
    return int(torch.cuda.get_device_properties(device).total_memory)


def memory_in_use() -> tuple[int, int] | None:
    """Bytes in use and in all of the card that this process computes on; None where it uses none."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    free, total = torch.cuda.mem_get_info()
    return int(total - free), int(total)


def cards() -> list[int]:
    """Bytes of each card of this machine."""
    import torch

    if not torch.cuda.is_available():
        return []
    return [int(torch.cuda.get_device_properties(i).total_memory) for i in range(torch.cuda.device_count())]


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device, or the machine, has no memory left."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's
        return True
    said = ("out of memory", "can't allocate memory")
    return isinstance(error, RuntimeError) and any(words in str(error) for words in said)
