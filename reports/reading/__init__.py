"""From the store to numbers: every number that a report prints starts here."""
