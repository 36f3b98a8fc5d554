"""Finds words that people have to decode, in code and pages: `python -m tools.check_words FILE…`; ends with 1 if any.

Write for an operator at three in the morning: subject, verb, active voice, the standard term.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

INSTEAD = {
    "anew": "again",
    "be it": "whether",
    "borne": "carried, had",
    "bury": "mark deleted",
    "for want of": "without, because … is missing",
    "save for": "except for",
    "vouch": "commit, guarantee",
    "whoever": "a person who, anyone who, the process that",
}
"""Words, and what to write instead."""

_WORDS = re.compile(rf"\b({'|'.join(INSTEAD)})\b", re.IGNORECASE)


def findings(path: Path) -> Iterator[str]:
    """Each use in a file, as `file:line: word: what to write instead`."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for word in _WORDS.findall(line):
            yield f"{path}:{number}: {word}: write {INSTEAD[word.lower()]}"


def main() -> None:
    """Look through the files that are named."""
    found = [finding for name in sys.argv[1:] if name != __file__ for finding in findings(Path(name))]
    print("\n".join(found), end="\n" if found else "")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
