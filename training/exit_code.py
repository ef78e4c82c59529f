"""How a command ends: exit code 0 only on success, and a failure is one sentence on standard error."""

import errno
import io
import os
import sys
from collections.abc import Callable

from loyalty_ml.models.document import Refused
from loyalty_ml.registry.bucket import RegistryProblem
from training.aws import asking
from training.errors import Problem

STOPPED = 130
"""What a shell reports for a command that Ctrl-C ended: 128 and the number of SIGINT."""
NOBODY_READS = 141
"""The same of SIGPIPE."""


def run(command: str, work: Callable[[], None], when_stopped: str, place: str = "") -> int:
    """Does the work and returns the exit code.

    command:      its name, which the sentence begins with.
    when_stopped: after Ctrl-C, what is left as it was.
    place:        the bucket or table that AWS is asked for.
    """
    code = 1
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may not have every character that an id has
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with asking(place):
            work()
            if sys.stdout is not None:  # it is closed: `>&-`
                sys.stdout.flush()
    except KeyboardInterrupt:
        code, sentence = STOPPED, f"stopped; {when_stopped}"
    except (Problem, Refused, RegistryProblem) as error:
        sentence = str(error)
    except ImportError as error:
        sentence = (
            f"{error.name or 'A package'} cannot be loaded ({error}): run 'make install' once, or pip install "
            "-e '.[training]' in the project's folder."
        )
    except BrokenPipeError:
        # Whoever reads has enough, as `head` has: what is printed yet goes nowhere, also when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_READS
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
