"""What the commands of this folder share: a failure is one sentence on standard error and an exit code that is not 0."""

import errno
import sys
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from loyalty_ml.manifest import Refused


class Problem(Exception):
    """Something that whoever ran the command can put right; the message is a sentence that says what, and how."""


def run(command: str, work: Callable[[], None], when_stopped: str) -> int:
    """Does the work and returns the exit code. `when_stopped` says, after Ctrl-C, what is left as it was."""
    try:
        work()
    except KeyboardInterrupt:
        return _fail(command, f"stopped; {when_stopped}", 130)
    except (Problem, Refused) as error:
        return _fail(command, str(error))
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return _fail(
            command, f"AWS answered {code} to {error.operation_name}: check the name in question and your permissions."
        )
    except BotoCoreError as error:
        return _fail(command, f"AWS could not be asked ({error}): check your credentials, region and network.")
    except ImportError as error:
        return _fail(command, f"{error.name or error} is not installed: run 'make test' once, which installs it.")
    except OSError as error:
        if error.errno is None:
            raise
        remedy = "make room, then run it again" if error.errno == errno.ENOSPC else "check that it is there and yours"
        return _fail(command, f"{error.filename or 'a file'} cannot be used ({error.strerror}): {remedy}.")
    return 0


def _fail(command: str, sentence: str, code: int = 1) -> int:
    print(f"{command}: {sentence}", file=sys.stderr)
    return code
