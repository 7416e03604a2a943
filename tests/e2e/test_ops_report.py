"""`iops report` on the deployed stack: what was sent is on the page."""

import json
import time
import uuid
from pathlib import Path

from functions.model import to_iso
from local.flow import Flow
from tests.e2e.conftest import Iops

JOURNAL_SECONDS = 30
"""How long the notifier may take to write its journal: the bus calls it when it has time."""
STUDENT = f"stu_report_{uuid.uuid4().hex[:8]}"


def health(score: float) -> bytes:
    now = to_iso(round(time.time() * 1000))
    payload = {"student_id": STUDENT, "health_score": score}
    return json.dumps({"event_type": "customer_health_update", "timestamp": now, "payload": payload}).encode()


def test_the_page_shows_what_was_sent(iops: Iops, flow: Flow, tmp_path: Path) -> None:
    flow.send([health(1.25), b"not JSON, and for the page"])
    flow.wait()
    flow.send([health(90)])
    flow.wait()
    page = tmp_path / "page.html"
    over = f"student {STUDENT}</th><td>low health score</td><td>critical</td><td>resolved</td>"
    text, waiting_until = "", time.monotonic() + JOURNAL_SECONDS
    while over not in text and time.monotonic() < waiting_until:
        told = iops.json("report", "--out", str(page), "--since", "1h", "--batches-since", "1h")
        text = page.read_text(encoding="utf-8")
    assert over in text
    assert told == {"path": str(page), "bytes": page.stat().st_size, "entities": told["entities"]}
    assert told["entities"] > 0
    assert f"Resolved: Student {STUDENT} has low health score: 90.0" in text
    assert "not json</th><td>quarantined record</td>" in text
    assert 'id="traffic-chart"' in text
    assert 'id="latency-chart"' in text
