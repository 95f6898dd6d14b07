"""Moved to `tfzip.quantization_record`."""

from tfzip.quantization_record import (  # noqa: F401
    QuantizationRecord,
    Range,
    attach_record,
    attach_saved_record,
    record_of,
)
