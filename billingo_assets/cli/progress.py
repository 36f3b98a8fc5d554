"""Shows the progress of syncs on standard error: a bar on a terminal, otherwise a plain line for each company."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from billingo_assets.cli.output import losing_output, say
from billingo_assets.dagster_support.resources import ProgressLog

if TYPE_CHECKING:
    from rich.progress import TaskID

    from billingo_assets.sync.report import Progress as PageProgress


class SyncProgress:
    """Progress of several companies, one after another. `log` is the resource through which runs report."""

    def __init__(self, *, on_terminal: bool, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        if on_terminal and not quiet:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("documents"),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
        self.log = _ReportingLog(self._on_page)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    @contextmanager
    def syncing(self, company: str) -> Iterator[None]:
        """One company's turn."""
        if self._bar:
            self._task = self._bar.add_task(company, total=None)
        elif not self._quiet:
            with losing_output():
                say(f"{company}: syncing", err=True)
        yield
        if self._bar and self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Clear the bar while something else is printed."""
        if self._bar:
            self._bar.stop()
        yield
        if self._bar:
            self._bar.start()

    def _on_page(self, page: PageProgress) -> None:
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=page.documents, total=page.total)


class _ReportingLog(ProgressLog):
    """Reports each page to the run's log and to the terminal."""

    def __init__(self, on_page: Callable[[PageProgress], None]) -> None:
        self._on_page = on_page

    def listener(self, company: str, log: Callable[[str], None]) -> Callable[[PageProgress], None]:
        """Return the function that the engine calls after each page."""
        to_log = super().listener(company, log)

        def on_page(progress: PageProgress) -> None:
            to_log(progress)
            self._on_page(progress)

        return on_page
