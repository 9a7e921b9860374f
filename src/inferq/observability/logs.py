"""Logging: one line an event, for people on a terminal and JSON elsewhere."""

import logging
import sys

import structlog

from inferq.observability.log_context import add_log_ids
from inferq.settings import Settings
from inferq.terminal import make_printable


def configure_logging(settings: Settings) -> None:
    """Sets up structlog for this process, writing to standard error."""
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    rendering: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if as_json
        else [
            _make_printable,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                exception_formatter=structlog.dev.plain_traceback,  # rich ones take seconds and show data
            ),
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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _make_printable(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Names and reasons come from others, and a console may be a terminal; JSON escapes them by itself."""
    return {name: make_printable(value) if isinstance(value, str) else value for name, value in event.items()}
