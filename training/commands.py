"""What this folder's commands share: a failure is one sentence on standard error and an exit code that is not 0."""

import errno
import sys
from collections.abc import Callable, Sequence

from botocore.exceptions import BotoCoreError, ClientError

from loyalty_ml.models.document import Refused


class Problem(Exception):
    """Something that whoever ran the command can put right; the message is a sentence that says what, and how."""


def run(command: str, work: Callable[[], None], when_stopped: str, place: str = "") -> int:
    """Does the work and returns the exit code.

    when_stopped: after Ctrl-C, what is left as it was; place: the bucket or table that AWS is asked for.
    """
    code = 1
    try:
        work()
    except KeyboardInterrupt:
        code, sentence = 130, f"stopped; {when_stopped}"
    except (Problem, Refused) as error:
        sentence = str(error)
    except ClientError as error:
        asked = f"{error.operation_name} for {place}" if place else error.operation_name
        answer = error.response["Error"]["Code"]
        sentence = f"AWS answered {answer} to {asked}: check the name and your permissions."
    except BotoCoreError as error:
        sentence = f"AWS could not be asked ({error}): check your credentials, region and network."
    except ImportError as error:
        missing = error.name or "A package"
        sentence = f"{missing} cannot be loaded ({error}): run 'make test' once, which installs it."
    except OSError as error:
        if error.errno is None:
            raise
        if error.errno == errno.ENOSPC:
            sentence = "the disk is full: make room, then run it again."
        else:
            sentence = (
                f"{error.filename or 'a file'} cannot be used ({error.strerror}): check that it is there and yours."
            )
    else:
        return 0
    print(f"{command}: {sentence}", file=sys.stderr)
    return code


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of equally many texts as lines, each column as wide as its widest text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)
