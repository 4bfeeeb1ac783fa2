"""How figures are drawn: what all share, and what is too long for the family that shows it."""
