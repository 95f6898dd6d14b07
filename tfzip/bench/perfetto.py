"""Energy by power rail from the traces that Android's `perfetto` writes."""

import base64
import binascii

from tfzip.bench.protobuf import fields, message

_PACKET, _POWER_RAILS, _ENERGY = 1, 40, 2  # numbers of fields in Trace, TracePacket and PowerRails
_INDEX, _MILLISECONDS, _MICROJOULES = 1, 2, 3  # in PowerRails.EnergyData

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
        energies = [
            message(energy)
            for packet in _all(base64.b64decode(line, validate=True), _PACKET)
            for rails in _all(packet, _POWER_RAILS)
            for energy in _all(rails, _ENERGY)
        ]
    except (binascii.Error, ValueError):
        return None
    latest = {one.get(_INDEX, 0): one for one in energies if _MILLISECONDS in one and _MICROJOULES in one}
    if not latest:
        return None
    clock = max(int(one[_MILLISECONDS]) for one in latest.values())
    return 1e-3 * clock, float(sum(int(one[_MICROJOULES]) for one in latest.values()))


def _all(content: bytes, wanted: int) -> list[bytes]:
    return [value for number, value in fields(content) if number == wanted and isinstance(value, bytes)]
