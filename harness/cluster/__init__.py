"""How many trials run at once: Ray Tune. The only rooms that import ray are here (and the search)."""
