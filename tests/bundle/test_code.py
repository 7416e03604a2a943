"""The functions' archives hold their Python files under the names they are imported by, and nothing else."""

from pathlib import Path

import pulumi
import pytest

from bundle import code


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("__init__.py", "model.py", "one/__init__.py", "one/handler.py", "one/deep/part.py", "two/handler.py"):
        path = tmp_path / "functions" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for stray in ("one/__pycache__/handler.cpython-312.pyc", "one/notes.md", "requirements.txt"):
        path = tmp_path / "functions" / stray
        path.parent.mkdir(exist_ok=True)
        path.touch()
    monkeypatch.setattr(code, "ROOT", tmp_path)
    monkeypatch.setattr(code, "_ROOMS", {"one": ("model.py", "one"), "two": ("two",), "three": ("three",)})
    return tmp_path


def test_an_archive_has_the_functions_own_python_files(tree: Path) -> None:
    archive = code.function_code("one")
    assert list(archive.assets) == [
        "functions/__init__.py",
        "functions/model.py",
        "functions/one/__init__.py",
        "functions/one/deep/part.py",
        "functions/one/handler.py",
    ]
    for name, asset in archive.assets.items():
        assert isinstance(asset, pulumi.FileAsset)
        assert Path(asset.path).resolve() == tree / name


def test_paths_do_not_name_this_machine(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    archive = code.function_code("two")
    paths = [asset.path for asset in archive.assets.values() if isinstance(asset, pulumi.FileAsset)]
    assert paths == ["functions/__init__.py", "functions/two/handler.py"]


def test_an_archive_without_files_is_named(tree: Path) -> None:
    with pytest.raises(FileNotFoundError, match="functions/three has no Python files"):
        code.function_code("three")


def test_an_unknown_archive_is_named(tree: Path) -> None:
    with pytest.raises(ValueError, match="archive 'four' is not known, allowed: one, two, three"):
        code.function_code("four")
