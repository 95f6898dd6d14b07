"""Small to download: a .tflite in packed form and back, the same in every byte."""

from tfzip.packing.files import pack, unpack
from tfzip.packing.sizes import SizeReport, deflate_bytes, size_report

__all__ = ["SizeReport", "deflate_bytes", "pack", "size_report", "unpack"]
