"""What can go wrong while the sandbox is driven; the answers it gives over HTTP are in `answers`."""

from billingo_assets.errors import ConfigurationError


class SandboxError(ConfigurationError):
    """The sandbox cannot do what it was asked to; the message says why and what to do."""


class UnknownCompanyError(SandboxError):
    """No company has this key."""


class UnknownDocumentError(SandboxError):
    """The company has no document with this id."""


class RefusedMutationError(SandboxError):
    """Billingo would not allow this change either."""


class PortTakenError(SandboxError):
    """Another process already listens on the port."""


class NotLoopbackError(SandboxError):
    """The sandbox gives its keys to anybody who asks, so it listens on loopback addresses only."""
