"""The configuration's page: the variables that the functions read, from their settings models and the template."""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from docs.generate import markdown
from docs.generate.markdown import code, codes, sentence
from docs.generate.problem import Undocumented
from local import template
from loyalty_ml.wiring import settings

SETTINGS: Mapping[str, type[BaseModel]] = {
    "predict": settings.PredictSettings,
    "batch": settings.BatchSettings,
    "segment": settings.SegmentSettings,
    "segment_worker": settings.SegmentWorkerSettings,
    "files": settings.FilesSettings,
    "admin": settings.AdminSettings,
}
"""Each function's settings model: a new function is one more entry."""

OF_LIBRARIES = {
    "POWERTOOLS_SERVICE_NAME": "The name of the service in logs, metrics and traces.",
    "POWERTOOLS_METRICS_NAMESPACE": "The CloudWatch namespace of the metrics.",
    "POWERTOOLS_LOG_LEVEL": "The least severe message to log.",
}
"""What Powertools reads, so that no settings model has it."""


def page() -> str:
    variables = _variables(template.load())
    readers: dict[str, list[str]] = {}
    fields: dict[str, FieldInfo] = {}
    for function, model in SETTINGS.items():
        for name, field in model.model_fields.items():
            if not field.description:
                raise Undocumented(f"{model.__name__}.{name} needs a description: give its Field one.")
            variable = field.alias or name
            readers.setdefault(variable, []).append(function)
            fields[variable] = field
    rows = []
    for variable, field in fields.items():
        choices = f" One of {codes(get_args(field.annotation))}." if get_args(field.annotation) else ""
        rows.append(
            [
                code(variable),
                "every function" if len(readers[variable]) == len(SETTINGS) else ", ".join(readers[variable]),
                sentence(field.description or "") + choices,
                "required" if field.is_required() else code(field.default),
                variables.pop(variable, "not set"),
            ]
        )
    for variable, meaning in OF_LIBRARIES.items():
        rows.append([code(variable), "Powertools", meaning, "required", variables.pop(variable, "not set")])
    if variables:
        raise Undocumented(f"template.yaml sets {', '.join(sorted(variables))}, which no settings model reads.")
    return markdown.page(
        "Configuration",
        "the settings models in loyalty_ml/wiring and template.yaml",
        "The functions read these environment variables once, when they start, each its own. template.yaml sets them, "
        "so a deployment needs none by hand: choose values by [template parameters](parameters.md). `make run` sets "
        "the same ones.",
        markdown.table(["variable", "read by", "meaning", "default", "template.yaml sets it to"], rows),
        "A function that lacks a required variable answers each request with 500 `INTERNAL`; its log names the "
        "variable.",
    )


def _variables(described: Mapping[str, Any]) -> dict[str, str]:
    """What the template sets, in words: of all functions and of single ones."""
    places = [
        described["Globals"]["Function"],
        *(resource.get("Properties", {}) for resource in described["Resources"].values()),
    ]
    return {
        name: _in_words(value)
        for place in places
        for name, value in place.get("Environment", {}).get("Variables", {}).items()
    }


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        ((function, argument),) = value.items()
        return f"{function.removeprefix('Fn::')} {code(argument)}"
    return code(value)
