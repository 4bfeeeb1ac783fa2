"""The contract of a method, promise by promise, tried on a tiny built-in problem: `spadit audit contract`."""
