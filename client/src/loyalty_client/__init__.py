"""Answers of a Loyalty ML service: for some customers, a segment, or a file.

>>> from loyalty_client import Loyalty
>>> Loyalty("http://127.0.0.1:8000").predict("churn", ["1", "2"])  # doctest: +SKIP
[{'customer_id': '1', 'churn_probability': 0.1097012385725975, 'churn_risk': 'low'}, ...]

`loyalty_client.errors` has what can go wrong, and `loyalty_client.codes` an exception for each code of the API.
`loyalty_client.answers` has the types of what the other methods give.
"""

from loyalty_client import answers, codes, errors
from loyalty_client.async_client import AsyncLoyalty
from loyalty_client.auth import ClientCredentials, Token
from loyalty_client.calls import Retries
from loyalty_client.client import Loyalty
from loyalty_client.errors import LoyaltyError
from loyalty_client.jobs import ScoredFile
from loyalty_client.rows import Predictions, Row, UnansweredWarning

__all__ = [
    "AsyncLoyalty",
    "ClientCredentials",
    "Loyalty",
    "LoyaltyError",
    "Predictions",
    "Retries",
    "Row",
    "ScoredFile",
    "Token",
    "UnansweredWarning",
    "answers",
    "codes",
    "errors",
]
