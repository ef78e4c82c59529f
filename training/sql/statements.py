"""The statements for each warehouse, from what is deployed."""

from collections.abc import Iterator, Mapping

from loyalty_ml.api.http import MAX_ANSWER_BYTES
from loyalty_ml.api.sql import MAX_SQL_ROWS
from loyalty_ml.scoring.sql_functions import ERROR, Kind, SqlFunction, functions, signature_of
from loyalty_ml.vocabulary import PREDICTION_TYPES
from training.sql.deployed import Deployed

MOST_REDSHIFT_ARGUMENTS = 32
REDSHIFT_BATCH = "4 MB"
"""Of arguments. Redshift's own bound is 5 MB; Lambda takes 6 MB, and in JSON the rows have grown."""
REDSHIFT_RETRY_MILLISECONDS = 20_000
ARGUMENT_BYTES = 26
"""The longest that a float64 is, with its comma."""
_REDSHIFT_TYPES: Mapping[Kind, str] = {
    "number": "DOUBLE PRECISION",
    "text": "VARCHAR(1024)",
    "object": "VARCHAR(65535)",
}
_SNOWFLAKE_TYPES: Mapping[Kind, str] = {"number": "FLOAT", "text": "VARCHAR", "object": "VARIANT"}


def max_batch_rows(function: SqlFunction, deployed: Deployed) -> int:
    """As many rows as one call may have, its answer within what Lambda sends, and by features its arguments too."""
    rows = min(MAX_SQL_ROWS, MAX_ANSWER_BYTES // value_bytes(function, deployed))
    if function.signature:
        rows = min(rows, MAX_ANSWER_BYTES // (16 + ARGUMENT_BYTES * len(deployed.features[function.type])))
    return max(1, rows)


def value_bytes(function: SqlFunction, deployed: Deployed) -> int:
    """What a value may take of the answer, in which each quote of an object is four bytes for Redshift."""
    longest = max((len(code.encode()) for code in deployed.offer_codes), default=0)
    if function.part == ERROR:
        return 300 + 120 * len(deployed.features[function.type])
    if function.part is not None:
        return 64 + 2 * longest
    return {"churn": 128, "nbo": 512 + 2 * longest + 56 * len(deployed.offer_codes), "rfm": 512}[function.type]


def redshift(deployed: Deployed, role: str) -> Iterator[str]:
    """Lines of SQL for Amazon Redshift. role: that Redshift takes on."""
    yield _comment(
        f"The stack {deployed.stack}, for Amazon Redshift. The role may invoke the function: see docs/sql.md."
    )
    yield from _heading(deployed)
    for function in _functions(deployed):
        count = len(deployed.features[function.type]) if function.signature else 1
        if count > MOST_REDSHIFT_ARGUMENTS:
            yield f"-- {function.name} would have {count} arguments: Redshift has at most {MOST_REDSHIFT_ARGUMENTS}."
            continue
        arguments = ", ".join(["DOUBLE PRECISION"] * count) if function.signature else "VARCHAR(1024)"
        kind = "VARCHAR(65535)" if function.part == ERROR else _REDSHIFT_TYPES[function.kind]
        yield ""
        yield f"CREATE OR REPLACE EXTERNAL FUNCTION {function.name}({arguments})"
        yield f"RETURNS {kind} STABLE"
        yield f"LAMBDA '{deployed.function_arn}'"
        yield f"IAM_ROLE {_text(role)}"
        yield f"RETRY_TIMEOUT {REDSHIFT_RETRY_MILLISECONDS}"
        yield f"MAX_BATCH_ROWS {max_batch_rows(function, deployed)}"
        yield f"MAX_BATCH_SIZE {REDSHIFT_BATCH};"
        # Redshift lets everyone run a new function, and each call costs and tells of customers.
        yield f"REVOKE EXECUTE ON FUNCTION {function.name}({arguments.replace('(1024)', '')}) FROM PUBLIC;"


def snowflake(deployed: Deployed) -> Iterator[str]:
    """Lines of SQL for Snowflake."""
    prefix = f"{deployed.api_url}/sql/"
    role = deployed.snowflake_role or f"arn:{deployed.partition}:iam::{deployed.account}:role/not-yet"
    provider = "aws_gov_api_gateway" if deployed.partition == "aws-us-gov" else "aws_api_gateway"
    yield _comment(f"The stack {deployed.stack}, for Snowflake.")
    yield from _heading(deployed)
    yield ""
    yield "CREATE API INTEGRATION IF NOT EXISTS loyalty"
    yield f"  API_PROVIDER = {provider}"
    yield f"  API_AWS_ROLE_ARN = '{role}'"
    yield f"  API_ALLOWED_PREFIXES = ('{prefix}')"
    yield "  ENABLED = TRUE;"
    if deployed.snowflake_role:
        yield f"ALTER API INTEGRATION loyalty SET API_AWS_ROLE_ARN = '{role}';"
    else:
        yield "DESCRIBE INTEGRATION loyalty;"
        yield "-- The stack has no role for Snowflake yet. Deploy it with SnowflakeUserArn = API_AWS_IAM_USER_ARN and"
        yield "-- SnowflakeExternalId = API_AWS_EXTERNAL_ID of what DESCRIBE has shown, then run this command again for"
        yield "-- the functions."
        return  # so that what DESCRIBE shows is the last result, which a worksheet keeps
    for function in _functions(deployed):
        features = deployed.features[function.type] if function.signature else ()
        arguments = ", ".join(f"{_identifier(name)} FLOAT" for name in features) or "customer_id VARCHAR"
        # The address has the signature, so that the name can stay as it is when the model's features change.
        name = function.name.removesuffix(f"_{function.signature}") if function.signature else function.name
        yield ""
        yield f"CREATE OR REPLACE EXTERNAL FUNCTION {name}({arguments})"
        yield f"  RETURNS {_SNOWFLAKE_TYPES[function.kind]}"
        yield "  VOLATILE"
        yield "  API_INTEGRATION = loyalty"
        yield f"  MAX_BATCH_ROWS = {max_batch_rows(function, deployed)}"
        yield "  COMPRESSION = NONE"
        yield f"  AS '{prefix}{function.name}';"


def _functions(deployed: Deployed) -> Iterator[SqlFunction]:
    return functions({name: signature_of(deployed.features[name]) for name in PREDICTION_TYPES})


def _heading(deployed: Deployed) -> Iterator[str]:
    yield "-- Run it in the database and schema that are to have the functions; docs/sql.md says as whom."
    yield "-- Print and run it again when a model with other features, or another catalogue, is published."
    for name in PREDICTION_TYPES:
        yield _comment(f"The arguments of {name} by features, in order: {', '.join(deployed.features[name])}.")


def _comment(text: str) -> str:
    """A feature's name may be any text, and what stood on the next line would be run."""
    return f"-- {' '.join(text.splitlines())}"


def _identifier(name: str) -> str:
    quoted = name.replace('"', '""')
    return f'"{quoted}"'


def _text(value: str) -> str:
    quoted = value.replace("'", "''")
    return f"'{quoted}'"
