"""Ends a command in an orderly way when it is told to, by whatever signal."""

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

    Says of each so with its `consequence`, and exits with 128 + the signal's number as a shell would.
    """
    # One that is ignored stays so: nohup means it.
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    with _recording_signals() as received:
        before = {number: signal.signal(number, _interrupt) for number in heard}
        try:
            yield
        except KeyboardInterrupt:
            told = next((number for number in received.recv(64) if number in heard), signal.SIGINT)
            name = "Ctrl-C" if told == signal.SIGINT else signal.Signals(told).name
            say(f"billingo-assets: Ended by {name}. {consequence}", err=True)
            sys.exit(128 + told)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _interrupt(_number: int, frame: FrameType | None) -> None:
    """Do what Ctrl-C does at the moment."""
    handler = signal.getsignal(signal.SIGINT)  # Dagster's own while a run goes on
    if not callable(handler):  # ignored, as in what a script runs in the background
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)


@contextmanager
def _recording_signals() -> Iterator[socket.socket]:
    """Yield what the number of each signal can be read from: while a run goes on, Dagster handles SIGTERM itself."""
    received, sent = socket.socketpair()
    with received, sent:
        received.setblocking(False)
        sent.setblocking(False)
        before = signal.set_wakeup_fd(sent.fileno(), warn_on_full_buffer=False)
        try:
            yield received
        finally:
            signal.set_wakeup_fd(before)
