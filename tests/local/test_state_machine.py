"""The state machine as AWS gets it: what Step Functions demands of a definition, and what a redrive and we rely on."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from functions.files import app as files
from local import state_machines, template
from local.gateway import LambdaContext
from loyalty_ml.datasets import tasks as tasks_module
from tests.sam import ROOT

pytestmark = pytest.mark.built

DESCRIBED = template.load()
DEFINITION = state_machines.definition(DESCRIBED, {"DataBucket": "data"})
MAP = DEFINITION["States"]["ScoreFiles"]
CHILD = MAP["ItemProcessor"]["States"]


def states_of(machine: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every state, those of maps within included."""
    for state in machine["States"].values():
        yield state
        if "ItemProcessor" in state:
            yield from states_of(state["ItemProcessor"])


def lint(run_in_sam_venv: Callable[..., str], folder: Path, definition: Any) -> str:
    """cfn-lint's rules for Step Functions (E3601), of a template with just this definition."""
    machine = {"RoleArn": "arn:aws:iam::123456789012:role/r", "Definition": definition}
    described = {"Resources": {"M": {"Type": "AWS::StepFunctions::StateMachine", "Properties": machine}}}
    path = folder / "template.yaml"
    path.write_text(yaml.safe_dump(described))
    return run_in_sam_venv("cfn-lint", path)


def test_the_linter_of_step_functions_accepts_the_definition(
    run_in_sam_venv: Callable[..., str], tmp_path: Path
) -> None:
    assert lint(run_in_sam_venv, tmp_path, DEFINITION) == ""


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("StartAt",), "Nowhere"),
        pytest.param(("States", "Summarise", "Retry", 0, "BackoffRate"), "two", marks=pytest.mark.long),
    ],
)
def test_the_linter_would_find_a_mistake(
    run_in_sam_venv: Callable[..., str], tmp_path: Path, where: tuple[Any, ...], value: Any
) -> None:
    definition = state_machines.definition(DESCRIBED, {"DataBucket": "data"})
    part: Any = definition
    for name in where[:-1]:
        part = part[name]
    part[where[-1]] = value
    with pytest.raises(AssertionError, match="E3601"):
        lint(run_in_sam_venv, tmp_path, definition)


def test_every_state_is_reached_and_every_next_one_is_there() -> None:
    """Which the linter leaves unchecked."""
    for machine in (DEFINITION, MAP["ItemProcessor"]):
        named = {machine["StartAt"]}
        for state in machine["States"].values():
            named |= {part["Next"] for part in (state, *state.get("Choices", ())) if "Next" in part}
            named |= {state["Default"]} if "Default" in state else set()
        assert named == set(machine["States"])


def test_every_name_of_the_definition_is_substituted_and_every_substitution_is_used() -> None:
    properties = DESCRIBED["Resources"]["ScoreDataset"]["Properties"]
    text = (ROOT / properties["DefinitionUri"]).read_text()
    for name in properties["DefinitionSubstitutions"]:
        assert f"${{{name}}}" in text, name
        text = text.replace(f"${{{name}}}", "")
    assert "${" not in text


def test_numbers_are_numbers_once_they_are_substituted() -> None:
    parameters = DESCRIBED["Parameters"]
    assert MAP["MaxConcurrency"] == parameters["DatasetConcurrency"]["Default"]
    assert MAP["ToleratedFailurePercentage"] == parameters["DatasetToleratedFailures"]["Default"]


def test_the_map_is_distributed_over_what_lies_below_the_prefix_and_keeps_its_results_as_lines() -> None:
    assert MAP["ItemReader"] == {
        "Resource": "arn:aws:states:::s3:listObjectsV2",
        "Parameters": {"Bucket": "data", "Prefix.$": "$.prefix"},
    }
    assert MAP["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    assert MAP["ResultWriter"] == {
        "Resource": "arn:aws:states:::s3:putObject",
        "Parameters": {"Bucket": "data", "Prefix.$": "States.Format('results/{}/map', $.job_id)"},
        "WriterConfig": {"Transformation": "NONE", "OutputType": "JSONL"},
    }


def test_a_redrive_finds_what_failed_to_do_again() -> None:
    """It takes up a state that was entered and not left: one whose failure is caught has been left."""
    assert [state for state in states_of(DEFINITION) if "Catch" in state or state["Type"] == "Fail"] == []


