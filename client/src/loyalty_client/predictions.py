"""Customers' predictions: a list split into requests, run side by side, and put together again in its order."""

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from loyalty_client import errors
from loyalty_client.answers import AllAnswer, SingleAnswer
from loyalty_client.calls import Calls
from loyalty_client.codes import InvalidRequest, NoBaseline, UnknownType
from loyalty_client.reading import field, fields_of
from loyalty_client.rows import Predictions, Row
from loyalty_client.steps import Plan, Request, SideBySide

MAX_BATCH = 100
"""What a request holds at most."""
Done = Callable[[int], None]
"""Told how many customers more are done."""

_HOPELESS = (
    errors.Unauthorized,
    errors.Forbidden,
    errors.NotTheService,
    errors.NoToken,
    errors.OldServer,
    UnknownType,
    NoBaseline,
)
"""What the next request is answered with, too: it is not sent."""
_NAMED_ID = re.compile(r"customer_ids\.(\d{1,9})", re.ASCII)


def texts(customer_ids: Iterable[Any]) -> list[str]:
    """Ids as texts. Raises TypeError for what is no id, which it names: nothing is guessed of 1.0 or None.

    Raises ValueError for a text that no request can hold, as bytes that are no UTF-8 become.
    """
    if isinstance(customer_ids, str | bytes | Mapping) or not isinstance(customer_ids, Iterable):
        raise TypeError(f"Customer ids are given as a list of texts or whole numbers, not as {customer_ids!r}.")
    if hasattr(customer_ids, "columns"):  # which would be the names of its columns, or columns
        raise TypeError(f"Customer ids are one column: give that of the {type(customer_ids).__name__}, not all of it.")
    found = []
    for place, given in enumerate(customer_ids):
        if isinstance(given, str):
            if not given.isascii() and given.encode("utf-8", "replace").decode() != given:
                raise ValueError(f"The customer id at position {place}, {given!r}, is no valid Unicode: correct it.")
            found.append(str(given))  # NumPy's texts, too
        elif hasattr(given, "__index__") and not isinstance(given, bool):  # NumPy's whole numbers, too
            found.append(str(operator.index(given)))
        else:
            raise TypeError(f"The customer id at position {place} is {given!r}: give a text or a whole number.")
    return found


def numbers(overrides: Mapping[str, Any]) -> dict[str, float]:
    """Features' values as JSON has them. Raises TypeError for what is no number, and ValueError for none at all."""
    if not isinstance(overrides, Mapping) or not all(isinstance(name, str) for name in overrides):
        raise TypeError(f"Overrides are given as a dictionary of numbers by feature, not as {overrides!r}.")
    if not overrides:
        raise ValueError("There is no override: give one feature and its value, or predict.")
    found = {}
    for name, given in overrides.items():
        if not isinstance(given, Real) or isinstance(given, bool):  # NumPy's numbers are real ones, too
            raise TypeError(f"The override of {name!r} is {given!r}: give a number.")
        try:
            found[name] = float(given)
        except OverflowError:
            found[name] = math.inf
        if not math.isfinite(found[name]):
            raise ValueError(f"The override of {name!r} is no finite number: give one within the feature's domain.")
    return found


@dataclass(slots=True)
class _Batch:
    """What became of one request's customers."""

    rows: list[Row]
    answers: list[dict[str, Any]]
    error: errors.LoyaltyError | None = None


@dataclass(slots=True)
class _Question:
    """What all requests of one list have, and know of each other.

    options:  fields of each request besides the ids and the type.
    hopeless: what each further request would be answered with, too.
    """

    calls: Calls
    type: str
    done: Done
    options: Mapping[str, Any]
    hopeless: errors.LoyaltyError | None = None


def predict(
    calls: Calls,
    prediction_type: str,
    customer_ids: Sequence[str],
    done: Done,
    options: Mapping[str, Any],
) -> Plan[Predictions]:
    """The rows of all customers in order. Raises a LoyaltyError if no request at all was answered."""
    question = _Question(calls, prediction_type, done, options)
    parts = [customer_ids[start : start + MAX_BATCH] for start in range(0, len(customer_ids), MAX_BATCH)]
    batches: list[_Batch] = yield SideBySide([_predict_batch(question, part) for part in parts])
    failures = [batch.error for batch in batches if batch.error is not None]
    if failures and len(failures) == len(batches):
        raise failures[0]
    return Predictions(
        (row for batch in batches for row in batch.rows),
        prediction_type=prediction_type,
        answers=[answer for batch in batches for answer in batch.answers],
        unanswered=[row["customer_id"] for batch in batches if batch.error is not None for row in batch.rows],
        causes=failures,
    )


