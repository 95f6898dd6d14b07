"""Checks a value against the keywords of JSON Schema that the benchmark's schema uses; refuses any other."""

import json
import re

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
NOTES = {"$schema", "$defs", "title", "description"}


def violations(value, schema, root, where="$"):
    """Returns a line for each violation."""
    if "$ref" in schema:
        return violations(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, where)
    found = _type(value, schema["type"], schema) if "type" in schema else []
    if found:
        return [f"{where}: {line}" for line in found]
    for keyword, rule in schema.items():
        if keyword in ("required", "additionalProperties") and not isinstance(value, dict):
            continue  # these speak of objects only
        if keyword in ("minimum", "maximum") and value is None:
            continue  # and these of numbers
        if keyword not in NOTES:
            found += [f"{where}: {line}" for line in KEYWORDS[keyword](value, rule, schema)]
    if found:
        return found
    if isinstance(value, dict):
        for name, part in schema.get("properties", {}).items():
            if name in value:
                found += violations(value[name], part, root, f"{where}.{name}")
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            found += violations(item, schema["items"], root, f"{where}[{index}]")
    return found


def _type(value, rule, _):
    names = [rule] if isinstance(rule, str) else rule
    fits = any(
        isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))
        for name in names
    )
    return [] if fits else [f"{json.dumps(value)[:40]} is not {rule}"]


def _additional(value, rule, schema):
    extra = set(value) - set(schema["properties"]) if rule is False else ()
    return [f"unknown {name}" for name in extra]


def _nothing(value, rule, schema):
    return []


KEYWORDS = {
    "type": _type,
    "required": lambda v, rule, _: [f"missing {name}" for name in rule if name not in v],
    "additionalProperties": _additional,
    "minimum": lambda v, rule, _: [] if v >= rule else [f"{v} < {rule}"],
    "maximum": lambda v, rule, _: [] if v <= rule else [f"{v} > {rule}"],
    "minItems": lambda v, rule, _: [] if len(v) >= rule else [f"{len(v)} items"],
    "pattern": lambda v, rule, _: [] if re.search(rule, v) else [f"{v} does not match {rule}"],
    "enum": lambda v, rule, _: [] if v in rule else [f"{v} not in {rule}"],
    "const": lambda v, rule, _: [] if v == rule else [f"{v} is not {rule}"],
    "properties": _nothing,
    "items": _nothing,
}
