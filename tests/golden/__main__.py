"""Write the golden files anew: `python -m tests.golden`. Do so only together with a raised `version`."""

from tests.golden.golden import write

write()
