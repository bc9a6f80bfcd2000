"""Where events and answers are written: the configured files, else where the program writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, TYPE_CHECKING, ClassVar, cast

from attrs import define
from twisted.logger import (
    FilteringLogObserver,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    LogPublisher,
    textFileLogObserver,
)

from aimirror.config import AccessFormat, ConfigError, Level
from aimirror.server.access_log import FORMATS, AccessLog, Format
from aimirror.server.log_file import LogFile
from aimirror.server.short_log import Short

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.logger import ILogObserver

    from aimirror.config import Logging

_LEVELS = {
    Level.DEBUG: LogLevel.debug,
    Level.INFO: LogLevel.info,
    Level.WARNING: LogLevel.warn,
    Level.ERROR: LogLevel.error,
}


@define
class Logs:
    """The open log files, and what writes to them.

    ``file`` is that of events, None for the program's own stream; ``access`` writes answers, None
    for nobody.
    """

    _log: ClassVar[Logger] = Logger()
    file: LogFile | None
    access: AccessLog | None
    _files: tuple[LogFile, ...]

    def reopen(self) -> None:
        """Somebody has moved the files away."""
        self.flush()
        for file in self._files:
            try:
                file.reopen()
            except OSError as error:
                self._log.error("the old log file stays: {problem}", problem=str(error))

    def flush(self) -> None:
        """Write what is held; to be called when no answer comes any more."""
        if self.access is not None:
            self.access.flush()


def open_logs(
    logging: Logging,
    clock: IReactorTime,
    standard: Callable[[bytes], object],
    short: Short | None = None,
) -> Logs:
    """Open the files of a configuration; ``standard`` writes answers where there is none.

    ``short`` makes the lines of answers for people who look at that; None when nobody does.
    Raises ConfigError when a file can't be opened.
    """
    files = {}
    for path in (logging.file, logging.access_file):
        if path is not None and path not in files:
            try:
                files[path] = LogFile(path, logging.max_size, logging.keep)
            except OSError as error:
                raise ConfigError(f"{path}: {error.strerror}") from None
    events = None if logging.file is None else files[logging.file]
    quiet = logging.level in (Level.WARNING, Level.ERROR) and logging.access_file is None
    if quiet or logging.access is AccessFormat.OFF:
        return Logs(events, None, tuple(files.values()))
    file = files.get(logging.access_file or logging.file)  # type: ignore[arg-type]
    write = standard if file is None else file.write_bytes
    access = AccessLog(write, clock, _format(logging.access, short if file is None else None))
    return Logs(events, access, tuple(files.values()))


def _format(chosen: AccessFormat, short: Short | None) -> Format:
    """What makes the lines of answers; ``short`` where people look at them."""
    if chosen is AccessFormat.AUTO:
        chosen = AccessFormat.COMMON if short is None else AccessFormat.SHORT
    if chosen is AccessFormat.SHORT:
        return short or Short()
    return FORMATS[chosen.value]()


def observer(level: Level, stream: LogFile | IO[str]) -> ILogObserver:
    """What writes events from a level on as lines."""
    return _filtered(level, textFileLogObserver(cast("IO[str]", stream)))


def limit(level: Level, publisher: LogPublisher) -> None:
    """Let all that observes by now, such as twistd's own log, have events from a level on alone."""
    for each in tuple(publisher._observers):
        publisher.removeObserver(each)
        publisher.addObserver(_filtered(level, each))


def _filtered(level: Level, behind: ILogObserver) -> ILogObserver:
    predicate = LogLevelFilterPredicate(_LEVELS[level])
    # Twisted announces each connection of the workers' wire.
    predicate.setLogLevelForNamespace("twisted.protocols.amp", LogLevel.warn)
    return FilteringLogObserver(behind, [predicate])
