"""Reports as values that JSON knows."""

import math
from typing import Any


def json_ready(value: Any) -> Any:
    """Returns a value with null for the numbers that JSON does not have, such as those of a damaged file."""
    if isinstance(value, dict):
        return {key: json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
