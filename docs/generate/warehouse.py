"""warehouse.toml's page, from the models that check it."""

from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from docs.generate import markdown
from docs.generate.markdown import code, sentence
from docs.generate.problem import Undocumented
from training.config import Attribute, Config, Query, Tables

LIMITS = {Ge: ("ge", "at least"), Gt: ("gt", "over"), Le: ("le", "at most"), Lt: ("lt", "under")}


def page() -> str:
    blocks = []
    sections = list(_sections("", Config))
    heading = "An entry of [features] that is a table"
    sections.append((heading, sentence(Attribute.__doc__ or ""), Attribute, list(Attribute.model_fields.items())))
    for heading, note, model, fields in sections:
        rows = [
            [code(name), _type(field), _default(field), sentence(_description(model, name, field))]
            for name, field in fields
        ]
        blocks += [f"## {heading}", note, markdown.table(["key", "type", "default", "meaning"], rows)]
    return markdown.page(
        "warehouse.toml",
        "training/config.py",
        "It says where a warehouse keeps what, and how models are made from it. Copy "
        "[training/warehouse.toml](../../training/warehouse.toml), put your names in, and give it with `--config`. A "
        "key that you leave out has its default. An unknown key or a wrong value is refused by its name.",
        *blocks,
    )


def _sections(
    path: str, model: type[BaseModel]
) -> Iterator[tuple[str, str, type[BaseModel], list[tuple[str, FieldInfo]]]]:
    """Each table of the file: its heading, what it is, its model, and its keys but for tables of their own."""
    plain: list[tuple[str, FieldInfo]] = []
    tables: list[tuple[str, FieldInfo]] = []
    for name, field in model.model_fields.items():
        inner = _model(field)
        (tables if inner else plain).append((name, field))
    if plain:
        title = f"[{path}]" if path else "Keys of the file itself"
        yield title, sentence(model.__doc__ or "") if path else "", model, plain
    if model is Tables:
        yield "A query in place of a table", sentence(Query.__doc__ or ""), Query, list(Query.model_fields.items())
    for name, field in tables:
        inner = _model(field)
        assert inner
        inside = f"{path}.{name}" if path else name
        if get_origin(field.annotation) is tuple:
            yield f"[[{inside}]]", sentence(_description(model, name, field)), inner, list(inner.model_fields.items())
        elif get_origin(field.annotation) is dict:
            yield (
                f"[{inside}.NAME]",
                sentence(_description(model, name, field)),
                inner,
                list(inner.model_fields.items()),
            )
        else:
            yield from _sections(inside, inner)


def _model(field: FieldInfo) -> type[BaseModel] | None:
    candidates = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _description(model: type[BaseModel], name: str, field: FieldInfo) -> str:
    if not field.description:
        raise Undocumented(
            f"{model.__module__}.{model.__name__}.{name} needs a description: write one below the field."
        )
    return field.description


def _type(field: FieldInfo) -> str:
    if Query in _kinds(field.annotation):
        return "text or query"
    optional = type(None) in get_args(field.annotation)
    kind: Any = next((each for each in get_args(field.annotation) if each is not type(None)), None)
    plain: Any = kind if optional else field.annotation
    metadata = list(field.metadata)
    if get_origin(plain) is Annotated:  # of one that may be left out, its limits are inside
        plain, *more = get_args(plain)
        metadata += [limit for each in more if isinstance(each, FieldInfo) for limit in each.metadata]
    words = {str: "text", int: "whole number", float: "number", bool: "true or false"}.get(
        plain, "table" if get_origin(plain) is dict else "text"
    )
    limits = [
        f"{text} {getattr(limit, attribute)}"
        for limit in metadata
        for kind, (attribute, text) in LIMITS.items()
        if isinstance(limit, kind)
    ]
    return f"{words}, {' and '.join(limits)}" if limits else words


def _kinds(annotation: Any) -> set[Any]:
    """The annotation and all that it is made of."""
    return {annotation}.union(*map(_kinds, get_args(annotation)))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is None:
        return "none"
    if isinstance(field.default, bool):
        return code(str(field.default).lower())
    if isinstance(field.default, dict):
        return ", ".join(map(code, field.default))
    return code(field.default)
