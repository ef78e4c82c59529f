"""Documents that are almost right: one that is valid, with some of its parts replaced, removed or repeated."""

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(["", "\0", "../..", "a" * 5000, "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "🙂"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)
"""Anything that JSON holds; what people and other programs write where something else belongs."""


@st.composite
def mutated(draw: st.DrawFn, document: Any, most: int = 3) -> Any:
    """The document with one to `most` changes, each anywhere in it."""
    changed = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, most))):
        places = list(_places(changed))
        if not places:
            return draw(json_values)
        holder, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(["replace", "remove", "add", "nest"])):
            case "replace":
                holder[key] = draw(json_values)
            case "remove":
                del holder[key]
            case "add" if isinstance(holder, dict):
                holder[draw(st.text(max_size=8))] = draw(json_values)
            case "add":
                holder.insert(key, copy.deepcopy(holder[key]))
            case "nest":
                holder[key] = [holder[key]]
    return changed


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in it: the dict or list that holds it, and the key or index there."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in list(inner):
        yield value, key
        yield from _places(each)
