"""Errors that say what went wrong, what was expected, what was received, and the remedy.

Every class inherits the builtin that fits it, so `except ValueError` keeps working. The command line prints a
`TfzipError` as one line and exits with status 1.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class TfzipError(Exception):
    """Base of every error that tfzip raises about its input or its surroundings.

    Attributes:
        place: What the error came up in, such as a recipe and its step: the beginning of the message.
    """

    place: str = ""

    def __str__(self) -> str:
        message = super().__str__()
        return f"{self.place}: {message}" if self.place else message


class ModelError(TfzipError, ValueError):
    """A model cannot be loaded, walked, flattened or rebuilt."""


class DataError(TfzipError, ValueError):
    """Data does not fit the model: missing, empty, of another shape or type, or not finite."""


class ConversionError(TfzipError, RuntimeError):
    """A model cannot become a .tflite of the scheme asked for."""


class FileFormatError(TfzipError, ValueError):
    """A .tflite file cannot be read, is damaged, or cannot be run."""


class RecipeError(TfzipError, ValueError):
    """A recipe does not load: an unknown name, a wrong type, a missing field."""


class OptionError(TfzipError, ValueError):
    """An argument is out of range or contradicts another."""


class SandboxError(TfzipError, RuntimeError):
    """A child process died, hung or ran out of memory; `detail` holds the end of what it printed."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class DeviceError(TfzipError, RuntimeError):
    """A device is not there, refused, went away or did not finish; `detail` holds the end of what it said."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class MissingDependencyError(TfzipError, ImportError):
    """An optional package is needed and not installed."""


class UnknownNameError(TfzipError, ValueError):
    """A name is not registered."""

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        names = sorted(known)
        super().__init__(f"Unknown {kind} {name!r}.{did_you_mean(name, names)} Known: {', '.join(names)}.")
        self.arguments = (kind, name, names)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles by the constructor's arguments, since errors cross process borders."""
        return type(self), self.arguments, self.__dict__


def one_line(error: BaseException) -> str:
    """Returns the message of an error in one line; see `bare`."""
    return " ".join(bare(error).split())


def bare(error: BaseException) -> str:
    """Returns the message of an error without colours and without what Keras lists below it."""
    return re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split("Arguments received by")[0]


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Returns `" Did you mean 'int8'?"`, or nothing when no known name is near."""
    near = get_close_matches(str(name), list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""
