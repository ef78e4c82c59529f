"""The modules of client/ that are written from code: an exception for each code of the API, the client to await."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from docs.generate import errors
from docs.generate.problem import Undocumented
from loyalty_ml.errors import LoyaltyError

HEAD = '''"""An exception for each code of the API. `make docs` writes it from loyalty_ml/errors.py: change that.

ServiceError
{tree}
"""

from collections.abc import Mapping
from typing import Final

from loyalty_client.errors import ServiceError
'''
WIDTH = 120
INTERNAL = "Internal"

SOURCE = Path(__file__).parents[2] / "client" / "src" / "loyalty_client" / "client.py"
TO_AWAIT = (
    (
        r'^""".*"""$',
        '"""The client `AsyncLoyalty`. `make docs` writes this module from client.py: change that."""',
    ),
    (r"\bclass Loyalty:", "class AsyncLoyalty:"),
    (r'"""A service\'s client\.$', '"""As Loyalty, on asyncio: every method is awaited.'),
    (r"httpx\.(Client|BaseTransport)", lambda found: f"httpx.Async{found[1]}"),
    ("Threads", "Tasks"),
    (r"^import weakref\n", ""),
    (r"^ +weakref\.finalize.*\n", ""),  # closing is awaited
    ("It is a context manager, too, and closes when it is not used any more.", "It is a context manager, too."),
    (r"def __(enter|exit)__", r"async def __a\1__"),
    (r"^    def (?!_)", "    async def "),
    (r"self\._client\.close\(\)", "await self._client.aclose()"),
    (r"self\.close\(\)", "await self.close()"),
    (r"self\.(_run|_predict)\(", r"await self.\1("),
    (r"def (_run|_predict)\(", r"async def \1("),
    (r"return self\._runner\.run", "return await self._runner.run"),
)
"""Patterns of lines of the one that waits, and what they are in the one that is awaited."""


def codes_module() -> str:
    blocks = [HEAD.format(tree="\n".join([*_tree(), f"└── {INTERNAL}  INTERNAL"]))]
    blocks += [_class(kind) for kind in _walk(LoyaltyError)]
    blocks.append(_block(INTERNAL, "ServiceError", " ".join(errors.A_BUG), "INTERNAL"))
    names = {kind.code: kind.__name__ for kind in errors.kinds()} | {"INTERNAL": INTERNAL}
    entries = "\n".join(f'    "{code}": {name},' for code, name in sorted(names.items()))
    blocks.append(f"BY_CODE: Final[Mapping[str, type[ServiceError]]] = {{\n{entries}\n}}\n")
    return "\n\n".join(blocks)


def async_client_module(source: str) -> str:
    """The source of `Loyalty` as that of `AsyncLoyalty`."""
    for pattern, text in TO_AWAIT:
        source, count = re.subn(pattern, text, source, flags=re.MULTILINE)
        if not count:
            raise Undocumented(f"client.py has no {pattern!r}, from which async_client.py is made.")
    return source


def _walk(parent: type[LoyaltyError]) -> Iterator[type[LoyaltyError]]:
    for kind in parent.__subclasses__():
        if kind.__module__ == LoyaltyError.__module__:
            yield kind
            yield from _walk(kind)


def _tree(parent: type[LoyaltyError] = LoyaltyError, indent: str = "") -> Iterator[str]:
    kinds = [kind for kind in parent.__subclasses__() if kind.__module__ == LoyaltyError.__module__]
    for kind in kinds:
        is_last = kind is kinds[-1] and parent is not LoyaltyError  # the last of all is INTERNAL
        code = f"  {kind.code}" if "code" in vars(kind) else ""
        yield f"{indent}{'└── ' if is_last else '├── '}{kind.__name__}{code}"
        yield from _tree(kind, indent + ("    " if is_last else "│   "))


def _class(kind: type[LoyaltyError]) -> str:
    parent = kind.__bases__[0]
    base = "ServiceError" if parent is LoyaltyError else parent.__name__
    if "code" in vars(kind):
        return _block(kind.__name__, base, " ".join(errors.explanation(kind)), kind.code)
    members = ", ".join(each.__name__ for each in _walk(kind))
    return _block(kind.__name__, base, f"One of {members}.", None)


def _block(name: str, base: str, text: str, code: str | None) -> str:
    """A class whose docstring has one line, or if that is too long, several and the quotes on a line of their own."""
    one = f'    """{text}"""'
    if len(one) > WIDTH:
        first = textwrap.wrap(f'"""{text}', WIDTH - 7)  # so that no text of one line is without room for its quotes
        one = "\n".join(f"    {line}" for line in [*first, '"""'])
    lines = [f"class {name}({base}):", one]
    if code is not None:
        lines += ["", f'    code = "{code}"']
    return "\n".join(lines) + "\n"
