"""The template parameters' page, from template.yaml."""

from collections.abc import Mapping
from typing import Any

from docs.generate import markdown
from docs.generate.markdown import code, codes, sentence
from docs.generate.problem import Undocumented
from local import template


def page() -> str:
    described = template.load()
    parameters: dict[str, Mapping[str, Any]] = dict(described["Parameters"])
    blocks = []
    for group in described["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]:
        rows = [_row(name, parameters.pop(name)) for name in group["Parameters"]]
        blocks += [
            f"## {group['Label']['default']}",
            markdown.table(["parameter", "meaning", "default", "allowed"], rows),
        ]
    if parameters:
        raise Undocumented(f"template.yaml has {', '.join(sorted(parameters))} in no group of parameters.")
    outputs = [[code(name), sentence(output["Description"])] for name, output in described["Outputs"].items()]
    return markdown.page(
        "Template parameters",
        "template.yaml",
        "`make deploy` asks for these and remembers the answers in samconfig.toml. [Deploy](../deploy.md) says how to "
        "choose.",
        *blocks,
        "## Outputs of the stack",
        markdown.table(["output", "what it is"], outputs),
    )


def _row(name: str, parameter: Mapping[str, Any]) -> list[str]:
    if not parameter.get("Description"):
        raise Undocumented(f"The parameter {name} of template.yaml needs a Description.")
    default = parameter.get("Default")
    shown = "none: it must be given" if default is None else "empty" if default == "" else code(default)
    return [code(name), sentence(parameter["Description"]), shown, _allowed(parameter)]


def _allowed(parameter: Mapping[str, Any]) -> str:
    if "AllowedValues" in parameter:
        return codes(parameter["AllowedValues"])
    if "ConstraintDescription" in parameter:
        return str(parameter["ConstraintDescription"])
    if "MaxValue" in parameter:
        return f"{parameter['MinValue']} to {parameter['MaxValue']}"
    return f"at least {parameter['MinValue']}" if "MinValue" in parameter else ""
