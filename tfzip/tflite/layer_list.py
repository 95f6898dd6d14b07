"""The paths of a model's layers, and their widths where a scheme is mixed, in the metadata of its file.

Paths are compressed, since a deep model has kilobytes of them.
"""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tfzip.schemes import SCHEMES, Scheme, mixed_scheme

_MOST_BYTES = 1 << 22


def packed_layers(paths: Sequence[str]) -> str:
    """Returns paths as one string of printable characters."""
    return base64.b85encode(zlib.compress("\n".join(paths).encode(), 9)).decode()


def layers_in(metadata: Mapping[str, str]) -> list[str]:
    """Returns the layers' paths that export recorded; a file that was tampered with has none.

    Files of earlier versions hold a JSON list instead.
    """
    text = metadata.get("layers", "[]")
    try:
        if text.startswith("["):
            found = json.loads(text)
            return [path for path in found if isinstance(path, str)] if isinstance(found, list) else []
        stream = zlib.decompressobj()
        paths = stream.decompress(base64.b85decode(text), _MOST_BYTES).decode()
    except (ValueError, RecursionError, zlib.error):
        return []
    return paths.split("\n") if paths and stream.eof else []


def packed_widths(scheme: Scheme) -> str:
    """Returns the bits of each layer of a mixed scheme, and the scheme of the others, as JSON."""
    base = replace(scheme, layers=())
    bases = [
        s.name for s in SCHEMES.values() if (s.weights, s.activations) == (base.weights, base.activations)
    ]
    widths = {path: form.bits for path, form in scheme.layers}
    return json.dumps({"base": next(iter(bases), ""), "bits": widths}, separators=(",", ":"))


def scheme_in(metadata: Mapping[str, str]) -> Scheme:
    """Returns the scheme that a file was exported with; `float32` for what names none that is known."""
    if "widths" in metadata:
        try:
            found = json.loads(metadata["widths"])
            return mixed_scheme(found["base"], found["bits"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return SCHEMES["float32"]
    return SCHEMES.get(metadata.get("scheme", ""), SCHEMES["float32"])
