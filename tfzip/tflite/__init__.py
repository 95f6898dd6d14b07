"""What a .tflite file is: the only place that parses or signs one."""

from tfzip.tflite.file_graph import FileGraph
from tfzip.tflite.metadata import read_metadata, write_metadata
from tfzip.tflite.reader import read

__all__ = ["FileGraph", "read", "read_metadata", "write_metadata"]
