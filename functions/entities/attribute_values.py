"""Converts plain values to attribute values of DynamoDB's API and back. Pure."""

from typing import Any

from functions.model import ceil_div

AttributeValue = dict[str, Any]
Attributes = dict[str, AttributeValue]


def plain(value: float) -> float:
    """Return a whole number as int."""
    return int(value) if float(value).is_integer() else value


def to_attribute(value: Any) -> AttributeValue:
    """Return a plain value as a DynamoDB attribute value."""
    kind = type(value)
    if kind is str:
        return {"S": value}
    if kind is int or kind is float:
        return {"N": repr(value)}
    if kind is bool:
        return {"BOOL": value}
    if kind is dict:
        return {"M": {name: to_attribute(item) for name, item in value.items()}}
    if kind is list or kind is tuple:
        return {"L": [to_attribute(item) for item in value]}
    raise TypeError(
        f"{type(value).__name__} {value!r} has no attribute value; allowed: bool, str, int, float, dict, list"
    )


def from_attribute(attribute: AttributeValue) -> Any:
    """Return the plain value of an attribute value. Whole numbers become ints."""
    ((kind, value),) = attribute.items()
    if kind == "S":
        return value
    if kind == "N":
        return int(value) if value.lstrip("-").isdigit() else plain(float(value))
    if kind == "M":
        return {name: from_attribute(item) for name, item in value.items()}
    if kind == "L":
        return [from_attribute(item) for item in value]
    return value


def _is_whole(number: AttributeValue) -> bool:
    text: str = number["N"]
    return text.lstrip("-").isdigit()


def differs(before: AttributeValue | None, after: AttributeValue | None) -> bool:
    """Return whether two attribute values have different values, however their numbers are written."""
    if before == after:
        return False
    if before is None or after is None or before.keys() != after.keys():
        return True
    if "N" in before and _is_whole(before) and _is_whole(after):
        return True  # there is only one way to write a whole number
    return "B" in before or from_attribute(before) != from_attribute(after)


def size_of(attributes: Attributes) -> int:
    """Return the bytes of an item as DynamoDB counts them (developer guide, "Item sizes and formats").

    Those of numbers are approximate there too.
    """
    return sum(len(name.encode()) + _value_size(value) for name, value in attributes.items())


def _value_size(attribute: AttributeValue) -> int:
    value: Any
    ((kind, value),) = attribute.items()
    match kind:
        case "S":
            return len(value.encode())
        case "B":
            return len(value)
        case "N":
            digits = value.strip("-").replace(".", "").strip("0")
            return ceil_div(len(digits), 2) + 1 + ("-" in value)
        case "L":
            return 3 + sum(1 + _value_size(member) for member in value)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value_size(member) for name, member in value.items())
        case _:
            return 1
