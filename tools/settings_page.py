"""Writes docs/settings.md: `python -m tools.settings_page`.

Keys, defaults and checks come from `settings`, the descriptions from Pulumi.yaml.
"""

from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import yaml

from settings import Settings

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "settings.md"


def page() -> str:
    """Return the page: a table for each group of settings."""
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))["config"]
    parts = [
        "# Settings",
        (
            "`pulumi config set KEY VALUE` changes a setting of the selected stack. A value that is not allowed stops "
            "the program before it creates anything, with one message that names the key, the value and what is "
            "allowed."
        ),
        "This page is written by `python -m tools.settings_page`; a test keeps it current.",
    ]
    settings = Settings()
    for group in fields(settings):
        summary = (type(getattr(settings, group.name)).__doc__ or "").strip()
        rows = [
            f"| `{setting.key}` | {_default(value)} | {setting.allowed} | {declared[setting.key]['description']} |"
            for name, _, setting, value in settings.declared()
            if name == group.name
        ]
        parts += [
            f"## {group.name.capitalize()}",
            summary,
            "\n".join(["| key | default | allowed | meaning |", "|---|---|---|---|", *rows]),
        ]
    return "\n\n".join(parts) + "\n"


def _default(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value in ("", ()) else str(value)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
