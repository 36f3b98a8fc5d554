"""Finds words that people have to decode, in code and pages: `python -m tools.check_words FILE…`; ends with 1 if any.

Write for an operator at three in the morning: subject, verb, active voice, the standard term.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

INSTEAD = {
    r"anew": "again",
    r"be it": "whether",
    r"borne": "carried, had",
    r"bury": "mark deleted",
    r"for want of": "without, because … is missing",
    r"heed\w*": "obey, ignore",
    r"save for": "except for",
    r"told": "reported, returned, said, counted, stated, or a verb in the active voice",
    r"vouch\w*": "commit, guarantee, confirm",
    r"whoever": "a person who, anyone who, the process that",
}
"""Patterns of words, and what to write instead. A name such as `told_at` is one word, and no use of `told`."""

_WORDS = {re.compile(rf"\b{words}\b", re.IGNORECASE): instead for words, instead in INSTEAD.items()}


def findings(path: Path) -> Iterator[str]:
    """Each use in a file, as `file:line: word: what to write instead`."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for words, instead in _WORDS.items():
            for word in words.findall(line):
                yield f"{path}:{number}: {word}: write {instead}"


def main() -> None:
    """Look through the files that are named."""
    found = [finding for name in sys.argv[1:] if name != __file__ for finding in findings(Path(name))]
    print("\n".join(found), end="\n" if found else "")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
