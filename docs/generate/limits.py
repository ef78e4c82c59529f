"""The limits' page: of everything that grows, how far it may, from the constants in the code and from the template."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from docs.generate import markdown
from docs.generate.problem import Undocumented
from functions.files import app as files
from functions.segment_worker import app as segment_worker
from local import template
from loyalty_ml.api import http, reading, redshift, snowflake, sql
from loyalty_ml.datasets import members
from loyalty_ml.files import compression, sizes
from loyalty_ml.files.text import lines
from loyalty_ml.jobs import attempt, idempotency, presigned, record
from loyalty_ml.jobs import contracts as jobs
from loyalty_ml.models import baseline, card, document
from loyalty_ml.registry import activation
from loyalty_ml.scoring import contracts as scoring
from loyalty_ml.scoring import reasons
from loyalty_ml.segments import definition, history, operators, predictions, rules, store, uploaded_list
from loyalty_ml.vocabulary import MAX_ID_CHARACTERS

CODE = Path(__file__).parents[2] / "layers" / "shared" / "loyalty_ml"


class Limit(NamedTuple):
    """of:     what grows; most: how far, in words; beyond: what happens then.

    names:  the constants that it is read from, by which `page` sees that none is forgotten.
    """

    of: str
    most: str
    beyond: str
    names: tuple[str, ...] = ()


def page() -> str:
    described = template.load()
    found = groups(described)
    check_none_is_forgotten([limit for limits in found.values() for limit in limits])
    blocks = []
    for title, limits in found.items():
        blocks += [
            f"## {title}",
            markdown.table(
                ["what grows", "at most", "beyond it"], [[each.of, each.most, each.beyond] for each in limits]
            ),
        ]
    return markdown.page(
        "Limits",
        "the constants of the code and template.yaml",
        "Everything that grows has an end. What is refused is refused whole, with a sentence that names the limit; "
        "nothing is cut off in silence.",
        *blocks,
    )


def groups(described: Mapping[str, Any]) -> dict[str, Sequence[Limit]]:
    """By heading."""
    parameter = described["Parameters"]
    part_bytes = sizes.DEPLOYED.small_parts * sizes.DEPLOYED.part_bytes
    part_bytes += (sizes.DEPLOYED.most_parts - sizes.DEPLOYED.small_parts) * sizes.DEPLOYED.large_part_bytes
    return {
        "A request": (
            Limit("its body", _bytes(reading.MAX_BODY_BYTES), "413 `PAYLOAD_TOO_LARGE`", ("MAX_BODY_BYTES",)),
            Limit(
                "its answer",
                _bytes(http.MAX_ANSWER_BYTES),
                "413 `PAYLOAD_TOO_LARGE`, which says what to ask for instead",
                ("MAX_ANSWER_BYTES",),
            ),
            Limit(
                "problems that an answer names", f"{reading.MAX_PROBLEMS:,}", "the first are named", ("MAX_PROBLEMS",)
            ),
            Limit("customers of a batch", f"{scoring.MAX_BATCH:,}", "400 `BATCH_TOO_LARGE`", ("MAX_BATCH",)),
            Limit("features that a what-if overrides", f"{scoring.MAX_OVERRIDES:,}", "400", ("MAX_OVERRIDES",)),
            Limit(
                "features or groups whose reasons are exact",
                f"{reasons.MAX_EXACT:,} that differ from the baseline's",
                "permutations are sampled, and each reason has its `standard_error`",
                ("MAX_EXACT",),
            ),
            Limit(
                "the words of a reason",
                f"{baseline.MAX_WORDS_CHARACTERS:,} characters beside the numbers",
                "training refuses the configuration",
                ("MAX_WORDS_CHARACTERS",),
            ),
            Limit(
                "rows of a warehouse's call",
                f"{sql.MAX_SQL_ROWS:,}",
                "413 `PAYLOAD_TOO_LARGE`, for Redshift `error_msg`: lower MAX_BATCH_ROWS",
                ("MAX_SQL_ROWS",),
            ),
            Limit("its body, unpacked", _bytes(snowflake.MAX_SQL_BYTES), "413, as above", ("MAX_SQL_BYTES",)),
            Limit(
                "the name of its function, of Redshift",
                f"{redshift.MAX_NAME_CHARACTERS:,} characters",
                "`error_msg`",
                ("MAX_NAME_CHARACTERS",),
            ),
            Limit(
                "a customer's id",
                f"{MAX_ID_CHARACTERS:,} characters",
                "400 or an error of its row",
                ("MAX_ID_CHARACTERS",),
            ),
            Limit(
                "an idempotency key", f"{idempotency.MAX_KEY_CHARACTERS:,} characters", "400", ("MAX_KEY_CHARACTERS",)
            ),
            Limit("how long an idempotency key is known", _time(idempotency.KEPT), "it starts another job"),
            Limit(
                "requests a second, by route",
                f"`ThrottlingRate` ({parameter['ThrottlingRate']['Default']:,}), `ThrottlingBurst` "
                f"({parameter['ThrottlingBurst']['Default']:,}) at once",
                "429",
            ),
        ),
        "Segments": (
            Limit("ids in a body", f"{reading.MAX_BODY_BYTES:,} bytes of body", "413: send them as a file"),
            Limit("a file of ids", _bytes(uploaded_list.MAX_FILE_BYTES), "S3 refuses it", ("MAX_FILE_BYTES",)),
            Limit("the same, unpacked", _bytes(uploaded_list.MAX_TEXT_BYTES), "400", ("MAX_TEXT_BYTES",)),
            Limit("ids of a list", f"{uploaded_list.MAX_IDS:,}", "400", ("MAX_IDS",)),
            Limit(
                "a definition, compressed",
                _bytes(store.MAX_DEFINITION_BYTES),
                f"413; a list of over {_bytes(store.MAX_ITEM_LIST_BYTES)} lies apart in S3",
                ("MAX_DEFINITION_BYTES", "MAX_ITEM_LIST_BYTES"),
            ),
            Limit("operators and values of a rule", f"{operators.MAX_NODES:,}", "400", ("MAX_NODES",)),
            Limit("a rule's depth", f"{rules.MAX_DEPTH:,}", "400", ("MAX_DEPTH",)),
            Limit("a text of a rule", f"{rules.LONGEST_TEXT:,} characters", "400"),
            Limit("a number of a definition or version", f"{definition.MAX_NUMBER:,}", "400", ("MAX_NUMBER",)),
            Limit("problems of a rule that an answer names", f"{rules.MAX_PROBLEMS:,}", "the first are named"),
            Limit(
                "members that an answer shows",
                f"{predictions.SHOWN_RESULTS}, or `top`: {predictions.MAX_TOP:,}; {predictions.SHOWN_ERRORS} errors",
                "all are counted; `has_more_results` says so",
                ("MAX_TOP",),
            ),
            Limit("segments on a page of the list", f"{store.PAGE:,}", "`next` leads to the following"),
            Limit("entries of a history", f"{history.MAX_ENTRIES:,}", "the newest are shown", ("MAX_ENTRIES",)),
        ),
        "Jobs and files": (
            Limit(
                "a file over HTTP",
                _bytes(presigned.MAX_UPLOAD_BYTES),
                "S3 refuses it: put it in parts",
                ("MAX_UPLOAD_BYTES",),
            ),
            Limit(
                "results of a file",
                f"{sizes.DEPLOYED.most_parts:,} parts, {part_bytes / 10**9:,.0f} GB",
                "the job fails and says to split the file",
            ),
            Limit("a Parquet file", "`FileStorage` less the snapshot", "503 `STORE_UNAVAILABLE` (`disk`)"),
            Limit("a line, or a record", _bytes(lines.LIMITS.line_bytes), "it is an error of its own in `errors.csv`"),
            Limit("lines of a record", f"{lines.LIMITS.record_lines:,}", "it is an error of its own in `errors.csv`"),
            Limit(
                "what a gzip or a Zstandard expands to",
                f"{compression.MAX_EXPANSION:,} times its size, from {_bytes(sizes.DEPLOYED.expansion_free_bytes)} on",
                "the job fails: a bomb",
                ("MAX_EXPANSION",),
            ),
            Limit("a dataset's prefix", f"{jobs.MAX_PREFIX:,} characters", "400", ("MAX_PREFIX",)),
            Limit("members of a segment as one file by `top`", f"{jobs.MAX_EXPORTED:,}", "400", ("MAX_EXPORTED",)),
            Limit("members in each file of a segment's dataset", f"{members.FILE_ROWS:,}", "the next file begins"),
            Limit(
                "files of a dataset at a time",
                f"`DatasetConcurrency` ({parameter['DatasetConcurrency']['Default']:,})",
                "they wait",
            ),
            Limit(
                "tries of a file's job, and of a segment's",
                f"{files.MAX_ATTEMPTS:,}, {segment_worker.MAX_ATTEMPTS:,}",
                "the job fails; its message is in the dead-letter queue",
            ),
            Limit(
                "how often the message of a job that is at work is looked at again",
                f"{attempt.MAX_LOOKS:,} times, once a minute at most",
                "the message is in the dead-letter queue",
                ("MAX_LOOKS",),
            ),
            Limit("a job's record", _time(record.KEPT), "404 `JOB_NOT_FOUND`"),
            Limit(
                "results",
                f"`ResultDays` ({parameter['ResultDays']['Default']:,})",
                "deleted, see [where data is](../data.md)",
            ),
            Limit("uploads, members' copies", f"`UploadDays` ({parameter['UploadDays']['Default']:,})", "deleted"),
            *(
                Limit(f"a message in {name}", _time(kept), "deleted")
                for name, kept in _queues(described["Resources"]).items()
            ),
        ),
        "Models, logs": (
            Limit(
                "a manifest or a card",
                _bytes(document.MAX_DOCUMENT_BYTES),
                "it is refused, and what is loaded goes on",
                ("MAX_DOCUMENT_BYTES",),
            ),
            Limit("a model", _bytes(document.MAX_MODEL_BYTES), "as above", ("MAX_MODEL_BYTES",)),
            Limit("offers of a catalogue", f"{card.MAX_OFFERS:,}", "the card is refused", ("MAX_OFFERS",)),
            Limit(
                "an offer's code",
                f"{card.MAX_CODE_CHARACTERS:,} characters",
                "the card is refused",
                ("MAX_CODE_CHARACTERS",),
            ),
            Limit("model sets that one can roll back to", f"{activation.WAY_BACK:,}", "the oldest is forgotten"),
            Limit("logs", f"`LogRetentionDays` ({parameter['LogRetentionDays']['Default']:,})", "deleted"),
        ),
    }


def _queues(resources: Mapping[str, Any]) -> dict[str, timedelta]:
    """By logical id, how long a queue keeps a message; SQS itself says 4 days."""
    return {
        name: timedelta(seconds=each["Properties"].get("MessageRetentionPeriod", 345_600))
        for name, each in resources.items()
        if each["Type"] == "AWS::SQS::Queue"
    }


def check_none_is_forgotten(limits: Sequence[Limit]) -> None:
    """Every constant of the service's package that is called MAX_... has its line."""
    named = {name for limit in limits for name in limit.names}
    found = {
        name
        for path in CODE.rglob("*.py")
        for name in re.findall(r"^(MAX_[A-Z_]+)(?::[^=]+)? = ", path.read_text(), re.MULTILINE)
    }
    if forgotten := sorted(found - named):
        raise Undocumented(
            f"docs/generate/limits.py has no line for {', '.join(forgotten)}: say what happens beyond it."
        )


def _bytes(number: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if number % size == 0:
            return f"{number // size:,} {unit}"
    return f"{number:,} bytes"


def _time(span: timedelta) -> str:
    days = span / timedelta(days=1)
    return f"{days:g} day{'' if days == 1 else 's'}"
