"""AWS in memory: what of it the functions' own tests do not show."""

from typing import Any

from proof.memory_aws import FakeAws


def item(name: str, version: int) -> dict[str, Any]:
    return {"entity_id": {"S": name}, "entity_type": {"S": "student"}, "version": {"N": str(version)}}


def test_a_stale_read_lacks_the_last_writes_alone() -> None:
    aws = FakeAws()
    for name, version in (("stu_1", 1), ("stu_2", 1), ("stu_3", 1), ("stu_1", 2), ("stu_1", 3)):
        aws.put(item(name, version))
    now = dict(aws.items)
    with aws.as_before_the_last_writes():
        assert aws.items == {("student", name): item(name, 1) for name in ("stu_1", "stu_2")}
    assert aws.items == now


def test_a_query_gives_the_wakes_of_one_lane_up_to_a_moment_page_by_page() -> None:
    aws = FakeAws()
    for lane in (0, 1):
        for due in range(20):
            aws.state[f"wake#{lane}", f"{due:02d}"] = {"pk": {"S": f"wake#{lane}"}, "sk": {"S": f"{due:02d}"}}
    query = {
        "KeyConditionExpression": "pk = :lane AND sk < :after",
        "ExpressionAttributeValues": {":lane": {"S": "wake#1"}, ":after": {"S": "15"}},
    }
    pages = list(aws.client("dynamodb").get_paginator("query").paginate(**query))
    assert [len(page["Items"]) for page in pages] == [7, 7, 1]
    assert ["LastEvaluatedKey" in page for page in pages] == [True, True, False]
    assert [each["sk"]["S"] for page in pages for each in page["Items"]] == [f"{due:02d}" for due in range(15)]
    assert {each["pk"]["S"] for page in pages for each in page["Items"]} == {"wake#1"}
