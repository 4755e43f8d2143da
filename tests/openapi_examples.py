"""The requests that Swagger offers to send: each operation of ``/openapi.json`` with its own examples."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote


class ExampleRequest(NamedTuple):
    """A request as the description has it, with the statuses that it documents."""

    method: str
    path: str
    query: dict[str, Any]
    body: Any
    documented: frozenset[int]


def example_requests(description: Mapping[str, Any]) -> Iterator[ExampleRequest]:
    """Yield one request for each example of each operation that takes no file, in the description's order."""
    for path, ways in description["paths"].items():
        for method, operation in ways.items():
            where: dict[str, dict[str, Any]] = {"path": {}, "query": {}}
            for parameter in operation.get("parameters", []):
                if parameter.get("required"):
                    where[parameter["in"]][parameter["name"]] = parameter["schema"]["examples"][0]
            place = path.format_map({name: quote(str(value)) for name, value in where["path"].items()})
            statuses = frozenset(int(status) for status in operation["responses"])
            for body in _bodies(description, operation):
                yield ExampleRequest(method.upper(), place, where["query"], body, statuses)


def _bodies(description: Mapping[str, Any], operation: Mapping[str, Any]) -> list[Any]:
    if "requestBody" not in operation:
        return [None]
    content = operation["requestBody"]["content"]
    if "application/json" not in content:
        # A file, which whoever tries the operation chooses.
        return []
    schema = content["application/json"]["schema"]
    name = schema.get("$ref", "").rpartition("/")[2]
    examples: list[Any] = (description["components"]["schemas"][name] if name else schema)["examples"]
    assert examples
    return examples
