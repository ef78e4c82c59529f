"""Schemas and operations as generators of clients want them: whole bodies, moments, names, tags, examples, patterns."""

import json
import re
from pathlib import Path
from typing import Any

from loyalty_ml.segments.definition import SEGMENT_ID_PATTERN

EXAMPLES = Path(__file__).parent.parent / "docs" / "generate" / "examples"
"""Which the tests of the documents run: the body of an example is one that is answered."""

MOMENTS = {"as_of", "created", "end", "expires", "features_as_of", "since", "start", "updated"}
"""Fields that are a moment wherever they are a text."""

PATTERNS = {
    "segment_id": f"^{SEGMENT_ID_PATTERN}$",
    "job_id": "^[0-9a-f]{32}$",
    "name": "^[a-z][a-z0-9_]{0,40}$",
    "version": "^[0-9A-Za-z][0-9A-Za-z._-]{0,80}$",
}
"""Of what stands in a path. Whatever else stands there is 404."""

NAMES = {
    "admin": "get_page",
    "description": "get_description",
    "health": "get_health",
    "infer": "infer_model",
    "infer_version": "infer_model_version",
    "job": "get_job",
    "model_card": "get_model_card",
    "predict": "predict_customer",
    "promote": "promote_models",
    "rollback": "roll_back_models",
    "segment_stats": "get_segment_statistics",
    "status": "get_status",
}
"""Operations whose name in a client is not that of their function."""

TAGS = {
    "/ml/jobs": ("Jobs", "What takes longer than a request: files, datasets, segments"),
    "/ml": ("Predictions", "One customer, or up to a hundred"),
    "/config/ml/test": ("Predictions", "One customer, or up to a hundred"),
    "/segments": ("Segments", "Definitions, predictions for every member, statistics and drift"),
    "/models": ("Models", "What is in the model bucket, what is active, and how that is changed"),
    "/sql": ("SQL", "What a warehouse calls for its queries"),
    "/v2": ("Inference", "The Open Inference Protocol, version 2: raw features, for clients that speak it"),
    "": ("Service", "What is loaded, the page, this description"),
}
"""Tag and meaning by the beginning of a path, the first that fits."""


_WITH = "x-with"


def with_whole_bodies(schemas: dict[str, Any]) -> dict[str, Any]:
    """The same schemas, in which an object of several forms is a choice of whole objects.

    pydantic says `oneOf: [{required: [a]}, {required: [b], x-with: [c]}]` beside the properties, of which no generator
    makes a type. `x-with` names what only some forms may have.
    """
    made: dict[str, Any] = {}
    for name, schema in schemas.items():
        forms = schema.get("oneOf", [])
        if "properties" not in schema or not all(form.keys() <= {"required", _WITH} for form in forms) or not forms:
            made[name] = schema
            continue
        alternatives = {field for form in forms for field in [*form["required"], *form.get(_WITH, [])]}
        references = []
        for form in forms:
            title = name + "By" + "".join(part.title() for field in form["required"] for part in field.split("_"))
            made[title] = {
                **{key: value for key, value in schema.items() if key not in ("oneOf", "properties", "required")},
                "title": title,
                "properties": {
                    field: _not_null(described) if field in form["required"] else described
                    for field, described in schema["properties"].items()
                    if field not in alternatives or field in [*form["required"], *form.get(_WITH, [])]
                },
                "required": [*schema.get("required", []), *form["required"]],
            }
            references.append({"$ref": f"#/components/schemas/{title}"})
        made[name] = {"title": name, "description": schema.get("description", ""), "oneOf": references}
    return made


def _not_null(described: dict[str, Any]) -> dict[str, Any]:
    rest = [each for each in described.get("anyOf", []) if each != {"type": "null"}]
    kept = {key: value for key, value in described.items() if key not in ("anyOf", "default")}
    if len(rest) == 1:
        return {**rest[0], **kept}
    return {**kept, "anyOf": rest} if rest else kept


def mark_moments(schemas: dict[str, Any]) -> None:
    for schema in schemas.values():
        for name, described in schema.get("properties", {}).items():
            if name in MOMENTS:
                for each in [described, *described.get("anyOf", [])]:
                    if each.get("type") == "string":
                        each["format"] = "date-time"


def type_job_answers(schemas: dict[str, Any]) -> None:
    """A job's answer is one of a segment's, whose room the jobs' does not know."""
    answer = schemas["JobAnswer"]["properties"]["answer"]
    kinds = ("SegmentAnswer", "SegmentAllAnswer", "SegmentStatsAnswer")
    schemas["JobAnswer"]["properties"]["answer"] = {
        "title": answer["title"],
        "description": answer["description"],
        "anyOf": [{"$ref": f"#/components/schemas/{kind}"} for kind in kinds],
    }


def name_operation(method: str, path: str, operation: dict[str, Any]) -> None:
    """Its id, tag, answers' name, patterns and example."""
    generated = re.sub(r"\W", "_", path) + f"_{method}"
    function = operation["operationId"].removesuffix(generated)
    operation["operationId"] = NAMES.get(function, function)
    operation["tags"] = [tag_of(path)]
    for response in operation["responses"].values():
        for content in response.get("content", {}).values():
            if content.get("schema", {}).get("title") == "Return":  # FastAPI's of several answers: a class in Java
                words = operation["operationId"].split("_")
                content["schema"]["title"] = "".join(word.title() for word in words) + "Answer"
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path" and parameter["name"] in PATTERNS:
            parameter["schema"]["pattern"] = PATTERNS[parameter["name"]]
    if "requestBody" in operation:
        operation["requestBody"]["content"]["application/json"]["example"] = _example(method, path)


def tag_of(path: str) -> str:
    return next(tag for prefix, (tag, _) in TAGS.items() if path.startswith(prefix))


def _example(method: str, path: str) -> Any:
    """The body of the operation's example in the documents."""
    plain = re.sub(r"[{}]", "", path.strip("/")).replace("/", "-").replace("_", "-")
    text = (EXAMPLES / f"{method}-{plain}.md").read_text()
    for line in text.splitlines():
        found = re.search(r" -d '(.+?)'", line)
        asks = (method == "post" and "-X" not in line) or f"-X {method.upper()}" in line
        if found and asks:
            return json.loads(found[1])
    raise ValueError(f"{method}-{plain}.md shows no request with a body: write one.")
