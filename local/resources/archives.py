"""Pulumi's archives as zip files."""

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pulumi


def _members(archive: pulumi.Archive) -> Iterable[tuple[str, bytes]]:
    if isinstance(archive, pulumi.FileArchive):
        root = Path(archive.path)
        for path in root.rglob("*"):
            if path.is_file():
                yield path.relative_to(root).as_posix(), path.read_bytes()
    elif isinstance(archive, pulumi.AssetArchive):
        for name, member in archive.assets.items():
            if isinstance(member, pulumi.FileAsset):
                yield name, Path(member.path).read_bytes()
            elif isinstance(member, pulumi.StringAsset):
                yield name, member.text.encode()
            else:
                raise TypeError(f"{name} in an archive is a {type(member).__name__}: only files and texts are handled")
    else:
        raise TypeError(f"an archive of type {type(archive).__name__} is not handled")


def archive_bytes(archive: pulumi.Archive) -> bytes:
    """Return an archive of single files, or of a directory, as a zip that depends on names and contents alone.

    It is not compressed: it never leaves this machine, and a layer has 180 MB.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, content in sorted(_members(archive)):
            file.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    return packed.getvalue()
