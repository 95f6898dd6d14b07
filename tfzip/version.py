"""The version of tfzip, importable without any framework."""

__version__ = "0.1.0"
