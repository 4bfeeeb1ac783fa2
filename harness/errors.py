"""Errors that are part of the interface."""

from __future__ import annotations


class BadInput(ValueError):  # noqa: N818 - reads as what it is
    """What was given cannot be used: one sentence naming the thing, what was expected, and what to do.

    The command line prints the sentence and exits with code 2; nothing has been written.
    """
