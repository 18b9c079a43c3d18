"""A site's entry in its ledger for one run, under a claim that is noted first.

A kill after the entry and before the site's record of it has let nothing leave. So the entry that
the claim finds still pays. Once there is a record, the note is removed.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.core.files import read_json, write_json
from benchmark.privacy.ledger.ledger import Ledger, Spending

CLAIM = "claim"
"""A name of one payment, by which its entry is found after a kill."""


class Payment:
    """What one run costs a site's patients, and whether it is paid for.

    Args:
        file: The note of the claim.
        ledger: The site's.
        spending: The whole run, as the ledger is asked for it.
        in_all: Whether caps are checked for a patient who was in every entry, as in a deployment:
            a remote server chooses ε and may ask as often as it likes. If the patients who are here
            decided the answer, it would tell whether any of them was in which run before.
    """

    def __init__(self, file: Path, ledger: Ledger, spending: Spending, *, in_all: bool) -> None:
        self._file, self._ledger = file, ledger
        self._spending, self._in_all = spending, in_all

    def check_cap(self) -> None:
        """Refuse what is over the cap.

        Raises:
            OverCapError: Naming cap and total.
        """
        if self._in_all:
            self._ledger.check_in_all(self._spending)
        else:
            self._ledger.check([self._spending])

    def pays(self, entry: Any, claim: str) -> bool:
        """Tell whether an entry of the ledger is for this very spending, under a claim."""
        return self._ledger.pays_for(entry, self._under(claim))

    def pay(self) -> dict[str, Any]:
        """Enter the run into the ledger under the noted claim, unless it is there.

        Returns:
            The entry's number, and its claim.

        Raises:
            OverCapError: If the ledger's cap does not allow the run.
        """
        spending = self._under(self.claim())
        entry = self._ledger.entry_for(spending)
        if entry is None:
            self.check_cap()
            entry = self._ledger.charge(spending, in_all=self._in_all)
        return {"entry": entry, CLAIM: spending.claim}

    def claim(self) -> str:
        """Return the claim of the entry that pays next; it is noted durably before it is used.

        It is the noted one, unless that pays for other numbers or other patients.
        """
        noted = str(read_json(self._file).get(CLAIM, ""))
        if noted and not self._is_of_another(noted):
            return noted
        made = secrets.token_hex(16)
        write_json(self._file, {CLAIM: made})
        return made

    def settle(self, claim: str) -> None:
        """Remove the note of a claim that the site's record has."""
        if read_json(self._file).get(CLAIM) == claim:
            self._file.unlink(missing_ok=True)

    def _is_of_another(self, claim: str) -> bool:
        used = any(entry.said.get(CLAIM) == claim for entry in self._ledger.entries())
        return used and self._ledger.entry_for(self._under(claim)) is None

    def _under(self, claim: str) -> Spending:
        return replace(self._spending, claim=claim)
