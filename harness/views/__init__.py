"""What the listing commands show: facts as plain data (`--json`), and the same facts for a person."""
