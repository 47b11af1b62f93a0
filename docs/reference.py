"""Write the reference pages from the code: actions, workflows, configuration, commands, records.

`python docs/reference.py` writes what changed; `--check` writes nothing, names what is out of date, and then exits with 1.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import click  # noqa: E402 - the package is found only now
import msgspec  # noqa: E402
from ruamel.yaml import YAML  # noqa: E402

from modelship.cli import COMMANDS, modelship  # noqa: E402
from modelship.core import errors, records  # noqa: E402
from modelship.core.config import json_schema  # noqa: E402

NOTE = "<!-- Written by docs/reference.py. Change the code that it speaks of, then run it again. -->"
BEGIN, END = "<!-- actions:begin -->", "<!-- actions:end -->"
WIDTH = 100

SAMPLES = {
    "metric-gate": {
        "model": "churn",
        "candidate": "metrics.json",
        "baseline": "file:baseline.json",
        "metrics": "{roc_auc: {min: 0.7}}",
    },
    "train": {"model": "churn", "run": "python train.py", "metrics": "metrics.json"},
    "comment": {"github-token": "${{ github.token }}"},
}
"""Inputs that a first use of an action shows: enough of them to do without a modelship.yaml."""


_COMMANDS: dict[type[msgspec.Struct], str] = {record: name for name, record in records.RECORDS.items()}

# Markdown ------------------------------------------------------------------------------------------------------------------------


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; an empty one is a sentence."""
    body = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    if not body:
        return "None."
    return "\n".join(["| " + " | ".join(headings) + " |", "|" + " --- |" * len(headings), *body])


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def code(text: object) -> str:
    """Inline code, or nothing for an empty text."""
    return f"`{text}`" if str(text) else ""


def page(title: str, *parts: str) -> str:
    """A whole page that ends with one line break."""
    return "\n\n".join([f"# {title}", NOTE, *(part for part in parts if part)]) + "\n"


def read_yaml(path: Path) -> Any:
    """The YAML file at `path` as plain data."""
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


# Actions -------------------------------------------------------------------------------------------------------------------------


def action_names() -> list[str]:
    """The folders below actions/, in the order in which the commands run."""
    names = {path.parent.name for path in ROOT.glob("actions/*/action.yml")}
    return [name for name in COMMANDS if name in names] + sorted(names - set(COMMANDS))


def action_page(name: str) -> str:
    """`actions/<name>/README.md`."""
    action = read_yaml(ROOT / "actions" / name / "action.yml")
    return page(
        name,
        _about(name, action),
        "## Use",
        _usage(name, action),
        _at_a_terminal(name, action),
        "## Inputs",
        _inputs(action),
        "## Outputs",
        table(["output", "what it is"], ((code(key), value["description"]) for key, value in action.get("outputs", {}).items())),
        f"Exit codes and options: [modelship {name}](../../docs/reference/commands.md#modelship-{name}).{_record_link(name)}",
    )


def _record_link(name: str) -> str:
    return f" What the record holds: [records](../../docs/reference/records.md#{name})." if name in records.RECORDS else ""


def _about(name: str, action: Mapping[str, Any]) -> str:
    """The action's description, and what the command's help adds to it."""
    description = " ".join(str(action["description"]).split())
    _, _, more = inspect.cleandoc(_command(name).help or "").partition("\n\n")
    more = " ".join(more.split())
    return f"{description} {more}".strip()


def _at_a_terminal(name: str, action: Mapping[str, Any]) -> str:
    """How to call the command by hand; nothing for one that follows no configuration, but the event of a workflow run."""
    config = action["inputs"].get("config")
    if config is None:
        return ""
    return f"The same at a terminal: `modelship {name}`, with inputs as options (`--config {config['default']}`)."


def _usage(name: str, action: Mapping[str, Any]) -> str:
    given = {key: value for key, value in SAMPLES.get(name, {}).items() if key in action["inputs"]}
    lines = [f"- uses: modelship/modelship/actions/{name}@v1"]
    if given:
        lines.append("  with:")
        lines.extend(f"    {key}: {_scalar(value)}" for key, value in given.items())
    return "```yaml\n" + "\n".join(lines) + "\n```"


def _scalar(value: str) -> str:
    return f'"{value}"' if value.startswith("{") else value


