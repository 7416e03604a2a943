"""Refuses Outputs, secrets among them, as arguments that the components must know before anything is created."""

from collections.abc import Mapping
from typing import Any, NotRequired, get_args, get_origin

import pulumi


def check_plain(name: str, accepted: type, args: Mapping[str, Any]) -> None:
    """Check that no argument is an Output where the component takes plain values alone.

    An Output would pass for a text that is not empty, and be written into names as its own description.

    Parameters
    ----------
    name
        The component's name in the program.
    accepted
        Its TypedDict of arguments; what is not declared as `pulumi.Input` is plain.

    Raises
    ------
    TypeError
        Naming each such argument.
    """
    hints = accepted.__annotations__
    refused = [each for each, value in args.items() if each in hints and not _is_taken(hints[each], value)]
    if refused:
        raise TypeError(
            f"{name}: {', '.join(refused)} must be plain, known before the program runs: an Output or a secret is not "
            "allowed (read config with `get`, not `get_secret`, and give ARNs as text)"
        )


def _is_taken(hint: Any, value: Any) -> bool:
    """Whether an argument of this declared type may have this value, as far as Outputs go."""
    if get_origin(hint) is NotRequired:
        (hint,) = get_args(hint)
    if get_origin(hint) is list:
        (each,) = get_args(hint)
        return not isinstance(value, pulumi.Output) and all(_is_taken(each, item) for item in value)
    # `pulumi.Input` names Output by a forward reference.
    return not isinstance(value, pulumi.Output) or "Output" in str(hint)
