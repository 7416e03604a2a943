"""Starts ministack with one thing put right: rules call functions as those have room, and not all at once.

AWS keeps asynchronous invocations in a queue. ministack gives every event a process of its own at once, so that the
alerts of one busy minute would be a hundred Python processes. Run by ministack's own interpreter; must not import
anything of this project, nor change what an event or its delivery is.
"""

import json
import threading
from typing import Any

from ministack.app import main
from ministack.services import eventbridge, lambda_svc

AT_ONCE = 2
"""Invocations by rules that run at the same time."""

_room = threading.BoundedSemaphore(AT_ONCE)


def _dispatch(arn: str, payload: str) -> None:
    """Takes the place of eventbridge._dispatch_to_lambda."""
    function, config, name = lambda_svc._get_func_record_for_ref(arn)
    if not function or not config:
        eventbridge.logger.warning("EventBridge → Lambda: function %s not found", name)
        return
    record = lambda_svc._execution_record_for_config(function, config)
    threading.Thread(target=_call, args=(record, json.loads(payload)), daemon=True).start()


def _call(record: Any, event: Any) -> None:
    with _room:
        lambda_svc._execute_function_with_config_scope(record, event)


if __name__ == "__main__":
    eventbridge._dispatch_to_lambda = _dispatch
    main()
