"""How much memory a device has."""

from __future__ import annotations

import os


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
