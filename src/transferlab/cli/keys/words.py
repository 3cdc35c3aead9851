"""What a value may be, in the words of YAML and JSON schema."""

from typing import Any

import yaml

Schema = dict[str, Any]
"""A JSON schema (draft 7)."""
NAMES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "null": "null",
    "object": "a mapping",
    "array": "a list",
}
NOTHING: Schema = {"not": {}}
"""The schema that no value fulfils: of a key where only a class can stand."""


def describe(schema: Schema) -> str:
    """What values a schema takes, in words: ``a whole number or null``."""
    parts = list(dict.fromkeys(_parts(schema)))
    # null comes last
    parts = [part for part in parts if part != "null"] + ["null"] * ("null" in parts)
    if "a number" in parts and "a whole number" in parts:
        parts.remove("a whole number")
    return alternatives(parts) or "anything"


def alternatives(parts: list[str]) -> str:
    """``a, b or c``."""
    return f"{', '.join(parts[:-1])} or {parts[-1]}" if len(parts) > 1 else "".join(parts)


def _parts(schema: Schema) -> list[str]:
    if "anyOf" in schema:
        return [part for branch in schema["anyOf"] for part in _parts(branch)]
    if "enum" in schema:
        return [_plain(value) for value in schema["enum"]]
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("items")
        if isinstance(items, list):
            return [f"a list of {len(items)}: [{', '.join(describe(item) for item in items)}]"]
        inner = describe(items) if items else ""
        return [f"a list of {_several(inner)}" if inner else "a list"]
    if kind == "boolean":
        return ["true", "false"]
    return [NAMES[kind]] if kind in NAMES else []


def _several(words: str) -> str:
    return {
        "a whole number": "whole numbers",
        "a number": "numbers",
        "text": "texts",
        "a mapping": "mappings",
    }.get(words, f"({words})")


def _plain(value: object) -> str:
    return shown(value) if value is None or isinstance(value, bool) else str(value)


def shown(value: object) -> str:
    """A value as YAML in one short line, a text in quotes."""
    value = list(value) if isinstance(value, tuple) else value
    try:
        text = repr(value) if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True, width=10**6)
    except yaml.YAMLError:
        text = str(value)
    text = text.removesuffix("...\n").strip()
    return text if len(text) <= 80 else f"{text[:77]}..."


def choices(schema: Schema) -> list[str]:
    """The words that a value may be; empty where they cannot be listed."""
    if "anyOf" in schema:
        return [word for branch in schema["anyOf"] for word in choices(branch)]
    if "enum" in schema:
        return [_plain(value) for value in schema["enum"]]
    return {"boolean": ["true", "false"], "null": ["null"]}.get(str(schema.get("type")), [])