def test_every_task_is_tried_again_ever_later_and_not_all_at_once() -> None:
    tasks = [state for state in states_of(DEFINITION) if state["Type"] == "Task"]
    assert len(tasks) == 2
    for task in tasks:
        caught = {error for retrier in task["Retry"] for error in retrier["ErrorEquals"]}
        assert {"States.Timeout", "States.TaskFailed"} <= caught
        for retrier in task["Retry"]:
            assert retrier["BackoffRate"] == 2
            assert retrier["JitterStrategy"] == "FULL"
            assert retrier["MaxDelaySeconds"] == 300
    *_, failed = CHILD["ScoreFile"]["Retry"]
    assert failed["MaxAttempts"] == tasks_module.RETRIES


def test_a_task_waits_longer_than_the_function_may_take() -> None:
    timeout = template.timeout_of(DESCRIBED, "FilesFunction")
    for state in states_of(DEFINITION):
        if state["Type"] == "Task":
            assert state["TimeoutSeconds"] > timeout


def test_only_what_is_not_finished_goes_round_again() -> None:
    choice = CHILD["IsScored"]
    assert {rule["StringEquals"]: rule["Next"] for rule in choice["Choices"]} == {
        "unfinished": "ScoreFile",
        "running": "AwaitTheLease",
    }
    assert CHILD["AwaitTheLease"]["Next"] == "ScoreFile"
    assert CHILD[choice["Default"]] == {"Type": "Pass", "OutputPath": "$.scored.answer", "End": True}


def test_the_functions_handler_knows_each_task() -> None:
    called: list[str] = []
    known = SimpleNamespace(
        score_item=lambda event, _: called.append(event["task"]),
        summarise=lambda event: called.append(event["task"]),
    )
    parts: Any = SimpleNamespace(dataset_tasks=known)
    handler = files.make_handler(lambda: parts)
    tasks = [state["Parameters"]["Payload"] for state in states_of(DEFINITION) if state["Type"] == "Task"]
    context: Any = LambdaContext("FilesFunction")
    for payload in tasks:
        handler(payload, context)
    assert called == ["dataset_file", "dataset_summary"]


def test_what_is_left_out_for_moto_is_in_the_definition_and_nothing_else_is_left_out() -> None:
    local = state_machines.without(state_machines.LEFT_OUT, DEFINITION)
    for field in state_machines.LEFT_OUT:
        assert field in MAP
    local["States"]["ScoreFiles"] |= {field: MAP[field] for field in state_machines.LEFT_OUT}
    assert local == DEFINITION


def test_the_machine_may_do_what_its_states_do_and_its_name_is_the_one_that_the_functions_know(
    translated: dict[str, Any],
) -> None:
    resources = translated["Resources"]
    name = {"Fn::Sub": "${AWS::StackName}-score-dataset"}
    assert resources["ScoreDataset"]["Properties"]["StateMachineName"] == name
    policies = resources["DatasetRole"]["Properties"]["Policies"]
    statements = [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]
    actions = {action for statement in statements for action in as_list(statement["Action"])}
    assert {"s3:ListBucket", "s3:PutObject", "lambda:InvokeFunction", "states:StartExecution"} <= actions
    assert {"states:RedriveExecution", "states:DescribeExecution"} <= actions
    for statement in statements:
        if statement["Resource"] == "*":
            assert all(action.startswith(("logs:", "xray:")) for action in as_list(statement["Action"]))


def test_an_execution_that_stops_is_told_to_the_files_function(translated: dict[str, Any]) -> None:
    resources = translated["Resources"]
    (rule,) = [
        resource["Properties"]
        for resource in resources.values()
        if resource["Type"] == "AWS::Events::Rule"
        and resource["Properties"].get("EventPattern", {}).get("source") == ["aws.states"]
    ]
    assert rule["EventPattern"]["detail"]["status"] == ["FAILED", "TIMED_OUT", "ABORTED"]
    (arn,) = rule["EventPattern"]["detail"]["stateMachineArn"]
    variables = resources["BatchFunction"]["Properties"]["Environment"]["Variables"]
    assert arn == variables["DATASET_STATE_MACHINE_ARN"]
    assert rule["Targets"][0]["Arn"] == {"Ref": "FilesFunctionAliaslive"}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
