"""Leakage audits: of methods (does a held-out value change what they answer?) and of prediction files."""
