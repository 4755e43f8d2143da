"""``/openapi.json`` of either app: what it has to say of each operation, and the requests that Swagger offers."""

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


def operations(description: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each operation with its method and path."""
    for path, ways in description["paths"].items():
        for method, operation in ways.items():
            yield f"{method.upper()} {path}", operation


def check_operations(description: Mapping[str, Any]) -> None:
    """Every operation says what it does, under which heading, and what each answer is; its name is its own."""
    headings = {tag["name"] for tag in description["tags"]}
    for name, operation in operations(description):
        assert operation["summary"], name
        assert operation["description"], name
        assert set(operation["tags"]) <= headings, name
        for status, response in operation["responses"].items():
            said = response["description"]
            assert said not in ("", "Successful Response", "Validation Error"), (name, status)
            assert "X-Request-ID" in response["headers"], (name, status)
            (kind, body), *_ = sorted(response["content"].items())
            assert kind == ("text/plain" if (name, status) == ("GET /metrics", "200") else "application/json"), name
            assert body["schema"], (name, status)
    names = [operation["operationId"] for _, operation in operations(description)]
    assert len(names) == len(set(names))


def open_paths(description: Mapping[str, Any]) -> set[str]:
    """Return the paths that are said to need no key."""
    return {name.split()[1] for name, operation in operations(description) if "security" not in operation}


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
        # A file; there is no example of one.
        return []
    schema = content["application/json"]["schema"]
    name = schema.get("$ref", "").rpartition("/")[2]
    examples: list[Any] = (description["components"]["schemas"][name] if name else schema)["examples"]
    assert examples
    return examples
