"""The rows of a prediction, and frames of them."""

import importlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from loyalty_client.errors import LoyaltyError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

Row = dict[str, Any]
"""A customer's `customer_id` and the fields of its result; or of a customer without an answer its `code` and `error`.

Of the type "all": `customer_id`, the result of each type by its name, and `errors` by the name of each other type.
If it was explained, a result has `explained` and `reasons`, too.
"""


class UnansweredWarning(UserWarning):
    """Some requests failed for good, so that their customers have no answer."""


class Predictions(list[Row]):
    """A list of rows, one for each customer that was asked for, in order.

    type:        what was asked for.
    models:      the versions that answered, each once; more than one if another became active meanwhile.
    features_as_of: the oldest moment that the answers' features describe (RFC 3339); None of no customer.
    mock:        whether an answer is mock data.
    unanswered:  the ids of customers whose requests failed for good; their rows have that error.
    causes:      the exceptions of those requests.
    """

    def __init__(
        self,
        rows: Iterable[Row],
        *,
        prediction_type: str,
        answers: Sequence[Mapping[str, Any]] = (),
        unanswered: Sequence[str] = (),
        causes: Sequence[LoyaltyError] = (),
    ) -> None:
        super().__init__(rows)
        self.type = prediction_type
        self.models = _models(answers)
        self.features_as_of = min((at for answer in answers if (at := answer.get("features_as_of"))), default=None)
        self.mock = any(answer.get("mock") for answer in answers)
        self.unanswered = list(unanswered)
        self.causes = list(causes)

    @property
    def failed(self) -> list[Row]:
        """The rows without any answer."""
        return [row for row in self if "code" in row]

    def warn(self, stacklevel: int) -> None:
        """Warns of customers whose requests failed."""
        if self.unanswered:
            shown = ", ".join(self.unanswered[:5])
            more = f" and {len(self.unanswered) - 5:,} more" if len(self.unanswered) > 5 else ""
            warnings.warn(
                f"There is no answer for {len(self.unanswered):,} of {len(self):,} customers, because their requests "
                f"failed ({self.causes[0]}): {shown}{more}. `unanswered` has them all: predict these again.",
                UnansweredWarning,
                stacklevel=stacklevel + 1,
            )

    def to_pandas(self) -> "pd.DataFrame":
        """A row for each customer, a column for each field; of "all", the fields of the three types side by side, and
        what each has of its own by its name: `churn_reasons`.

        Whole numbers are Int64, so that a customer without an answer makes no fractions of them. Raises
        ModuleNotFoundError without pandas.
        """
        pd = _extra("pandas")
        columns = {}
        for name, values in self._columns().items():
            is_whole = any(type(value) is int for value in values) and all(
                value is None or type(value) is int for value in values
            )
            columns[name] = pd.Series(values, dtype="Int64") if is_whole else pd.Series(values)
        return pd.DataFrame(columns)

    def to_polars(self) -> "pl.DataFrame":
        """As to_pandas, of Polars."""
        pl = _extra("polars")
        columns = self._columns()
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        # All rows say what a column is: of the first ones alone, a field that comes later would be lost.
        return pl.DataFrame(rows, schema=None if rows else list(columns), infer_schema_length=None)

    def _columns(self) -> dict[str, list[Any]]:
        flat = [_flat(row) for row in self] if self.type == "all" else list(self)
        names = dict.fromkeys(["customer_id", *(name for row in flat for name in row if name not in _ERROR)])
        if any(_ERROR[0] in row for row in flat):
            names |= dict.fromkeys(_ERROR)
        return {name: _uniform([row.get(name) for row in flat]) for name in names}


def _extra(name: Literal["pandas", "polars"]) -> Any:
    """Neither is needed but for its frames."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:  # it is there, and broken
            raise
        raise ModuleNotFoundError(f"{name} is not installed: pip install {name}.", name=name) from error


_ERROR = ("code", "error")
_OF_EACH_TYPE = ("explained", "reasons")
"""Fields that the three types have, each its own: in a frame of "all", churn_reasons, nbo_reasons and rfm_reasons."""


def _flat(row: Row) -> Row:
    """A row of "all" without levels. The first type without an answer gives the code and the error."""
    flat: Row = {"customer_id": row["customer_id"]}
    for name, value in row.items():
        if isinstance(value, dict) and name != "errors":
            flat |= {f"{name}_{key}" if key in _OF_EACH_TYPE else key: inner for key, inner in value.items()}
    failure = row if "code" in row else next(iter(row.get("errors", {}).values()), None)
    if failure:
        flat |= {"code": failure["code"], "error": failure["error"]}
    return flat


def _uniform(values: list[Any]) -> list[Any]:
    """The values of a column, or of a field in it, as one type, because JSON has 1 for 1.0 and leaves fields out."""
    present = [value for value in values if value is not None]
    kinds = {type(value) for value in present}
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in values]
    if kinds == {dict}:
        names = dict.fromkeys(name for value in present for name in value)
        fields = {name: iter(_uniform([value.get(name) for value in present])) for name in names}
        return [None if value is None else {name: next(fields[name]) for name in names} for value in values]
    if kinds == {list}:
        items = iter(_uniform([item for value in present for item in value]))
        return [None if value is None else [next(items) for _ in value] for value in values]
    return values


def _models(answers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found: dict[tuple[Any, Any], dict[str, Any]] = {}
    for answer in answers:
        for model in (answer.get("models") or {"": answer.get("model")}).values():
            if model:
                found.setdefault((model.get("name"), model.get("version")), model)
    return list(found.values())
