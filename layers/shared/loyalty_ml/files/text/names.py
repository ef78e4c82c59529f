"""Names of columns as people write them: which column is meant, which is nearly meant, and which a message may show."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Sequence

from loyalty_ml.errors import InvalidFile
from loyalty_ml.vocabulary import CUSTOMER_ID

_NAMES_SHOWN = 20
_NAME_SHOWN = 100

_SEPARATORS = {"Zs", "Zl", "Zp", "Cc", "Cf", "Pd", "Pc"}
"""Unicode's categories of blanks, controls, invisible characters (a byte order mark), hyphens and underscores."""

_ALIKE = 0.83
"""How alike two names are that a typing error tells apart, as difflib has it: revenues is 0.93 like revenue."""

_VALUE = re.compile(
    r"""
    .*@.*                       # an e-mail address
    | [+(\d\-].*                # a number, a telephone number, a date
    | .*\d.*\d.*\d.*            # an id such as K4711 or a1b2c3, a postal code, a date in a text
    | [^\W\d_]{1,4}-\d+         # an id such as c-12
    | .*:.*                     # a time, a web address
    """,
    re.VERBOSE | re.DOTALL,
)


def normal(name: str) -> str:
    """The name without case, blanks, hyphens, underscores, dots and what cannot be seen."""
    text = unicodedata.normalize("NFKC", name)
    return "".join(each for each in text if each != "." and unicodedata.category(each) not in _SEPARATORS).casefold()


def meant(columns: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """By name, the column that is meant by it: of the same spelling, or else of the same normal form.

    Raises InvalidFile if two columns are meant by one name, and neither is spelt like it.
    """
    spelt: dict[str, list[str]] = {}
    for column in columns:
        spelt.setdefault(normal(column), []).append(column)
    found = {}
    for name in names:
        alike = spelt.get(normal(name), ())
        if name in alike:
            found[name] = name
        elif len(alike) > 1:
            raise InvalidFile(f"The file has the columns {listed(alike)}, which both mean {name}: keep one of them.")
        elif alike:
            found[name] = alike[0]
    # Two names of one normal form are told apart by their spelling alone.
    taken = [column for name, column in found.items() if name == column]
    return {name: column for name, column in found.items() if name == column or column not in taken}


def near(columns: Iterable[str], name: str, *, partly: bool) -> str | None:
    """The column that was most likely meant to be called so, if one is: a typing error away.

    partly: also one that has the whole name among others of its words, as "Total Revenue" has revenue.
    """
    by_form = {normal(column): column for column in columns}
    for alike in difflib.get_close_matches(normal(name), by_form, n=1, cutoff=_ALIKE):
        return by_form[alike]
    for form, column in by_form.items() if partly else ():
        if form.startswith(normal(name)) or form.endswith(normal(name)):
            return column
    return None


def listed(names: Sequence[str]) -> str:
    """Names as a sentence lists them: the first ones, and how many more there are. Those of a file with a header."""
    names = [name for name in names if name]
    more = f" and {len(names) - _NAMES_SHOWN:,} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(repr(name[:_NAME_SHOWN]) for name in names[:_NAMES_SHOWN]) + more


def shown(names: Sequence[str]) -> str:
    """The same of what may be no names: the first line of a file without a header is a customer.

    Empty if one looks like a value.
    """
    return "" if any(_VALUE.fullmatch(name) for name in names) else listed(names)


def without_ids(columns: Sequence[str], remedy: str) -> str:
    """As `without` says of a file that has no customer_id; the remedy is left out if no names are shown."""
    return f"{without(CUSTOMER_ID, columns)}{f'. {remedy}' if shown(columns) else ''}"


def without(name: str, columns: Sequence[str]) -> str:
    """What a sentence says of a file that has these columns, and none of that name."""
    if not columns:
        return f"no column {name}, nor any other"
    if named := shown(columns):
        return f"no column {name}: its columns are {named}"
    return f"no column {name}, but what looks like values: write the names of the columns into the first line"
