"""What a report says, one family of tables and figures to a file; a file that defines `FAMILY` is found by its name."""
