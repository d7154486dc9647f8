"""`netspec ops`: the ops that a layer can have, and their attributes."""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from typing import TYPE_CHECKING, Any

import click

from netspec.cli.console import print_json, print_out, print_table, terminal_width
from netspec.cli.options import json_option
from netspec.cli.table import Column

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from netspec.ops import Op


class OpKind(click.ParamType["type[Op]"]):
    """The name of an op, converted to its class."""

    name = "op"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> type[Op]:
        """Return the class of the op."""
        import difflib

        from netspec.ops import OPS

        if value not in OPS:
            close = difflib.get_close_matches(value, OPS, n=1)
            hint = f"did you mean {close[0]}?" if close else "`netspec ops` lists them"
            self.fail(f"there is no op {value!r}; {hint}", param, ctx)
        return OPS[value]

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names of ops that begin with `incomplete`."""
        del ctx, param
        from click.shell_completion import CompletionItem

        from netspec.ops import OPS

        return [CompletionItem(kind) for kind in OPS if kind.startswith(incomplete)]


@click.command(
    "ops",
    short_help="Show the ops of the language, or one of them in full.",
    epilog="""\b
Examples:
  netspec ops
  netspec ops conv2d
""",
)
@click.argument("op", required=False, type=OpKind(), metavar="[OP]")
@json_option
def command(op: type[Op] | None, as_json: bool) -> None:
    """Show the inputs, attributes, defaults and meaning of every op, or everything about one OP."""
    from netspec.ops import OPS

    if as_json:
        print_json([_describe(cls) for cls in ([op] if op else OPS.values())])
    elif op:
        _print_op(_describe(op))
    else:
        descriptions = [_describe(cls) for cls in OPS.values()]
        rows = [[o["op"], o["inputs"], _signature(o["attributes"]), o["summary"]] for o in descriptions]
        columns = (Column("op"), Column("inputs"), Column("attributes", fold=True), Column("meaning", fold=True))
        print_table(columns, rows)


def _print_op(op: dict[str, Any]) -> None:
    print_out(_filled(f"{op['op']}: {op['description']}"))
    if op["attributes"]:
        print_out()
        rows = [[a["name"], a["type"], "required" if a["required"] else a["default"]] for a in op["attributes"]]
        print_table((Column("attribute"), Column("takes", fold=True), Column("default", fold=True)), rows)
    if op["trap"]:
        print_out(_filled(f"\nWhere frameworks differ: {op['trap']}."))


def _filled(text: str) -> str:
    """A text with its paragraphs filled to the width of a terminal; an indented line is a paragraph of its own."""
    width = terminal_width()
    if width is None:
        return text
    paragraphs: list[str] = []
    for line in text.splitlines():
        if line and paragraphs and paragraphs[-1] and " " not in (line[0], paragraphs[-1][0]):
            paragraphs[-1] += f" {line}"
        else:
            paragraphs.append(line)
    indents = [" " * (len(line) - len(line.lstrip())) for line in paragraphs]
    return "\n".join(
        textwrap.fill(line.strip(), width, initial_indent=indent, subsequent_indent=indent)
        for line, indent in zip(paragraphs, indents, strict=True)
    )


def _signature(attributes: list[dict[str, Any]]) -> str:
    return ", ".join(a["name"] if a["required"] else f"{a['name']}={a['default']}" for a in attributes)


def _describe(op: type[Op]) -> dict[str, Any]:
    """Return everything that the command shows of an op, for JSON and for the tables."""
    schema = op.model_json_schema()
    definitions = schema.get("$defs", {})
    description = inspect.cleandoc(op.__doc__ or "")
    least, most = op.inputs
    attributes = [
        {
            "name": name,
            "type": type_text(schema["properties"][name], definitions),
            "required": field.is_required(),
            "default": None if field.is_required() else _default(field.get_default(call_default_factory=True)),
        }
        for name, field in sorted(op.model_fields.items(), key=lambda item: item[0] == "initialize")
    ]
    return {
        "op": op.kind,
        "inputs": str(least) if least == most else f"{least}+" if most is None else f"{least}-{most}",
        "attributes": attributes,
        "summary": " ".join(re.split(r"\n\n|Shapes:|Source:", description)[0].split()),
        "description": description,
        "trap": op.trap,
    }


def _default(value: Any) -> str:
    """Return a default as it is written in a spec; a size or padding that is equal on all sides is one number."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
        if isinstance(value, dict) and len(set(map(str, value.values()))) == 1:
            value = next(iter(value.values()))
    return value if isinstance(value, str) else json.dumps(value)


def type_text(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """Return the values that an attribute accepts, in words.

    Args:
        schema: the JSON Schema of the attribute.
        definitions: the schemas that a `$ref` can name.

    >>> type_text({"type": "integer", "exclusiveMinimum": 0}, {})
    'integer > 0'
    >>> type_text({"anyOf": [{"enum": ["floor", "ceil"]}, {"type": "null"}]}, {})
    'floor | ceil'
    """
    if "$ref" in schema:
        return type_text(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for key in ("anyOf", "oneOf"):
        if key in schema:
            options = [type_text(s, definitions) for s in schema[key] if s.get("type") != "null"]
            return " or ".join(dict.fromkeys(options))
    if "enum" in schema or "const" in schema:
        return " | ".join(map(str, schema.get("enum", [schema.get("const")])))
    match schema.get("type"):
        case "object" if "properties" in schema:
            return f"{{{', '.join(schema['properties'])}}}"
        case "object":
            return f"{{name: {type_text(schema.get('additionalProperties', {}), definitions)}}}"
        case "array":
            return f"list of {type_text(schema.get('items', {}), definitions)}"
        case kind:
            signs = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
            limits = [f" {sign} {schema[key]}" for key, sign in signs.items() if key in schema]
            return f"{kind or 'anything'}{','.join(limits)}"
