"""Participants who withdrew consent: remembered so that they are not taken in again, without their ids."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.store import StudyStore

FILE: Final = "withdrawn.json"


@dataclass(frozen=True)
class Withdrawn:
    """Digests of the ids of participants who withdrew, salted per study.

    A salted digest keeps ids from being read or matched between studies. Whoever has the file and a list of
    candidate ids can still try them, so it is as confidential as the study folder; it can be deleted once the
    participant is in no input file any more.
    """

    salt: str = ""
    digests: frozenset[str] = frozenset()

    @classmethod
    def of_study(cls, root: Path) -> Withdrawn:
        """The withdrawn participants of the study in a folder (E-STUDY-61 if the file is damaged)."""
        path = root / FILE
        if not path.exists():
            return cls()
        try:
            content = StudyStore(root).read_json(path)
            return cls(str(content["salt"]), frozenset(map(str, content["digests"])))
        except (ValueError, KeyError, TypeError) as error:
            raise StudyError(
                "E-STUDY-61",
                f"{path} is damaged: {error}",
                "restore it: without it, participants who withdrew would be taken in again",
            ) from error

    def __contains__(self, participant: str) -> bool:
        return bool(self.digests) and self._digest(participant) in self.digests

    def add(self, participant: str, store: StudyStore) -> Withdrawn:
        """Remember one more participant, on disk and in the bucket of a study that is in one."""
        salted = Withdrawn(self.salt or secrets.token_hex(16), self.digests)
        longer = Withdrawn(salted.salt, self.digests | {salted._digest(participant)})
        path = store.write_json(store.root / FILE, {"salt": longer.salt, "digests": sorted(longer.digests)})
        store.publish(path)
        return longer

    def _digest(self, participant: str) -> str:
        return hmac.new(self.salt.encode(), participant.encode(), "sha256").hexdigest()
