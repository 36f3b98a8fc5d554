"""Makes text from outside safe to show: an API's messages, a document's reason, a company's name.

Code that prints such text, or puts it into an error, uses these functions. They change only characters that a terminal
obeys or hides: control characters, escape sequences, marks that change the direction of writing.
"""

from __future__ import annotations

import re

from billingo_assets.redaction import redact

MAX_EXCERPT = 200
"""How many characters of a foreign message our errors repeat."""


def visible(text: str) -> str:
    """The text with a space in place of each invisible character, including line breaks."""
    return text if text.isprintable() else "".join(one if one.isprintable() else " " for one in text)


def visible_lines(text: str) -> str:
    """The text with each line as in `visible`: for our own text of several lines."""
    return text if text.isprintable() else "\n".join(visible(line) for line in text.split("\n"))


def excerpt(text: str) -> str:
    """The beginning of the text in one line. Secrets are removed first: half a secret would not be recognized."""
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
