"""GitHub's published OpenAPI description (npm `@octokit/openapi`): what may be asked, and what may be answered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from openapi_schema_validator import OAS30Validator, oas30_format_checker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

_SOURCE = "https://github.example/description.json"


class Description:
    """One description, such as `api.github.com` or `ghes-3.19`. Nothing but what a test asks about is looked at."""

    def __init__(self, checkout: Path, name: str = "api.github.com") -> None:
        path = checkout / "node_modules" / "@octokit" / "openapi" / "generated" / f"{name}.json"
        self._content: dict[str, Any] = json.loads(path.read_bytes())
        resource = Resource.from_contents(self._content, default_specification=DRAFT202012)
        self._registry: Any = Registry().with_resource(_SOURCE, resource)

    def template(self, method: str, path: str) -> str:
        """The path as the description writes it; of several the one with the fewest blanks. Raises LookupError."""
        parts = urlsplit(path).path.split("/")
        fitting = [
            template
            for template, operations in self._content["paths"].items()
            if method.lower() in operations and _fits(template.split("/"), parts)
        ]
        if not fitting:
            raise LookupError(f"GitHub has no {method} {path}")
        return str(min(fitting, key=lambda template: template.count("{")))

    def problems_of_request(self, method: str, target: str, body: str) -> list[str]:
        """What GitHub does not know, or would not take, in a request."""
        template = self.template(method, target)
        operation = self._content["paths"][template][method.lower()]
        blanks = zip(template.split("/"), urlsplit(target).path.split("/"), strict=True)
        given = [(part[1:-1], unquote(value)) for part, value in blanks if part.startswith("{")]
        known = {(one["in"], one["name"]): one for one in map(self._followed, operation.get("parameters", []))}
        found: list[str] = []
        for place, pairs in (("path", given), ("query", parse_qsl(urlsplit(target).query))):
            for name, value in pairs:
                parameter = known.get((place, name))
                if parameter is None:
                    found.append(f"{place} parameter {name} is not known")
                elif not any(self._errors(parameter["schema"], one) == [] for one in _readings(value)):
                    found.append(f"{place} parameter {name} cannot be {value}")
        taken = operation.get("requestBody")
        if not body:
            return found + (["no body"] if taken and taken.get("required") else [])
        if taken is None:
            return [*found, "a body where there is none"]
        schema = self._followed(taken["content"]["application/json"]["schema"])
        content = json.loads(body)
        found += [f"{name} is not known" for name in content if name not in schema["properties"]]
        at = ["paths", template, method.lower(), "requestBody", "content", "application/json", "schema"]
        return found + self._errors({"$ref": f"{_SOURCE}#{_pointer(at)}"}, content)

    def problems_of_answer(self, method: str, target: str, status: int, content: Any) -> list[str]:
        """Where an answer is none of those that are described, as `user.login: …`."""
        template = self.template(method, target)
        at = ["paths", template, method.lower(), "responses", str(status), "content", "application/json", "schema"]
        return self._errors({"$ref": f"{_SOURCE}#{_pointer(at)}"}, content)

    def answers(self, method: str, target: str) -> Iterator[tuple[str, int, Any]]:
        """Answers that GitHub may give when it does what was asked: the examples, and the least that the schema asks for."""
        operation = self._content["paths"][self.template(method, target)][method.lower()]
        status, answer = next((int(code), one) for code, one in operation["responses"].items() if code.startswith("2"))
        described = self._followed(answer).get("content", {}).get("application/json")
        if described is None:
            yield "nothing", status, None
            return
        for name, example in described.get("examples", {}).items():
            yield name, status, self._followed(example)["value"]
        yield "the least", status, self._least(described["schema"])

    def _followed(self, node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            found: Any = self._content
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[part.replace("~1", "/").replace("~0", "~")]
            node = found
        return node

    def _errors(self, schema: dict[str, Any], value: Any) -> list[str]:
        reference = schema.get("$ref", "")
        schema = {"$ref": f"{_SOURCE}{reference}"} if reference.startswith("#") else schema
        validator: Any = OAS30Validator(schema, registry=self._registry, format_checker=oas30_format_checker)
        return [f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in validator.iter_errors(value)]

    def _least(self, schema: dict[str, Any]) -> Any:
        """The smallest value: null wherever that may be, nothing that may be left out; of alternatives in a list one each."""
        schema = self._followed(schema)
        if schema.get("nullable"):
            return None
        if "allOf" in schema:
            parts = [self._least(one) for one in schema["allOf"]]
            return {name: value for part in parts for name, value in part.items()} if isinstance(parts[0], dict) else parts[0]
        for several in ("oneOf", "anyOf"):
            if several in schema:
                return self._least(schema[several][0])
        if "enum" in schema:
            return schema["enum"][0]
        if schema.get("type") == "array":
            items = self._followed(schema["items"])
            return [self._least(one) for one in items.get("anyOf", [items])]
        if schema.get("type") == "object" or "properties" in schema:
            properties = schema.get("properties", {})
            return {name: self._least(properties[name]) for name in schema.get("required", []) if name in properties}
        formats = {"date-time": "2026-11-27T10:00:00Z", "uri": "https://github.com/acme/flights"}
        plain = {"integer": 1, "number": 1, "boolean": False, "string": formats.get(schema.get("format", ""), "")}
        return plain.get(schema.get("type", ""), "")


def _fits(template: list[str], parts: list[str]) -> bool:
    return len(template) == len(parts) and all(one.startswith("{") or one == other for one, other in zip(template, parts, strict=True))


def _readings(value: str) -> list[Any]:
    return [
        value,
        *([int(value)] if re.fullmatch(r"-?\d+", value) else []),
        *([value == "true"] if value in ("true", "false") else []),
    ]


def _pointer(parts: list[str]) -> str:
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)
