"""What Keras and TensorFlow raise on unfit data, as an error of one line."""

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from tfzip.errors import DataError, TfzipError, one_line

_MOST_CHARACTERS = 300


@contextmanager
def explained(what: str, remedy: str) -> Iterator[None]:
    """Turns what Keras and TensorFlow raise on unfit data into an error of one line.

    Args:
        what: What is being done, at the start of the message.
        remedy: What to do, at its end.

    Raises:
        DataError: The block raised.
    """
    try:
        yield
    except TfzipError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, tf.errors.OpError) as error:
        raise DataError(f"{what} failed: {one_line(error)[:_MOST_CHARACTERS]}. {remedy}") from error
