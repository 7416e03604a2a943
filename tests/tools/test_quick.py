"""`make quick` finds the tests that a change touches."""

from pathlib import Path

import pytest

from tools import quick


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    files = {
        "tests/test_direct.py": "from functions.entities import windows\n",
        "tests/test_name.py": "from functions.entities.windows import measure\n",
        "tests/test_other.py": "import functions.model\n",
        "tests/e2e/test_slow.py": "from functions.entities import windows\n",
        "tests/test_house.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(quick, "ROOT", tmp_path)
    return list(files)


def test_a_module_is_tested_by_what_imports_it(tree: list[str]) -> None:
    assert quick.tests_of(["functions/entities/windows.py", "README.md"], tree) == [
        "tests/test_direct.py",
        "tests/test_house.py",
        "tests/test_name.py",
    ]


def test_a_changed_test_is_run(tree: list[str]) -> None:
    assert quick.tests_of(["tests/test_other.py"], tree) == ["tests/test_house.py", "tests/test_other.py"]


def test_slow_tests_are_left_to_make_test(tree: list[str]) -> None:
    assert quick.tests_of(["tests/e2e/test_slow.py"], tree) == ["tests/test_house.py"]


def test_a_package_is_named_without_its_file() -> None:
    assert quick.module_of("functions/entities/alerts/__init__.py") == "functions.entities.alerts"
    assert quick.module_of("functions/model.py") == "functions.model"
