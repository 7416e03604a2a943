"""The PartiQL statements with which the functions write items, parsed for every stand-in for DynamoDB.

An INSERT of named values, and an UPDATE that sets and removes attributes on condition of equal ones. Nothing else is
known.
"""

import re
from dataclasses import dataclass
from functools import cache

_INSERT = re.compile(r'INSERT INTO "(?P<table>[^"]+)" VALUE \{(?P<names>.*)\}')
_UPDATE = re.compile(
    r'UPDATE "(?P<table>[^"]+)"(?P<changes>(?: SET "\w+" = \?| REMOVE "\w+")+)'
    r' WHERE (?P<where>"\w+" = \?(?: AND "\w+" = \?)*)'
)


@dataclass(frozen=True, slots=True)
class Statement:
    """A parsed statement; its parameters are the values of `sets`, then those of `where`."""

    table: str
    inserts: bool
    sets: tuple[str, ...]
    removes: tuple[str, ...] = ()
    where: tuple[str, ...] = ()


@cache
def parse(text: str) -> Statement:
    """Parse a statement. Raises ValueError for one that the functions do not make."""
    if insert := _INSERT.fullmatch(text):
        return Statement(insert["table"], True, tuple(re.findall(r"'(\w+)': \?", insert["names"])))
    update = _UPDATE.fullmatch(text)
    if not update:
        raise ValueError(f"this endpoint does not know the statement {text!r}")
    return Statement(
        update["table"],
        False,
        tuple(re.findall(r'SET "(\w+)"', update["changes"])),
        tuple(re.findall(r'REMOVE "(\w+)"', update["changes"])),
        tuple(re.findall(r'"(\w+)" = \?', update["where"])),
    )
