"""client/'s answers.py, from openapi.json's schemas: a TypedDict for each answer that the client gives."""

from collections.abc import Iterator, Mapping
from typing import Any

HEAD = '''"""The answers' types. `make docs` writes this module from openapi.json: change loyalty_ml's contracts.py.

An answer is a plain dictionary. The service may add fields, and an older one may lack some.
"""

from typing import Any, Literal, NotRequired, TypedDict
'''
GIVEN = (
    "SingleAnswer",
    "AllAnswer",
    "StatusAnswer",
    "SegmentSummary",
    "SegmentDefinitionAnswer",
    "SegmentAnswer",
    "SegmentAllAnswer",
    "SegmentStatsAnswer",
    "JobListed",
    "JobAnswer",
)
"""What the client's methods return."""
_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_REF = "#/components/schemas/"


def module(schemas: Mapping[str, Any]) -> str:
    """The module's text. Raises KeyError for a schema that is none of the description."""
    found: dict[str, str] = {}
    _write(schemas, GIVEN, found)
    return "\n\n".join([HEAD, *(found[name] for name in sorted(found))])


def _write(schemas: Mapping[str, Any], names: Any, found: dict[str, str]) -> None:
    for name in names:
        if name not in found:
            found[name] = _class(name, schemas[name])
            _write(schemas, _references(schemas[name]), found)


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].removeprefix(_REF)
        for inner in schema.values():
            yield from _references(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _references(inner)


def _class(name: str, schema: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    lines = [f"class {name}(TypedDict):"]
    for field, described in schema["properties"].items():
        kind = _type(described)
        if next(_references(described), None):  # which may come later in the module
            kind = '"' + kind.replace('"', "'") + '"'
        lines.append(f"    {field}: {kind if field in required else f'NotRequired[{kind}]'}")
    return "\n".join(lines) + "\n"


def _type(schema: Mapping[str, Any]) -> str:
    """Its type as Python writes it; what may be anything is Any."""
    if "$ref" in schema:
        return str(schema["$ref"].removeprefix(_REF))
    if "anyOf" in schema:
        return _union([_type(each) for each in schema["anyOf"]])
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return f"Literal[{', '.join(_literal(value) for value in values)}]"
    kind = schema.get("type")
    if kind == "array":
        inner = [schema["items"]] if "items" in schema else schema.get("prefixItems", [{}])
        return f"list[{_union([_type(each) for each in inner])}]"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"dict[str, {_type(values) if isinstance(values, dict) else 'Any'}]"
    return _PLAIN.get(str(kind), "Any")


def _union(kinds: list[str]) -> str:
    return " | ".join(dict.fromkeys(kinds))


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
