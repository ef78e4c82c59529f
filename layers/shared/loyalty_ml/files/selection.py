"""What is read of a file's columns: the ids, the features that are wanted, and what travels along."""

from collections.abc import Sequence
from typing import NamedTuple

from loyalty_ml.customers.table import DEFAULT_FEATURES, LIFETIME_TRANSACTION_COUNT
from loyalty_ml.errors import InvalidFile
from loyalty_ml.files.source import KEEP_ALL
from loyalty_ml.files.text.names import listed, meant, near, normal
from loyalty_ml.files.text.numbers import Decimals
from loyalty_ml.vocabulary import CUSTOMER_ID


class Selection(NamedTuple):
    """The columns of a file that are read.

    customer_id:   the column of the ids.
    features:      the names of the features that are read of the file; none if it has ids only.
    columns:       the column of each.
    known:         what counts as a feature, which a row of a file of ids only must not have.
    has_features:  whether the file has any of that, be it read or not.
    decimals:      how texts that are numbers are written.
    keep:          the columns that travel into the predictions, in the order in which they are written there.
    keeps_all:     whether that is all, those too that lines of JSON have and the first ones have not.
    taken:         what no column that is kept may be called, in lower case: the answer's own names.
    """

    customer_id: str
    features: tuple[str, ...]
    columns: tuple[str, ...]
    known: tuple[str, ...]
    has_features: bool
    decimals: Decimals = Decimals()
    keep: tuple[str, ...] = ()
    keeps_all: bool = False
    taken: frozenset[str] = frozenset()

    @property
    def read(self) -> tuple[str, ...]:
        """The columns whose content matters."""
        return (self.customer_id, *self.columns, *self.keep)


def select(columns: Sequence[str], wanted: Sequence[str], known: Sequence[str]) -> Selection:
    """What to read of a file with these columns: the features wanted, or none if it has ids only.

    LIFETIME_TRANSACTION_COUNT is read besides, if the file has it: it says that a customer has no purchase. Names are
    compared as `normal` has them.

    known: what counts as a feature. Raises InvalidFile if the file has some of what is wanted and not all, or a column
    that is nearly called like what is wanted: its values would be ignored, and the snapshot's answered.
    """
    found = meant(columns, dict.fromkeys((CUSTOMER_ID, *known, LIFETIME_TRANSACTION_COUNT)))
    has_features = any(name in found for name in known)
    others = {normal(name) for name in (*found.values(), *known, *DEFAULT_FEATURES, LIFETIME_TRANSACTION_COUNT)}
    unread = [column for column in columns if column and normal(column) not in others]
    missing = [name for name in wanted if name not in found]
    for name in missing:
        if column := near(unread, name, partly=has_features):
            raise InvalidFile(
                f"The file has a column {column!r}, but the model reads {name!r}: rename it, or remove it."
            )
    if not has_features:
        return Selection(found[CUSTOMER_ID], (), (), tuple(known), has_features)
    if missing:
        has = ", ".join(repr(found[name]) for name in known if name in found)
        raise InvalidFile(
            f"The file has the feature columns {has}, but not {', '.join(missing)}: add what is missing, or keep only "
            f"{CUSTOMER_ID}, so that the features come from the snapshot."
        )
    is_besides = LIFETIME_TRANSACTION_COUNT in found and LIFETIME_TRANSACTION_COUNT not in wanted
    features = (*wanted, *([LIFETIME_TRANSACTION_COUNT] if is_besides else []))
    return Selection(found[CUSTOMER_ID], features, tuple(found[name] for name in features), tuple(known), has_features)


def keeping(selection: Selection, columns: Sequence[str], keep: Sequence[str], answer: Sequence[str]) -> Selection:
    """The same, with columns that travel along.

    keep:    names, compared as `normal` has them, or KEEP_ALL for each column that has a name, but that of the ids.
    answer:  the names of the predictions' own columns.
    Raises InvalidFile for a column that the file has not, and for one that is called like one of the answer's.
    """
    if not keep:
        return selection
    keeps_all = KEEP_ALL in keep
    if keeps_all:
        kept = [name for name in columns if name and name != selection.customer_id]
    else:
        found = {name: column for each in keep for name, column in meant(columns, [each]).items()}
        if missing := [name for name in keep if name not in found]:
            raise InvalidFile(
                f"The file has no column {missing[0]!r} to keep: its columns are {listed(columns)}. Correct the name."
            )
        kept = list(dict.fromkeys(found[name] for name in keep))
    taken = frozenset(name.casefold() for name in answer)
    for name in kept:
        if problem := unkept(name, taken):
            raise InvalidFile(problem)
    return selection._replace(keep=tuple(kept), keeps_all=keeps_all, taken=taken)


def unkept(name: str, taken: frozenset[str]) -> str | None:
    """Why a column cannot be kept, if it cannot."""
    if name.casefold() not in taken:
        return None
    return f"The column {name!r} cannot be kept, because the answer has a column of that name: rename it."