def _inputs(action: Mapping[str, Any]) -> str:
    rows = (
        (code(key), value["description"], code(str(value.get("default", "")).replace("\n", " ")))
        for key, value in action["inputs"].items()
    )
    return table(["input", "what it is", "default"], rows)


def actions_table() -> str:
    """The table in README.md."""
    rows = [
        (f"[`{name}`](actions/{name}/README.md)", str(read_yaml(ROOT / "actions" / name / "action.yml")["description"]))
        for name in action_names()
    ]
    return table(["action", "does"], rows)


# Workflows -----------------------------------------------------------------------------------------------------------------------


def workflows_page() -> str:
    """`docs/reference/workflows.md`."""
    parts = [
        "Call them from a job of your own: `uses: modelship/modelship/.github/workflows/<name>@v1`. "
        "The job has to give at least the rights that are listed; they are checked before anything runs."
    ]
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        workflow = read_yaml(path)
        call = workflow["on"].get("workflow_call") if isinstance(workflow["on"], dict) else None
        if path.name.startswith("_") or call is None:
            continue
        parts += [
            f"## {path.name}",
            _leading_comment(path),
            f"Rights: {_rights(workflow)}.",
            "### Inputs",
            table(
                ["input", "what it is", "type", "default"],
                (
                    (code(key), value["description"], value.get("type", "string"), code(_plain(value.get("default", ""))))
                    for key, value in (call.get("inputs") or {}).items()
                ),
            ),
            "### Secrets",
            table(["secret", "what it is"], ((code(key), value["description"]) for key, value in (call.get("secrets") or {}).items())),
            "### Outputs",
            table(["output", "what it is"], ((code(key), value["description"]) for key, value in (call.get("outputs") or {}).items())),
        ]
    return page("Reusable workflows", *parts)


def _leading_comment(path: Path) -> str:
    """The comment at the top of a workflow: indented lines become a YAML block, the rest prose."""
    lines: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").removeprefix(" "))
    blocks = "\n".join(lines).split("\n\n")
    return "\n\n".join(
        f"```yaml\n{inspect.cleandoc(block)}\n```" if block.startswith("  ") else " ".join(block.split()) for block in blocks
    )


def _rights(workflow: Mapping[str, Any]) -> str:
    found: dict[str, str] = {}
    for job in workflow["jobs"].values():
        for scope, right in job.get("permissions", {}).items():
            found[scope] = max(found.get(scope, ""), right)
    return ", ".join(f"`{scope}: {right}`" for scope, right in found.items()) or "none"


def _plain(value: object) -> str:
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)


# Configuration -------------------------------------------------------------------------------------------------------------------


def configuration_page() -> str:
    """`docs/reference/configuration.md`."""
    schema = json_schema()
    root = _resolve(schema, schema)
    return page(
        "modelship.yaml",
        f"{root.get('description', '')} An unknown key or a wrong type is an error that names the line. "
        "Editors complete the file with [modelship.schema.json](../modelship.schema.json). "
        "A whole one: [the template's](../../template-repo/modelship.yaml).",
        table(
            ["key", "what it is", "type", "default"],
            ((code(key), about, kind, default) for key, about, kind, default in _keys(root, schema, "")),
        ),
    )


