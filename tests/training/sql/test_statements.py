"""The SQL that is printed: names that the functions know, roles, addresses, and batches that Lambda can answer."""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import boto3
import numpy as np
import pytest

from loyalty_ml.api import redshift
from loyalty_ml.api.http import MAX_ANSWER_BYTES, json_text, size_in_json
from loyalty_ml.api.sql import MAX_SQL_ROWS
from loyalty_ml.errors import InvalidFeatures, MissingFeatures
from loyalty_ml.scoring import sql_functions
from loyalty_ml.scoring.scorers import scorer_for
from loyalty_ml.scoring.sql_functions import parse_name
from loyalty_ml.vocabulary import PREDICTION_TYPES
from tests import sample_set
from tests.service import CONTEXT, GOOD, Service, process
from training.cli.main import main
from training.sql import statements
from training.sql.deployed import Deployed, look

pytestmark = pytest.mark.moto

MODELS = sample_set.model_set()
SCORERS = {name: scorer_for(name, MODELS, "false") for name in PREDICTION_TYPES}
DEPLOYED = Deployed(
    stack="loyalty-ml",
    function_arn="arn:aws:lambda:eu-west-1:123456789012:function:loyalty-ml-BatchFunction-1:live",
    api_url="https://x.execute-api.eu-west-1.amazonaws.com/api/loyalty/v1",
    redshift_role="arn:aws:iam::123456789012:role/redshift",
    snowflake_role="arn:aws:iam::123456789012:role/snowflake",
    features={name: scorer.features for name, scorer in SCORERS.items()},
    offer_codes=[offer.offer_code for offer in SCORERS["nbo"].offers],
)
ROLE = "arn:aws:iam::123456789012:role/warehouse"


def _no_other(event: dict[str, Any], context: Any) -> Any:
    raise AssertionError("The event is Redshift's")


def test_redshifts_endsname_the_alias_the_role_and_functions_that_are_answered(service: Service) -> None:
    text = "\n".join(statements.redshift(DEPLOYED, ROLE))
    made = re.findall(
        r"CREATE OR REPLACE EXTERNAL FUNCTION (\w+)\(([A-Z0-9(), ]+)\)\nRETURNS ([A-Z0-9() ]+) STABLE\nLAMBDA '(\S+)'\n"
        r"IAM_ROLE '(\S+)'\nRETRY_TIMEOUT \d+\nMAX_BATCH_ROWS (\d+)\nMAX_BATCH_SIZE 4 MB;\n"
        r"REVOKE EXECUTE ON FUNCTION \1\(([A-Z, ]+)\) FROM PUBLIC;",
        text,
    )
    assert len(made) == text.count("CREATE") == 24
    for name, arguments, _, function_arn, role, rows, revoked in made:
        assert (function_arn, role) == (DEPLOYED.function_arn, ROLE)
        assert revoked == arguments.replace("(1024)", "")
        assert 1 <= int(rows) <= MAX_SQL_ROWS
        function = parse_name(name)
        by_features = [GOOD[each] for each in DEPLOYED.features[function.type]]
        row = by_features if function.signature else ["good"]
        assert arguments.count("DOUBLE") == (len(row) if function.signature else 0)
        event = {"external_function": name, "num_records": 1, "arguments": [row]}
        (value,) = json.loads(redshift.answering(lambda: process().batch, _no_other)(event, CONTEXT))["results"]
        assert (value is None) is (function.part == sql_functions.ERROR), name


def test_snowflakes_endslead_to_the_same_functions(service: Service) -> None:
    text = "\n".join(statements.snowflake(DEPLOYED))
    prefix = f"{DEPLOYED.api_url}/sql/"
    assert f"API_AWS_ROLE_ARN = '{DEPLOYED.snowflake_role}'" in text
    assert f"API_ALLOWED_PREFIXES = ('{prefix}')" in text
    made = re.findall(r"EXTERNAL FUNCTION (\w+)\((.*)\)\n  RETURNS (\w+)\n(?:  .*\n)+?  AS '(\S+)';", text)
    assert len(made) == 24
    for name, arguments, kind, address in made:
        function = parse_name(address.removeprefix(prefix))
        assert name == function.name.removesuffix(f"_{function.signature}")
        assert kind == {"number": "FLOAT", "text": "VARCHAR", "object": "VARIANT"}[function.kind]
        features = [GOOD[each] for each in re.findall(r'"(\w+)" FLOAT', arguments)]
        row = [0, *(features if function.signature else ["good"])]
        answer = service.call("POST", f"/sql/{function.name}", {"data": [row]})
        assert (answer.status, answer.body["data"][0][1] is None) == (200, function.part == sql_functions.ERROR), name


ODD = ('say "hi"', "it's", "a\nDROP TABLE customers; --", "a\u2028b", "--", "/*", "$$", "größe", "a b", "SELECT", "\\")


def test_names_of_whatever_text_stay_names() -> None:
    deployed = replace(DEPLOYED, features=dict.fromkeys(PREDICTION_TYPES, ODD))
    made = [each for each in _statements(statements.snowflake(deployed)) if "_OF_FEATURES" in each.upper()]
    quoted = ", ".join('"' + name.replace('"', '""') + '" FLOAT' for name in ODD)
    assert len(made) == 12
    assert all(f"({quoted})" in each for each in made)
    for lines in (statements.redshift(deployed, "it's"), statements.snowflake(deployed)):
        assert {each.split()[0] for each in _statements(lines)} <= {"CREATE", "ALTER", "REVOKE"}
    roles = [each for each in _statements(statements.redshift(deployed, "it's")) if "IAM_ROLE 'it''s'" in each]
    assert len(roles) == 24


