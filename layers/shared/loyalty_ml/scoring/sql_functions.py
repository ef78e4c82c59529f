"""The functions that a warehouse's SQL has: their names, what each gives, and the value of each row of arguments.

A name is loyalty_{type}, loyalty_{type}_{part} or one of the two with _of_features_{signature}: what stands before the
type is the warehouse's own matter. Without a part the value is an object of all parts, as a row of a results file.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.customers.table import FeatureTable
from loyalty_ml.errors import CustomerNotFound, InvalidCustomerId, InvalidRequest, LoyaltyError
from loyalty_ml.models.store import ModelSet
from loyalty_ml.scoring.contracts import MAX_BATCH
from loyalty_ml.scoring.predictions import ReadFeatures
from loyalty_ml.scoring.scored import Scored, scoring
from loyalty_ml.scoring.scorers import Scorer, loaded_model, scorer_for
from loyalty_ml.vocabulary import MAX_ID_CHARACTERS, PREDICTION_TYPES, MockMode, PredictionType

ERROR = "error"
"""The part that says why a row has no other: a code and a sentence; null for a row that has an answer."""
Kind = Literal["number", "text", "object"]
PARTS: Mapping[PredictionType, Mapping[str, tuple[str, Kind]]] = {
    "churn": {"probability": ("churn_probability", "number"), "risk": ("churn_risk", "text")},
    "nbo": {"offer": ("offer_code", "text"), "confidence": ("confidence", "number")},
    "rfm": {"code": ("rfm_segment", "text"), "segment": ("segment", "text")},
}
"""By type and part, the column of a results file, and what it holds."""
SIGNATURE_CHARACTERS = 8
_NAME = re.compile(
    rf"(?:\w*_)?(?P<type>{'|'.join(PREDICTION_TYPES)})(?:_(?P<part>[a-z]+))??"
    rf"(?:_of_features_(?P<signature>[0-9a-f]{{{SIGNATURE_CHARACTERS}}}))?",
    re.ASCII,
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class SqlFunction:
    """type:      what is predicted.
    part:      what of it is given; None for all of it.
    signature: of the features that the arguments are, in order; None if the argument is a customer's id.
    """

    type: PredictionType
    part: str | None = None
    signature: str | None = None

    @property
    def name(self) -> str:
        of_features = f"_of_features_{self.signature}" if self.signature else ""
        return f"loyalty_{self.type}{f'_{self.part}' if self.part else ''}{of_features}"

    @property
    def kind(self) -> Kind:
        if self.part is None:
            return "object"
        return "text" if self.part == ERROR else PARTS[self.type][self.part][1]


def parse_name(name: str) -> SqlFunction:
    """The function that a warehouse calls by this name, its schema included. Raises InvalidRequest."""
    own = name.rpartition(".")[2].strip('"').lower()
    found = _NAME.fullmatch(own)
    if found:
        prediction_type = cast("PredictionType", found["type"])
        if found["part"] in (None, ERROR, *PARTS[prediction_type]):
            return SqlFunction(prediction_type, found["part"], found["signature"])
    raise InvalidRequest.of(name, "is no function of this service: create those that 'loyalty sql' prints")


def functions(signatures: Mapping[PredictionType, str]) -> Iterator[SqlFunction]:
    """All there are: of each type by id, and by features if it has a signature."""
    for prediction_type, parts in PARTS.items():
        by_features = [signatures[prediction_type]] if prediction_type in signatures else []
        for signature in (None, *by_features):
            for part in (None, *parts, ERROR):
                yield SqlFunction(prediction_type, part, signature)


def signature_of(features: Sequence[str]) -> str:
    """What changes if other features are read or in another order: values would be taken for one another."""
    return hashlib.sha256(",".join(features).encode()).hexdigest()[:SIGNATURE_CHARACTERS]


def values(
    function: SqlFunction,
    rows: Sequence[Row],
    models: ModelSet,
    read_features: ReadFeatures,
    mock_mode: MockMode,
    *,
    after_step: Callable[[], None] = lambda: None,
) -> list[Any]:
    """The value of each row, in order: None where there is none.

    after_step: is called after each read of customers. Raises InvalidRequest if a row has not as many arguments as the
    function, ModelUnavailable, and what `read_features` raises.
    """
    if function.signature is None:
        _check_arguments(rows, 1, "a customer's id")
        scorer = scorer_for(function.type, models, mock_mode)
        return _by_id(function, [row[0] for row in rows], scorer, read_features, after_step)
    if function.type != "rfm":
        loaded_model(function.type, models, mock_mode)
    scorer = scorer_for(function.type, models, "false")
    if function.signature != signature_of(scorer.features):
        raise InvalidRequest.of(
            function.name,
            f"was made for other features than the present model's, which are {', '.join(scorer.features)}: create the "
            "functions that 'loyalty sql' prints now",
        )
    _check_arguments(rows, len(scorer.features), ", ".join(scorer.features))
    return _by_features(function, rows, scorer)


def _check_arguments(rows: Sequence[Row], count: int, described: str) -> None:
    for place, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != count:
            given = f"{len(row)} arguments" if isinstance(row, list) else "no list of arguments"
            raise InvalidRequest.of(f"row {place}", f"has {given}, but the function takes {count}: {described}")


def _by_id(
    function: SqlFunction,
    arguments: Sequence[Any],
    scorer: Scorer,
    read_features: ReadFeatures,
    after_step: Callable[[], None],
) -> list[Any]:
    asked = [_customer_id(argument) for argument in arguments]
    ids = list(dict.fromkeys(each for each in asked if isinstance(each, str)))
    by_id: dict[str, Any] = {}
    for start in range(0, len(ids), MAX_BATCH):  # what one BatchGetItem reads
        table = read_features(ids[start : start + MAX_BATCH], scorer.features)

        def ids_of(rows: NDArray[np.intp], table: FeatureTable = table) -> list[str]:
            return [table.customer_ids[row] for row in rows.tolist()]

        scored = scoring([scorer], table.names)(table, ids_of)
        by_id |= zip(table.customer_ids, _shown(function, scorer, scored, len(table.values)), strict=True)
        after_step()
    return [_value(function, each, by_id) for each in asked]


def _value(function: SqlFunction, asked: str | LoyaltyError | None, by_id: Mapping[str, Any]) -> Any:
    if isinstance(asked, str):
        return by_id[asked]
    return _told(asked) if asked is not None and function.part == ERROR else None


def _customer_id(argument: Any) -> str | LoyaltyError | None:
    """The id, None for null, or what is wrong with it. A whole number is the text that it is written as."""
    if argument is None:
        return None
    if type(argument) is int:
        argument = str(argument)
    if not isinstance(argument, str):
        return InvalidCustomerId("is neither text nor a whole number: cast it to VARCHAR")
    if not argument:
        return InvalidCustomerId()
    try:
        argument.encode()
    except UnicodeEncodeError:  # a lone surrogate, which no store holds
        return CustomerNotFound()
    return argument if len(argument) <= MAX_ID_CHARACTERS else CustomerNotFound()


def _by_features(function: SqlFunction, rows: Sequence[Row], scorer: Scorer) -> list[Any]:
    shape = (len(rows), len(scorer.features))
    numbers = np.array([_number(argument) for row in rows for argument in row], np.float64).reshape(shape)
    absent = np.array([argument is None for row in rows for argument in row], np.bool_).reshape(shape)
    table = FeatureTable((), tuple(scorer.features), numbers, absent=absent, found=None, as_of=None)
    scored = scoring([scorer], table.names)(table, lambda _: ())  # an offer is explored on a customer, who has an id
    return _shown(function, scorer, scored, len(rows))


def _number(argument: Any) -> float:
    """A number, also one that is written as text, as warehouses send decimals; NaN for anything else."""
    if type(argument) is int or type(argument) is float:
        try:
            return float(argument)
        except OverflowError:
            return np.inf if argument > 0 else -np.inf
    return float(argument) if isinstance(argument, str) and _NUMBER.fullmatch(argument) else np.nan


def _shown(function: SqlFunction, scorer: Scorer, scored: Scored, rows: int) -> list[Any]:
    """The value of each of a table's rows."""
    answered = range(rows) if scored.answered is None else np.flatnonzero(scored.answered).tolist()
    shown: list[Any] = [None] * rows
    if function.part == ERROR:
        for row in set(range(rows)).difference(answered):
            shown[row] = _told(scored.problem(row))
        return shown
    if not len(answered):
        return shown
    columns = {
        column.name: [column.texts[place] for place in column.values.tolist()]
        if column.texts is not None
        else column.values.tolist()
        for column in scorer.answers.columns(scored.scores[0])
    }
    if scorer.is_mock:
        columns["mock"] = [True] * len(answered)
    if function.part is None:
        found: Sequence[Any] = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    else:
        found = columns[PARTS[function.type][function.part][0]]
    for row, value in zip(answered, found, strict=True):
        shown[row] = value
    return shown


def _told(problem: LoyaltyError) -> str:
    return f"{problem.code}: {problem.message}"
