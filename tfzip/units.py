"""Numbers as people read them: bytes, durations, counts, fractions."""

_STEP = 1000.0


def _scaled(value: float, units: tuple[str, ...]) -> str:
    for unit in units[:-1]:
        if abs(value) < _STEP:
            return f"{value:.4g} {unit}".rstrip()
        value /= _STEP
    return f"{value:.4g} {units[-1]}".rstrip()


def format_bytes(size_bytes: float) -> str:
    """Returns a size in decimal units: `format_bytes(98_464)` is `'98.46 kB'`."""
    return _scaled(size_bytes, ("B", "kB", "MB", "GB", "TB"))


def format_count(count: float) -> str:
    """Returns a count in decimal units: `format_count(12_501_632)` is `'12.5 M'`."""
    return _scaled(count, ("", "k", "M", "G", "T"))


def format_ms(duration_ms: float) -> str:
    """Returns a duration given in milliseconds: `format_ms(0.0381)` is `'38.1 µs'`."""
    if abs(duration_ms) >= 1.0:
        return f"{duration_ms:.3g} ms" if duration_ms < _STEP else f"{duration_ms / _STEP:.3g} s"
    return f"{duration_ms * _STEP:.3g} µs"


def format_fraction(fraction: float) -> str:
    """Returns a fraction as per cent: `format_fraction(0.8719)` is `'87.19 %'`."""
    return f"{fraction * 100:.2f} %"
