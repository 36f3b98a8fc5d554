"""Shows text that others wrote: an API's messages, a document's reason, a company's name.

Code that prints such text, or puts it into an error, takes it from here. It is shown unchanged except for what a
terminal obeys or hides: control characters, escape sequences, marks that turn the direction of writing.
"""

from __future__ import annotations

import re

from billingo_assets.redaction import redact

MAX_EXCERPT = 200
"""Characters of somebody else's message that an error of ours repeats."""


def visible(text: str) -> str:
    """The text with a space in place of each character that cannot be seen, line breaks included."""
    return text if text.isprintable() else "".join(one if one.isprintable() else " " for one in text)


def visible_lines(text: str) -> str:
    """The text, line by line as `visible` has it: for what is ours and may have several lines."""
    return text if text.isprintable() else "\n".join(visible(line) for line in text.split("\n"))


def excerpt(text: str) -> str:
    """The beginning of the text in one line, without secrets: cut off, one would not be known again."""
    return " ".join(visible(redact(text)[: 2 * MAX_EXCERPT]).split())[:MAX_EXCERPT]


def visible_json(text: str) -> str:
    """JSON with its invisible characters as escapes, so that it means the same."""
    return text if text.isprintable() else _UNSEEN.sub(_escaped, text)


_UNSEEN = re.compile(r"[^ -~]")


def _escaped(match: re.Match[str]) -> str:
    if match[0].isprintable():
        return match[0]
    units = match[0].encode("utf-16-be", errors="surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
