"""Markdown as GitHub renders it."""

from collections.abc import Sequence


def page(title: str, source: str, *blocks: str) -> str:
    """A page with its title, blocks apart by a blank line; `source` says what to change instead of the page."""
    note = f"<!-- `make docs` writes this page from {source}. Change that, then run it. -->"
    return "\n\n".join([note, f"# {title}", *(block for block in blocks if block)]) + "\n"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table without the columns in which no row has anything."""
    kept = [place for place, name in enumerate(header) if any(row[place] for row in rows) or place == 0]
    lines = [[header[place] for place in kept], ["---"] * len(kept), *([row[place] for place in kept] for row in rows)]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def code(value: object) -> str:
    """A value as code."""
    return f"`{value}`"


def codes(values: Sequence[object]) -> str:
    return ", ".join(map(code, values))


def sentence(text: str) -> str:
    """One line of text, with a full stop."""
    line = " ".join(text.split())
    return line if not line or line[-1] in ".:" or line.endswith("```") else f"{line}."


def anchor(heading: str) -> str:
    """Where GitHub puts a heading."""
    kept = "".join(letter for letter in heading.lower() if letter.isalnum() or letter in " -_")
    return "#" + kept.replace(" ", "-")


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