def _keys(node: Mapping[str, Any], schema: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    required = set(node.get("required", ()))
    for name, child in node.get("properties", {}).items():
        key = f"{prefix}{name}"
        section = _section(child, schema)
        if section is not None and "properties" in section:
            yield key, section.get("description", ""), "mapping", ""
            yield from _keys(section, schema, f"{key}.")
            continue
        about, kind = _describe(child, schema)
        default = child.get("default")
        shown = "required" if name in required else "" if default is None else code(_plain(default))
        yield key, about, kind, shown
        if section is not None and isinstance(section.get("additionalProperties"), dict):
            yield from _keys(_resolve(section["additionalProperties"], schema), schema, f"{key}.<name>.")
        entries = child.get("items")
        if isinstance(entries, dict):
            yield from _keys(_resolve(entries, schema), schema, f"{key}[].")


def _section(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The object behind a node, also where it may be left out."""
    for option in (node, *node.get("anyOf", ())):
        resolved = _resolve(option, schema)
        if resolved.get("type") == "object":
            return resolved
    return None


def _resolve(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
    return node


def _describe(node: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[str, str]:
    """What a value is, and of which type, in words."""
    options = list(_options(node, schema))
    about = [node.get("description", ""), *(option.get("description", "") for option in options)]
    kinds = [_kind(option) for option in options if option.get("type") != "null"]
    return " ".join(dict.fromkeys(filter(None, about))), " or ".join(dict.fromkeys(kinds))


def _options(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The alternatives of a value, one level deep however they are nested."""
    node = _resolve(node, schema)
    if "anyOf" not in node:
        yield node
        return
    for option in node["anyOf"]:
        # What a group of alternatives says of itself is said once, of the first.
        first, *rest = _options(option, schema)
        yield {**first, "description": " ".join(dict.fromkeys(filter(None, (option.get("description"), first.get("description")))))}
        yield from rest


def _kind(node: Mapping[str, Any]) -> str:
    if "enum" in node:
        return " or ".join(code(value) for value in node["enum"])
    name = {"string": "text", "object": "mapping", "array": "list"}.get(node.get("type", ""), node.get("type", "any"))
    if "minimum" in node:
        return f"{name}, at least {node['minimum']}"
    if "pattern" in node:
        # Anchors say that the whole text must match, which a reader takes for granted.
        whole = re.fullmatch(r"\^(?:\(\?:(.*)\)|(.*))\$(?:\(\?!\\n\))?", node["pattern"])
        return f"{name} like `{whole[1] or whole[2] if whole else node['pattern']}`"
    return str(name)


# Commands ------------------------------------------------------------------------------------------------------------------------


def _command(name: str) -> click.Command:
    command = modelship.get_command(click.Context(modelship), name)
    if command is None:
        raise SystemExit(f"there is no command `{name}`")
    return command


def commands_page() -> str:
    """`docs/reference/commands.md`."""
    parts = [
        "`modelship` is `scripts/run` of a clone of this repository; `alias modelship=~/.modelship/scripts/run` calls it so.",
        "Every option can come from the environment as well: `--base` of `modelship metric-gate` from `MODELSHIP_METRIC_GATE_BASE`. "
        "That is how the actions hand their inputs over.",
        "## Exit codes",
        table(
            ["code", "means"],
            [
                ("0", "pass"),
                ("1", "the verdict is no"),
                ("2", "bad input or configuration; the message says where and what to do"),
                ("3", "infrastructure: something outside the repository did not answer"),
            ],
        ),
        "## modelship",
        _help(modelship, "modelship"),
    ]
    for name in COMMANDS:
        parts += [f"## modelship {name}", _help(_command(name), f"modelship {name}")]
    return page("Commands", *parts)


def _help(command: click.Command, name: str) -> str:
    context = click.Context(command, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH, help_option_names=["-h", "--help"])
    return f"```text\n{command.get_help(context).rstrip()}\n```"


# Records -------------------------------------------------------------------------------------------------------------------------


def _listed(names: Iterable[str]) -> str:
    *some, last = (code(name) for name in names)
    return f"{', '.join(some)} and {last}"


def records_page() -> str:
    """`docs/reference/records.md`."""
    notes = {**_field_notes(records), **_field_notes(errors)}
    common = [field.name for field in msgspec.structs.fields(records.Record)]
    parts = [
        f"{_listed(records.RECORDS)} each write `.modelship/<command>.json` beside `modelship.yaml`. "
        "A record says what it is in `record` (name and version of the format); "
        "a field or a value that is not listed here makes it invalid.",
        "## Every record",
        _fields(records.Record, notes, keep=common),
    ]
    seen: list[type[msgspec.Struct]] = [records.Record, *_COMMANDS]
    pending: list[type[msgspec.Struct]] = []
    for name, type_ in records.RECORDS.items():
        parts += [
            f"## {name}",
            f"{_doc(type_)} `record` is `{type_.__struct_config__.tag}`.",
            _fields(type_, notes, skip=common),
        ]
        pending += _nested(type_)
    pending = [*_nested(records.Record), *pending]
    while pending:
        part = pending.pop(0)
        if part in seen:
            continue
        seen.append(part)
        parts += [f"## {part.__name__}", _doc(part), _fields(part, notes)]
        pending += _nested(part)
    return page("Records", *parts)


def _doc(type_: type) -> str:
    return " ".join(inspect.cleandoc(type_.__doc__ or "").split())


def _field_notes(module: Any) -> dict[tuple[str, str], str]:
    """The texts below the fields of a module's classes, by class and field."""
    notes: dict[tuple[str, str], str] = {}
    for owner in ast.parse(inspect.getsource(module)).body:
        if not isinstance(owner, ast.ClassDef):
            continue
        for field, text in zip(owner.body, owner.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            ):
                notes[owner.name, field.target.id] = " ".join(str(text.value.value).split())
    return notes


def _fields(
    type_: type[msgspec.Struct], notes: Mapping[tuple[str, str], str], *, keep: Sequence[str] = (), skip: Sequence[str] = ()
) -> str:
    info = msgspec.inspect.type_info(type_)
    assert isinstance(info, msgspec.inspect.StructType)
    owners = [owner.__name__ for owner in type_.__mro__]
    rows = []
    for field in info.fields:
        if field.name in skip or (keep and field.name not in keep):
            continue
        note = next((notes[owner, field.name] for owner in owners if (owner, field.name) in notes), "")
        rows.append((code(field.encode_name), _type(field.type), "yes" if field.required else "", note))
    return table(["field", "type", "required", "what it is"], rows)


def _type(type_: Any) -> str:
    """A type in words; a type of ours as a link."""
    match type_:
        case msgspec.inspect.Metadata():
            return _type(type_.type)
        case msgspec.inspect.UnionType():
            return " or ".join(_type(option) for option in type_.types)
        case msgspec.inspect.StructType() if type_.cls in _COMMANDS:
            return f"[record of {_COMMANDS[type_.cls]}](#{_COMMANDS[type_.cls]})"
        case msgspec.inspect.StructType():
            return f"[{type_.cls.__name__}](#{type_.cls.__name__.lower()})"
        case msgspec.inspect.TupleType():
            return f"list of {len(type_.item_types)} {_type(type_.item_types[0])}s"
        case msgspec.inspect.VarTupleType() | msgspec.inspect.ListType():
            return f"list of {_type(type_.item_type)}"
        case msgspec.inspect.DictType():
            return f"mapping of {_type(type_.key_type)} to {_type(type_.value_type)}"
        case msgspec.inspect.LiteralType():
            return " or ".join(code(value) for value in type_.values)
        case msgspec.inspect.NoneType():
            return "null"
    simple = {"StrType": "text", "IntType": "integer", "FloatType": "number", "BoolType": "boolean", "DateTimeType": "time"}
    return simple[type(type_).__name__]


def _nested(type_: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """The types of ours that a type's fields hold."""

    def structs(node: Any) -> Iterator[type[msgspec.Struct]]:
        if isinstance(node, msgspec.inspect.StructType):
            yield node.cls
            return
        for name in ("type", "types", "item_type", "key_type", "value_type"):
            child = getattr(node, name, ())
            for part in child if isinstance(child, tuple) else (child,):
                yield from structs(part)

    info = msgspec.inspect.type_info(type_)
    assert isinstance(info, msgspec.inspect.StructType)
    return [found for field in info.fields for found in structs(field.type)]


# Everything ----------------------------------------------------------------------------------------------------------------------


def pages() -> dict[Path, str]:
    """Every generated file with its text, the table in README.md included where there is a README.md."""
    reference = ROOT / "docs" / "reference"
    found = {ROOT / "actions" / name / "README.md": action_page(name) for name in action_names()}
    found |= {
        reference / "commands.md": commands_page(),
        reference / "configuration.md": configuration_page(),
        reference / "records.md": records_page(),
        reference / "workflows.md": workflows_page(),
        ROOT / "docs" / "modelship.schema.json": json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n",
    }
    readme = ROOT / "README.md"
    if readme.exists():
        found[readme] = _with_actions(readme.read_text(encoding="utf-8"))
    return found


def _with_actions(text: str) -> str:
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise SystemExit(f"README.md: the table of actions belongs between one {BEGIN} and one {END}.")
    return pattern.sub(lambda _: f"{BEGIN}\n{actions_table()}\n{END}", text)


def main() -> int:
    """Write or check. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a page is out of date")
    check = parser.parse_args().check
    wanted = pages()
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    left_over = sorted(set((ROOT / "docs" / "reference").glob("*.md")) - set(wanted))
    for path in stale:
        print(f"{'out of date' if check else 'written'}: {path.relative_to(ROOT).as_posix()}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8")
    for path in left_over:
        print(f"{'not generated' if check else 'removed'}: {path.relative_to(ROOT).as_posix()}")
        if not check:
            path.unlink()
    if check and (stale or left_over):
        print("Run: python docs/reference.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