def _statements(lines: Iterable[str]) -> list[str]:
    """As a warehouse reads them: comments end with their line, and quotes hide what is in them."""
    text = "\n".join(lines)
    read = re.sub(r"""("(?:[^"]|"")*"|'(?:[^']|'')*')|--[^\n\r\u2028]*""", lambda found: found[1] or "", text)
    hidden = re.split(r"""((?:"(?:[^"]|"")*"|'(?:[^']|'')*'|[^;"'])+);""", read)
    assert not "".join(hidden[::2]).strip()
    return [each.strip() for each in hidden[1::2]]


def test_before_the_stack_has_a_role_snowflake_is_asked_who_it_is() -> None:
    text = "\n".join(statements.snowflake(replace(DEPLOYED, snowflake_role="")))
    assert "DESCRIBE INTEGRATION loyalty;" in text
    assert "ALTER API INTEGRATION" not in text
    assert "arn:aws:iam::123456789012:role/not-yet" in text
    # A worksheet that runs all of it shows the last result, which is who Snowflake is.
    ends = [line for line in text.splitlines() if line.endswith(";")]
    assert ends[-1] == "DESCRIBE INTEGRATION loyalty;"
    assert "FUNCTION" not in text


def test_more_features_than_redshift_takes_are_said_in_place_of_a_function() -> None:
    many = replace(DEPLOYED, features={**DEPLOYED.features, "churn": [f"f{place}" for place in range(33)]})
    text = "\n".join(statements.redshift(many, ROLE))
    assert text.count("CREATE") == 20
    assert text.count("would have 33 arguments: Redshift has at most 32.") == 4


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_as_many_rows_as_are_printed_fit_into_an_answer_of_lambda(prediction_type: Any) -> None:
    """The longest numbers that there are, and the longest sentences."""
    scorer = SCORERS[prediction_type]
    worst = -1.2345678901234567e-300
    columns = scorer.answers.columns(scorer.score(("good",), scorer.matrix(np.ones((1, len(scorer.features))))))
    whole = {
        column.name: max(column.texts, key=len) if column.texts else worst if column.values.dtype.kind == "f" else 100
        for column in columns
    }
    features = list(scorer.features)
    described = [f"{name} is -1.2345678901234567e-300, but must be a whole number, at least 0" for name in features]
    told = [
        f"{problem.code}: {problem.message}"
        for problem in (MissingFeatures(features), InvalidFeatures(features, described=described))
    ]
    for function in sql_functions.functions({}):
        if function.type != prediction_type:
            continue
        rows = statements.max_batch_rows(function, DEPLOYED)
        if function.part is None:
            values: list[Any] = [json_text(whole)]
        elif function.part == sql_functions.ERROR:
            values = told
        else:
            values = [whole[sql_functions.PARTS[function.type][function.part][0]]]
        for value in values:
            text = json_text({"success": True, "num_records": rows, "results": [value] * rows})
            assert size_in_json(text) <= MAX_ANSWER_BYTES, function.name


def create_stack(outputs: dict[str, str], redshift_role: str = "") -> None:
    body = {
        "Parameters": {"RedshiftRoleArn": {"Type": "String", "Default": redshift_role}},
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    boto3.client("cloudformation").create_stack(StackName="deployed", TemplateBody=json.dumps(body))


def test_the_command_prints_what_is_deployed(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = {
        "ApiUrl": DEPLOYED.api_url,
        "SqlFunctionArn": DEPLOYED.function_arn,
        "ModelBucketName": service.model_bucket,
        "SnowflakeRoleArn": DEPLOYED.snowflake_role,
    }
    create_stack(outputs, DEPLOYED.redshift_role)
    assert look("deployed") == replace(DEPLOYED, stack="deployed")
    for warehouse, lines in (
        ("redshift", statements.redshift(replace(DEPLOYED, stack="deployed"), DEPLOYED.redshift_role)),
        ("snowflake", statements.snowflake(replace(DEPLOYED, stack="deployed"))),
    ):
        capsys.readouterr()
        assert main(["sql", warehouse, "--stack", "deployed"]) == 0
        assert capsys.readouterr().out.endswith("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ({"ApiUrl": "https://x"}, "has no output ModelBucketName, SqlFunctionArn"),
        ({"ApiUrl": "https://x", "SqlFunctionArn": DEPLOYED.function_arn, "ModelBucketName": ""}, "No churn model"),
    ],
)
def test_what_is_missing_is_one_sentence(
    empty_service: Service, capsys: pytest.CaptureFixture[str], outputs: dict[str, str], said: str
) -> None:
    create_stack({name: value or empty_service.model_bucket for name, value in outputs.items()})
    assert main(["sql", "redshift", "--stack", "deployed"]) == 1
    assert said in capsys.readouterr().err


def test_without_a_role_redshifts_command_asks_for_one(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    create_stack(
        {"ApiUrl": "https://x", "SqlFunctionArn": DEPLOYED.function_arn, "ModelBucketName": service.model_bucket}
    )
    assert main(["sql", "redshift", "--stack", "deployed"]) == 1
    assert "deploy it with RedshiftRoleArn, or give --role" in capsys.readouterr().err
    assert main(["sql", "redshift", "--stack", "deployed", "--role", ROLE]) == 0
    assert f"IAM_ROLE '{ROLE}'" in capsys.readouterr().out
