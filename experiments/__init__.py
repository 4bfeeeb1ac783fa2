"""One file per question: a docstring (question, command, cost, what to expect) and `EXPERIMENT`."""
