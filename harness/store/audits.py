"""What audits of methods found, beside the trials that they speak of."""

from __future__ import annotations

from harness.errors import BadInput
from harness.record import MethodAudit
from harness.sealed import Damaged
from harness.store.files import Files


class Audits:
    """The part of a store under audits/."""

    files: Files
    where: str

    def put_audit(self, audit: MethodAudit) -> None:
        """Keep an audit; it takes the place of an earlier one of the same method on the same fold."""
        self.files.write(f"audits/{audit.id}.json", audit.to_json())

    def audits(self) -> list[MethodAudit]:
        """All of them, by id; `BadInput` if one is damaged."""
        found = []
        for key in self.files.names("audits", ".json"):
            try:
                found.append(MethodAudit.from_json(self.files.read(f"audits/{key}.json")))
            except (Damaged, ValueError, TypeError, KeyError) as error:
                raise BadInput(
                    f"{self.where}/audits/{key}.json cannot be read: {error}; delete it and audit again."
                ) from None
        return found
