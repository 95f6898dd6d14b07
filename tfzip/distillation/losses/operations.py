"""`keras.ops`, loaded when one is first called: names of losses are listed without a framework."""

from typing import Any


class _Operations:
    def __getattr__(self, name: str) -> Any:
        import keras

        return getattr(keras.ops, name)


ops: Any = _Operations()
