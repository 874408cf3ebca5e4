"""Logs: one line per event, a name and its fields, for people or as JSON.

Rooms below log through the standard `logging` module by their own names; the house sets up here
once how all of it is written. Nothing secret is ever a field: no password, key or message text.
"""

import logging
import sys
from typing import Final, Literal, TextIO

import structlog

FIELD_CHARACTERS_MAX: Final = 500


def _bounded(
    logger: logging.Logger, method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """A peer's words may be in a field: cut them, and keep the line one line."""
    for key, value in event.items():
        if isinstance(value, str) and key != "exception":
            cut = (
                value if len(value) <= FIELD_CHARACTERS_MAX else value[:FIELD_CHARACTERS_MAX] + "…"
            )
            event[key] = cut.replace("\r", "\\r").replace("\n", "\\n")
    return event


def set_up(
    node: str,
    *,
    level: Literal["debug", "info", "warning", "error"],
    form: Literal["lines", "json"],
    stream: TextIO = sys.stderr,
) -> None:
    """Write every log record of this process to `stream`, marked with the node's name."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.processors.LogfmtRenderer(
            key_order=["timestamp", "level", "node", "logger", "event"], drop_missing=True
        )
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _bounded,
                last,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(node=node)


def named(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of one part of the house: `log.info("event", field=value)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
