"""Request units of items as they are on the wire."""

import base64

from bench.units import page_units, read_units, refused_units, state_units, write_units

KEYS = {"entity_id": {"S": "a"}, "entity_type": {"S": "student"}}  # 28 bytes with their names
SMALL = {**KEYS, "health_score": {"N": "90"}, "sessions_7d": {"N": "1"}}


def with_facts(size: int) -> dict[str, dict[str, str]]:
    """An item of `KEYS` and so many bytes of facts, five of which are the attribute's name."""
    return {**KEYS, "facts": {"B": base64.b64encode(b"x" * (size - 5 - 28)).decode()}}


def test_reading_costs_a_unit_for_four_kilobytes_however_long_the_base64() -> None:
    assert read_units(None, consistent=True) == 1
    assert read_units(with_facts(4_096), consistent=True) == 1
    assert read_units(with_facts(4_097), consistent=True) == 2
    assert read_units(with_facts(4_097), consistent=False) == 1


def test_a_write_costs_by_the_larger_of_before_and_after() -> None:
    assert write_units(None, KEYS).table == 1
    assert write_units(with_facts(2_048), KEYS).table == 2
    assert write_units(KEYS, with_facts(2_049)).table == 3


def test_a_refused_write_costs_what_is_there() -> None:
    assert refused_units(with_facts(2_049)) == 3
    assert refused_units(None) == 1


def test_a_wake_or_a_tail_costs_by_the_larger_of_before_and_after() -> None:
    assert state_units(None, KEYS) == state_units(KEYS, None) == state_units(None, None) == 1
    assert state_units(with_facts(2_049), KEYS) == state_units(None, with_facts(2_049)) == 3


def test_a_page_costs_half_a_unit_for_four_kilobytes_of_all_its_items() -> None:
    assert page_units([]) == page_units([with_facts(2_048)] * 2) == 0.5
    assert page_units([with_facts(2_048)] * 3) == 1


def test_an_index_costs_only_for_its_key() -> None:
    for change in ({"facts": {"B": "eA=="}}, {"sessions_7d": {"N": "2"}}):
        assert write_units(SMALL, {**SMALL, **change}).indexes == 0
    assert write_units(SMALL, {**SMALL, "health_score": {"N": "80"}}).indexes == 2  # its key: one goes, one comes
