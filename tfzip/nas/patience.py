"""Storages that do not answer: asked again for a while, then a clear end."""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TypeVar

from tfzip.errors import MissingDependencyError, OptionError

T = TypeVar("T")

_WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0)
_DRIVERS = ("sqlalchemy", "psycopg2", "psycopg", "pymysql")


def answered(action: Callable[[], T], where: str) -> T:
    """Does something with a storage, again and again while it does not answer.

    Args:
        action: What is done; may be done twice.
        where: The storage, for messages.

    Raises:
        OptionError: It did not answer for a quarter of a minute.
        MissingDependencyError: The driver of a database is not installed.
    """
    for wait in (*_WAITS_S, None):
        try:
            with quiet():
                return action()
        except (OptionError, MissingDependencyError):
            raise
        except ImportError as error:
            raise MissingDependencyError(
                f"The storage {_shown(where)} needs a driver that is not installed. For PostgreSQL:"
                ' pip install "tfzip[postgres]".'
            ) from error
        except Exception as error:  # each driver of a database has classes of its own
            if not _is_gone(error):
                raise
            if wait is None:
                raise OptionError(
                    f"The storage {_shown(where)} does not answer: {type(error).__name__}. What has ended is"
                    " in it; run the same search again when it is back."
                ) from error
            time.sleep(wait)
    raise AssertionError


@contextmanager
def quiet() -> Iterator[None]:
    """Leaves out warnings, with which Optuna marks what is experimental in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def with_driver(url: str) -> str:
    """Returns the URL of a PostgreSQL database with the driver that is installed, unless it names one."""
    scheme, found, rest = url.partition("://")
    if scheme != "postgresql" or find_spec("psycopg") is not None or find_spec("psycopg2") is None:
        return url
    return f"postgresql+psycopg2{found}{rest}"


def _is_gone(error: Exception) -> bool:
    """Whether an error is the storage's own, and not of what was asked of it."""
    return (
        isinstance(error, OSError)
        or type(error).__module__.split(".")[0] in _DRIVERS
        or type(error).__name__ == "StorageInternalError"
    )


def _shown(where: str) -> str:
    """Returns a storage without the password in its URL."""
    head, at, tail = where.rpartition("@")
    return repr(f"{head.split('://')[0]}://...@{tail}" if at and "://" in head else where)
