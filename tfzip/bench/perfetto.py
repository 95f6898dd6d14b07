"""Energy by power rail from the traces that Android's `perfetto` writes."""

import base64
import binascii
from collections.abc import Iterator

_PACKET, _POWER_RAILS, _ENERGY = 1, 40, 2  # numbers of fields in Trace, TracePacket and PowerRails
_INDEX, _MILLISECONDS, _MICROJOULES = 1, 2, 3  # in PowerRails.EnergyData
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5

TRACE = (
    'echo \'buffers { size_kb: 256 } duration_ms: 400 data_sources { config { name: "android.power"'
    " android_power_config { battery_poll_ms: 250 collect_power_rails: true } } }'"
    " | perfetto --txt -c - -o - 2>/dev/null | base64 | tr -d '\\n'"
)
"""A shell command that prints a short trace of all rails in one line of base64."""


def rails_of(line: str) -> tuple[float, float] | None:
    """Returns the clock in seconds and the energy of all rails in microjoules, as a trace has them last.

    Args:
        line: The trace in base64.

    Returns:
        None where the trace is not whole or has no rails.
    """
    try:
        packets = [packet for number, packet in _fields(base64.b64decode(line, validate=True))]
        energies = [
            dict(_fields(energy))
            for packet in packets
            if isinstance(packet, bytes)
            for rails in _all(packet, _POWER_RAILS)
            for energy in _all(rails, _ENERGY)
        ]
    except (binascii.Error, IndexError, ValueError):
        return None
    latest = {one.get(_INDEX, 0): one for one in energies if _MILLISECONDS in one and _MICROJOULES in one}
    if not latest:
        return None
    clock = max(int(one[_MILLISECONDS]) for one in latest.values())
    return 1e-3 * clock, float(sum(int(one[_MICROJOULES]) for one in latest.values()))


def _all(message: bytes, wanted: int) -> list[bytes]:
    return [value for number, value in _fields(message) if number == wanted and isinstance(value, bytes)]


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yields the fields of a protocol buffer: their numbers with numbers or bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = _varint(message, at)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"there is no wire type {kind}")
        if at + size > len(message):
            raise IndexError("the message breaks off")
        yield number, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
