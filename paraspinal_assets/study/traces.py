"""Recognising one participant in keys, paths and sentences, and taking the mention out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any, BinaryIO, Final

from paraspinal_assets.study.scan import Scan, check_participant

FORGOTTEN: Final = "forgotten"
"""What stands in place of a key or id in a text that is about others as well."""
PART: Final = 1 << 24
"""Bytes of a file that are searched at once."""
POINTER: Final = "dagster/input_event_pointer"
"""Tags that hold event numbers, which may look like an id."""


class Traces:
    """The ways in which a participant is named in what the product writes.

    A scan key (``exam5-1001``), a file or folder of that name, and the id as a word. The word counts in text
    with a blank, which is written for people: a digest, version or count without one may equal an id.

    Parameters
    ----------
    participant
        The id.
    exams
        Exams whose scan keys count, past ones too.
    """

    def __init__(self, participant: str, exams: Iterable[str]) -> None:
        self.participant = check_participant(participant, where="forget")
        self.exams = frozenset(exams)
        self.keys = frozenset(Scan(exam, participant).key for exam in self.exams)

    @cached_property
    def key_expression(self) -> str:
        """Any of the scan keys, as a whole (without look-around, for SQL too)."""
        return f"(^|[^A-Za-z0-9-])({'|'.join(map(re.escape, sorted(self.keys)))})($|[^A-Za-z0-9-])"

    @cached_property
    def word_expression(self) -> str:
        """The id as a whole word, not as a part of a number."""
        return rf"(^|[^A-Za-z0-9.-]){re.escape(self.participant)}($|[^A-Za-z0-9.-]|\.($|[^0-9A-Za-z]))"

    @cached_property
    def _always(self) -> re.Pattern[str]:
        keys = "|".join(map(re.escape, sorted(self.keys)))
        name = rf"(?<=/){re.escape(self.participant)}(?![A-Za-z0-9-])"
        return re.compile(rf"(?<![A-Za-z0-9-])(?:{keys})(?![A-Za-z0-9-])|{name}")

    @cached_property
    def _word(self) -> re.Pattern[str]:
        return re.compile(
            rf"(?<![A-Za-z0-9.-]){re.escape(self.participant)}(?![A-Za-z0-9-])(?!\.[A-Za-z0-9])"
        )

    def names(self, path: str) -> bool:
        """Whether a part of a path is the participant's (``1001``, ``sub-1001_ct.nii.gz``)."""
        name = rf"(?<![A-Za-z0-9]){re.escape(self.participant)}(?![A-Za-z0-9-])"
        return self.participant in path and re.search(name, path) is not None

    def has_key(self, file: BinaryIO) -> bool:
        """Whether one of the scan keys is anywhere in a binary file, which may be larger than memory."""
        keys = "|".join(map(re.escape, sorted(self.keys)))
        pattern = re.compile(f"(?:{keys})(?![A-Za-z0-9-])".encode())
        kept, longest = b"", max(map(len, self.keys))
        while part := file.read(PART):
            text = kept + part
            # At the very end the next part says whether the key ends there.
            if any(found.end() < len(text) for found in pattern.finditer(text)):
                return True
            kept = text[-longest:]
        return pattern.search(kept) is not None

    def in_text(self, text: str | None) -> bool:
        """Whether a text names the participant."""
        return text is not None and self.participant in text and self.without(text) != text

    def without(self, text: str) -> str:
        """The text without the participant. JSON stays JSON, and its numbers are left alone.

        Rows of a Markdown table that name the participant are dropped: they are data. Elsewhere the name is
        replaced.
        """
        if self.participant not in text:
            return text
        if text[:1] in '{["':
            try:
                content = json.loads(text)
            except ValueError:
                pass
            else:
                cleaned = self._walk(content)
                return text if cleaned == content else json.dumps(cleaned)
        lines = text.split("\n")
        kept = [line for line in lines if not (line.startswith("|") and self._cleaned(line) != line)]
        return "\n".join(self._cleaned(line) for line in kept)

    def _cleaned(self, line: str) -> str:
        line = self._always.sub(FORGOTTEN, line)
        return self._word.sub(FORGOTTEN, line) if re.search(r"\s", line) else line

    def _walk(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                self._cleaned(name): FORGOTTEN
                if name == "participant" and inner == self.participant
                else (inner if name.startswith(POINTER) else self._walk(inner))
                for name, inner in value.items()
            }
        if isinstance(value, list):
            return [self._walk(inner) for inner in value]
        return self.without(value) if isinstance(value, str) else value
