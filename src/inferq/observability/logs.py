"""Logging: one line an event, for people on a terminal and JSON elsewhere."""

import logging
import sys
import traceback

import structlog

from inferq.observability.log_context import add_log_ids
from inferq.settings import Settings
from inferq.terminal import make_printable


def writes_json(settings: Settings) -> bool:
    """Whether this process writes its log as JSON."""
    return settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())


def is_level_logged(level: str, settings: Settings) -> bool:
    """Whether lines of a level are severe enough to be logged."""
    levels = logging.getLevelNamesMapping()
    return levels[level.upper()] >= levels[settings.log_level.upper()]


def configure_logging(settings: Settings) -> None:
    """Sets up structlog for this process, writing to standard error."""
    format_exceptions = structlog.processors.ExceptionRenderer(_format_exception)
    rendering: list[structlog.typing.Processor] = (
        [format_exceptions, structlog.processors.JSONRenderer()]
        if writes_json(settings)
        else [
            _make_printable,
            format_exceptions,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ]
    )
    structlog.configure(
        processors=[
            add_log_ids,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.log_level.upper()]
        ),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )


def _format_exception(exc_info: structlog.typing.ExcInfo) -> str:
    """Returns where an error was raised and its type, without its words: these may quote a job's data."""
    error_type, _, trace = exc_info
    return f"Traceback (most recent call last):\n{''.join(traceback.format_tb(trace))}{error_type.__name__}"


def _make_printable(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Names and reasons come from others, and a console may be a terminal; JSON escapes them by itself."""
    return {name: make_printable(value) if isinstance(value, str) else value for name, value in event.items()}
