"""Statistics as pure functions of arrays: they know no store, no table and no figure."""
