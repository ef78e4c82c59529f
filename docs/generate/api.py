"""The API's pages, one an operation, from openapi.json's source; the functions' names are the template's."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docs.generate import markdown
from docs.generate.markdown import code, codes, sentence
from docs.generate.problem import Undocumented
from local import openapi, template
from local.template import Route
from loyalty_ml.api.access import SIGNED
from loyalty_ml.api.http import BASE_PATH

EXAMPLES = Path(__file__).parent / "examples"
"""A request and its answer for each operation, by the name of its page; tests/docs runs them."""
ORDER = (
    "/ml/predict",
    "/ml/predict/batch",
    "/segments",
    "/ml/jobs",
    "/models",
    "/sql",
    "/v2",
    "/config",
    "/admin",
    "/openapi.json",
    "/health",
)
SOURCE = "the functions' routes and contracts"
AWS_SIGNATURE = "AWS Signature Version 4 of a role that may call it"

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """A method of a path below the base: what openapi.json says of it, and the function."""

    method: str
    path: str
    described: Schema
    scope: str | None
    function: str


def pages() -> dict[str, str]:
    """A page for each operation, and the list of them."""
    document = openapi.document()
    described = template.load()
    routes = list(template.routes(described))
    schemas: Mapping[str, Schema] = document["components"]["schemas"]
    written, rows = {}, []
    operations = [
        Operation(
            method.upper(),
            path,
            operation,
            next((scope for each in operation["security"] for scope in each.get("jwt", [SIGNED])), None),
            _function(routes, method.upper(), path),
        )
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    for operation in sorted(operations, key=lambda each: (_place(each.path), each.path)):
        name = page_name(operation.method, operation.path)
        written[name] = _page(operation, schemas)
        scope = code(operation.scope) if operation.scope else "none"
        summary = sentence(operation.described["summary"])
        rows.append([f"[{operation.method} `{operation.path}`]({name})", summary, scope])
    unused = {example.name for example in EXAMPLES.glob("*.md")} - written.keys()
    if unused:
        raise Undocumented(f"docs/generate/examples has {', '.join(sorted(unused))}, and there is no such operation.")
    written["README.md"] = markdown.page(
        "API",
        SOURCE,
        f"The base path is `{BASE_PATH}`. Every route answers with and without a trailing slash, in JSON (UTF-8). "
        "Each answer has an `X-Correlation-Id` header: the logs have the request under it. The whole as a document for "
        "programs is [openapi.json](../../../openapi.json).",
        markdown.table(["operation", "what it does", "scope of the token"], rows),
        "An error is a JSON object with `error`, `code` and often `details`: see [errors](../errors.md).",
    )
    return written


def _function(routes: Iterable[Route], method: str, path: str) -> str:
    """Of the route that the gateway prefers: the exact one, else the longest that catches the path."""
    known = [
        route
        for route in routes
        if route.method == method and template.path_pattern(route.path).fullmatch(BASE_PATH + path)
    ]
    exact = [route for route in known if route.path == BASE_PATH + path]
    chosen = (exact or sorted(known, key=lambda route: -len(route.path)))[0]
    return chosen.function.removesuffix("Function").lower()


def page_name(method: str, path: str) -> str:
    plain = path.strip("/").replace("/", "-").replace("{", "").replace("}", "").replace("_", "-")
    return f"{method.lower()}-{plain}.md"


def _place(path: str) -> int:
    matching = [place for place, prefix in enumerate(ORDER) if path.startswith(prefix)]
    if not matching:
        raise Undocumented(f"docs/generate/api.py has no place in ORDER for {path}.")
    return matching[-1]


def _page(operation: Operation, schemas: Mapping[str, Schema]) -> str:
    described = operation.described
    title = f"{operation.method} {operation.path}"
    example = EXAMPLES / page_name(operation.method, operation.path)
    if not example.exists():
        raise Undocumented(f"{title} has no example: write docs/generate/examples/{example.name}.")
    body = described.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    token = f"The token needs the scope `{operation.scope}`." if operation.scope else "It needs no token."
    if operation.scope == SIGNED:
        token = f"It needs no token, but a signature: {AWS_SIGNATURE}."
    seen: dict[str, None] = {}
    asked: set[str] = set()
    blocks = [
        "\n".join([sentence(described["summary"]), sentence(described.get("description", ""))]).strip(),
        f"The function `{operation.function}` answers. {token}",
        "## Example",
        example.read_text().strip(),
        "## Request",
        _parameters(described) or ("" if body else "No parameters and no body."),
    ]
    if body:
        blocks += [f"The body is {_type(body, seen)}."]
        asked = set(_reachable(seen, schemas))
    blocks += ["## Answers", _answers(described, seen)]
    shown = list(_reachable(seen, schemas))
    for name in shown:
        schema = schemas[name]
        fields = (
            _fields(schema, of_request=name in asked) if "properties" in schema else f"This is {_type(schema, {})}."
        )
        blocks += [f"### {name}", sentence(schema.get("description", "")), fields]
    return markdown.page(title, SOURCE, *blocks)


def _parameters(operation: Schema) -> str:
    rows = [
        [
            code(parameter["name"]),
            parameter["in"],
            _type(parameter["schema"], {}),
            "yes" if parameter.get("required") else "",
            _meaning({**parameter["schema"], **parameter}),
        ]
        for parameter in operation.get("parameters", ())
    ]
    return markdown.table(["parameter", "in", "type", "required", "meaning"], rows) if rows else ""


def _answers(operation: Schema, seen: dict[str, None]) -> str:
    rows = []
    for status, answer in operation["responses"].items():
        schema = answer.get("content", {}).get("application/json", {}).get("schema")
        headers = codes(list(answer.get("headers", ())))
        meaning = answer["description"] if not headers else f"{answer['description']}; headers {headers}"
        rows.append([status, meaning, _type(schema, seen) if schema else ""])
    return markdown.table(["status", "when, or the codes", "body"], rows)


def _reachable(seen: Iterable[str], schemas: Mapping[str, Schema]) -> Iterator[str]:
    """The schemas that the page names, and those that these name in their turn."""
    waiting, done = list(seen), set()
    while waiting:
        name = waiting.pop(0)
        if name in done:
            continue
        done.add(name)
        yield name
        further: dict[str, None] = {}
        for described in schemas[name].get("properties", {"": schemas[name]}).values():
            _type(described, further)
        waiting = [*further, *waiting]


def _fields(schema: Schema, *, of_request: bool) -> str:
    rows = [
        [code(name), _type(field, {}), "yes" if name in schema.get("required", ()) else "", _meaning(field)]
        for name, field in schema.get("properties", {}).items()
    ]
    return markdown.table(["field", "type", "required" if of_request else "always there", "meaning"], rows)


def _type(schema: Schema, seen: dict[str, None]) -> str:
    """A schema in words; notes the named ones in `seen`."""
    words = "any JSON value"
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        seen[name] = None
        words = f"[{name}]({markdown.anchor(name)})"
    elif choices := schema.get("anyOf") or schema.get("oneOf"):
        *first, last = [_type(choice, seen) for choice in choices]
        words = f"{', '.join(first)} or {last}" if first else last
    elif "const" in schema:
        words = code(json.dumps(schema["const"]))
    elif "enum" in schema:
        words = "one of " + codes(schema["enum"])
    elif "prefixItems" in schema:
        words = "[" + ", ".join(_type(item, seen) for item in schema["prefixItems"]) + "]"
    elif "items" in schema:
        words = f"list of {_type(schema['items'], seen)}"
    elif isinstance(schema.get("additionalProperties"), Mapping):
        words = f"object of {_type(schema['additionalProperties'], seen)}"
    elif "type" in schema:
        words = schema["type"]
    return words


LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "matches `{}`",
}


def _meaning(field: Schema) -> str:
    """The description, the default and the limits."""
    branches = [field, *(choice for choice in field.get("anyOf", ()) if choice.get("type") != "null")]
    limits: dict[str, None] = {}
    if "prefixItems" not in field.get("items", {}):
        for branch in branches:
            for limit, words in LIMITS.items():
                if limit in branch:
                    value = branch[limit]
                    told = words.rstrip("s") if value == 1 else words
                    limits[told.format(int(value) if isinstance(value, float) else value)] = None
    facts = [f"default `{field['default']}`"] if field.get("default") is not None else []
    text = next((branch["description"] for branch in branches if "description" in branch), "")
    described = sentence(text)
    if facts or limits:
        more = ", ".join([*facts, *limits])
        described = f"{described} {more[0].upper()}{more[1:]}.".strip()
    return described
