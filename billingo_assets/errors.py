"""The errors that people see.

Every foreseeable failure is a `BillingoAssetsError`. Its text is a sentence or two: what happened, to which company,
what to do. The command line prints that text and no traceback. The API client's errors are in `billingo.errors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from billingo_assets.redaction import redact


class BillingoAssetsError(Exception):
    """A foreseeable failure, in words. `exit_code` is the exit code of the command line."""

    exit_code = 1
    counts: Mapping[str, int | float | str | None] = MappingProxyType({})
    """The counts of a sync when it failed, by name."""

    def __str__(self) -> str:
        """The sentence, without secrets: it may repeat a server's or driver's message."""
        return redact(super().__str__())


class ConfigurationError(BillingoAssetsError):
    """Wrong usage, or a setting that has to be changed before anything can work."""

    exit_code = 2


class DatabaseError(ConfigurationError):
    """The database cannot be reached, or is not at the version this program needs."""


class DatabaseUnavailableError(DatabaseError):
    """The database does not answer; it may do so again in a moment."""

    transient = True


class EmptyAnswerError(BillingoAssetsError):
    """The API shows no document of a company that had some: more likely an error of the API than the truth."""


class UnsettledListingError(BillingoAssetsError):
    """No listing of a company's documents was complete, so it is unknown which of them are gone.

    A retry may help if they changed while they were listed (`may_pass`), but not if Billingo's count differs from its
    pages.
    """

    def __init__(self, what: str, *, may_pass: bool) -> None:
        super().__init__(what)
        self.transient = may_pass


class NotToBeSyncedError(BillingoAssetsError):
    """The company of a run is disabled, was removed, or was never registered. `reason` says which in a few words."""

    def __init__(self, what: str, *, reason: str) -> None:
        super().__init__(what)
        self.reason = reason
