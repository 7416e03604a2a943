"""What a resource type must offer, and the translation between Pulumi's and AWS's spelling of properties."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from local.ministack import LocalAws

Properties = dict[str, Any]


class Kind(ABC):
    """One resource type.

    Attributes
    ----------
    token
        Pulumi's type token.
    provider_only
        Input properties that mean something to Pulumi's provider alone, of which AWS never hears.
    """

    token: ClassVar[str]
    provider_only: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        """Create the resource.

        Parameters
        ----------
        name
            Its declared name or, where none is declared, its name in the program.
        inputs
            The declared properties, in Pulumi's spelling; every number is a float.

        Returns
        -------
        tuple
            The resource's id, and the outputs that AWS adds to the inputs.
        """

    @abstractmethod
    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        """Return the properties as AWS reports them, in Pulumi's spelling; `outputs` contain the inputs."""


def given(**arguments: Any) -> Properties:
    return {key: value for key, value in arguments.items() if value is not None}


def pascal(value: Any) -> Any:
    """Pulumi's structure as AWS's: keys in PascalCase and whole numbers as integers, at every depth."""
    if isinstance(value, dict):
        return {key[0].upper() + key[1:]: pascal(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [pascal(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def camel(value: Any) -> Any:
    """AWS's structure with Pulumi's keys."""
    if isinstance(value, dict):
        return {key[0].lower() + key[1:]: camel(item) for key, item in value.items()}
    return [camel(item) for item in value] if isinstance(value, list) else value


def whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def tag_list(tags: Mapping[str, str] | None, key: str = "Key", value: str = "Value") -> list[dict[str, str]] | None:
    return None if tags is None else [{key: name, value: text} for name, text in tags.items()]


def tag_map(tags: Iterable[Mapping[str, str]], key: str = "Key", value: str = "Value") -> dict[str, str]:
    return {tag[key]: tag[value] for tag in tags}
