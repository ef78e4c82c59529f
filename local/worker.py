"""An instance of a function that a queue feeds, or a state machine calls, in a process of its own.

On its standard input it is told what to do, and that ends when whoever started it does, however that ends: so does
this.
"""

import importlib
import json
import os
import signal
import sys
import threading

from local import events, state_machines, template


def main() -> None:
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    told = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    os.environ.update(told["aws"])
    described = template.load()
    module, attribute = template.handler_of(template.functions(described)[told["function"]])
    handler = getattr(importlib.import_module(module), attribute)
    if "port" in told:
        timeout = template.timeout_of(described, told["function"])
        state_machines.answer_invocations(told["port"], told["function"], handler, timeout)
    (source,) = [source for source in template.queue_sources(described) if source.queue == told["queue"]]
    events.deliver_for_ever(told["queue_url"], source, handler)


def _end_with_the_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
