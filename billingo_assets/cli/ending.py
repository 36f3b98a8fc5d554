"""Ends a command in an orderly way on any signal that asks for it."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from billingo_assets.cli.output import say

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ending_as_on_ctrl_c(consequence: str) -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as Ctrl-C does: runs are marked, locks freed, transactions rolled back.

    Prints the signal's name and the `consequence`, and exits with 128 + the signal's number, as a shell would.
    """
    # An ignored signal stays ignored: nohup does that on purpose.
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    with _recording_signals() as received:
        before = {number: signal.signal(number, _interrupt) for number in heard}
        try:
            yield
        except KeyboardInterrupt:
            ended_by = next((number for number in received.recv(64) if number in heard), signal.SIGINT)
            name = "Ctrl-C" if ended_by == signal.SIGINT else signal.Signals(ended_by).name
            say(f"billingo-assets: Ended by {name}. {consequence}", err=True)
            sys.exit(128 + ended_by)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _interrupt(_number: int, frame: FrameType | None) -> None:
    """Act like Ctrl-C."""
    handler = signal.getsignal(signal.SIGINT)  # Dagster's handler during a run
    if not callable(handler):  # ignored, as in the background of a script
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)


@contextmanager
def _recording_signals() -> Iterator[socket.socket]:
    """Yield a socket with the number of each signal received: during a run, Dagster handles SIGTERM itself."""
    received, sent = socket.socketpair()
    with received, sent:
        received.setblocking(False)
        sent.setblocking(False)
        before = signal.set_wakeup_fd(sent.fileno(), warn_on_full_buffer=False)
        try:
            yield received
        finally:
            signal.set_wakeup_fd(before)