def what_if(
    calls: Calls, prediction_type: str, customer_id: str, overrides: Mapping[str, float]
) -> Plan[SingleAnswer | AllAnswer]:
    """The answer of one customer. Raises that customer's error."""
    body = {"customer_id": customer_id, "type": prediction_type, "overrides": overrides}
    answer: SingleAnswer | AllAnswer
    answer = yield from calls.answer(Request("POST", "/ml/predict", json=body, newer=("overrides",)))
    return answer


def _predict_batch(question: _Question, ids: Sequence[str]) -> Plan[_Batch]:
    batch = _Batch([], [])
    try:
        if question.hopeless is not None:
            raise question.hopeless
        batch.rows = yield from _ask(question, ids, batch.answers)
    except errors.LoyaltyError as error:
        if isinstance(error, _HOPELESS):
            question.hopeless = error
        batch.error = error
        batch.rows = [_failure(each, error.code or type(error).__name__, str(error)) for each in ids]
    question.done(len(ids))
    return batch


def _ask(question: _Question, ids: Sequence[str], answers: list[dict[str, Any]]) -> Plan[list[Row]]:
    """A row for each id. Ids that the service refuses by their places are asked for no more, and fail alone."""
    refused: dict[int, str] = {}
    while True:
        asked = [place for place in range(len(ids)) if place not in refused]
        if not asked:
            answered: list[Row] = []
            break
        body = {"customer_ids": [ids[place] for place in asked], "type": question.type, **question.options}
        try:
            answer = yield from question.calls.answer(
                Request("POST", "/ml/predict/batch", json=body, newer=question.options)
            )
        except InvalidRequest as error:
            named = _named_ids(error)
            if not named or not all(place < len(asked) for place in named):
                raise
            refused |= {asked[place]: problem for place, problem in named.items()}
            continue
        answers.append(answer)
        answered = _rows_of(answer, body["customer_ids"])
        break
    rows = iter(answered)
    return [
        _failure(ids[place], InvalidRequest.code, f"The customer's id {refused[place]}.")
        if place in refused
        else next(rows)
        for place in range(len(ids))
    ]


def _named_ids(error: InvalidRequest) -> dict[int, str]:
    """The problem of each id by its place, if the request has no other problem; else nothing."""
    found: dict[int, str] = {}
    for name, problem in fields_of(error):
        match = _NAMED_ID.fullmatch(name)
        if match is None:
            return {}
        found[int(match[1])] = problem
    return found


def _rows_of(answer: Mapping[str, Any], ids: Sequence[str]) -> list[Row]:
    _check_what_answered(answer)
    rows = {}
    for entry in field(answer, "results", list):
        customer_id = field(entry, "customer_id", str)
        if "results" in entry:
            found = field(entry, "results", dict)
            by_type = {name: field(found, name, dict) for name in found}
            by_type |= {"customer_id": customer_id, "errors": _failures(entry)}
            rows[customer_id] = {"customer_id": customer_id, **by_type}
        else:
            found = {"customer_id": customer_id, **field(entry, "result", dict)}
            rows[customer_id] = {**found, "customer_id": customer_id}
    for entry in field(answer, "errors", list):
        customer_id = field(entry, "customer_id", str)
        rows[customer_id] = _failure(customer_id, field(entry, "code", str), field(entry, "error", str))
        if "errors" in entry:
            rows[customer_id]["errors"] = _failures(entry)
    if lost := [each for each in ids if each not in rows]:
        raise errors.HalfAnswer(
            f"The answer says nothing of {len(lost)} of {len(ids)} customers, such as {lost[0]!r}: try again."
        )
    return [dict(rows[each]) for each in ids]


def _check_what_answered(answer: Mapping[str, Any]) -> None:
    """What is told of the rows as a whole, if it is there. Raises InvalidAnswer."""
    for name, kind in (("model", dict), ("models", dict), ("features_as_of", str)):
        if answer.get(name) is not None:
            field(answer, name, kind)
    models = answer.get("models") or ({"model": answer["model"]} if answer.get("model") else {})
    for name in models:
        for known in field(models, name, dict).keys() & {"name", "version"}:
            field(models[name], known, str)


def _failures(entry: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The code and the sentence of each type that has no answer."""
    failures = field(entry, "errors", dict)
    for name in failures:
        failure = field(failures, name, dict)
        field(failure, "code", str)
        field(failure, "error", str)
    return {name: dict(failure) for name, failure in failures.items()}


def _failure(customer_id: str, code: str, sentence: str) -> Row:
    return {"customer_id": customer_id, "code": code, "error": sentence}
