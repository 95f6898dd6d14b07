"""What a .tflite file is: the only place that parses or signs one."""

from tfzip.tflite.audit import audit
from tfzip.tflite.file_graph import FileGraph
from tfzip.tflite.metadata import read_metadata, write_metadata
from tfzip.tflite.naming import layer_of
from tfzip.tflite.reader import read

__all__ = ["FileGraph", "audit", "layer_of", "read", "read_metadata", "write_metadata"]
