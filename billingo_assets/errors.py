"""The errors that people meet.

Every foreseeable failure is a `BillingoAssetsError` whose text is a sentence or two: what happened, to whom,
what to do. The command line prints that text and no traceback. The API client's errors are in `billingo.errors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from billingo_assets.redaction import redact


class BillingoAssetsError(Exception):
    """A foreseeable failure, told in words. `exit_code` is what the command line ends with."""

    exit_code = 1
    counts: Mapping[str, int | float | str | None] = MappingProxyType({})
    """What a sync had done when it failed, by name."""

    def __str__(self) -> str:
        """The sentence, without secrets: it may repeat what a server or a driver said."""
        return redact(super().__str__())


class ConfigurationError(BillingoAssetsError):
    """Wrong usage or a setting that has to be changed before anything can work."""

    exit_code = 2


class DatabaseError(ConfigurationError):
    """The database cannot be reached, or is not at the version this program needs."""


class DatabaseUnavailableError(DatabaseError):
    """The database was there, or may be in a moment."""

    transient = True


class EmptyAnswerError(BillingoAssetsError):
    """The API shows no document of a company that had some: more likely its mistake than the truth."""


class UnsettledListingError(BillingoAssetsError):
    """No listing of a company's documents was whole, so that nobody can say which of them are gone.

    Asking again at once may help where they changed while they were listed (`may_pass`), but not where Billingo's count
    differs from what its pages show.
    """

    def __init__(self, what: str, *, may_pass: bool) -> None:
        super().__init__(what)
        self.transient = may_pass


class NotToBeSyncedError(BillingoAssetsError):
    """The company of a run is disabled, was removed, or never was registered. `reason` says which, in a few words."""

    def __init__(self, what: str, *, reason: str) -> None:
        super().__init__(what)
        self.reason = reason
