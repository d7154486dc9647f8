"""Checks comparisons such as `${kind == 'deep'}` against what the parameter can be, evaluated or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netspec.spec.expressions.expression import comparisons_in, has_expression
from netspec.spec.parameters.declarations import Declaration, identity_of, read_declarations, unlike_type
from netspec.spec.text.document import DocumentNode, MappingNode, Position, Problems, quote, scalars_in, text_of
from netspec.spec.text.hints import did_you_mean
from netspec.spec.text.scalars import lookalike, scalar_text

Declarations = Mapping[str, Declaration]


def check_comparisons(document: MappingNode, problems: Problems) -> None:
    """Report comparisons of a parameter with a constant that is not one of its choices or not of its type."""
    declared = _declared(document)
    for key, entry in document.entries.items():
        if key == "blocks" and isinstance(entry.value, MappingNode):
            for block in entry.value.entries.values():
                if isinstance(block.value, MappingNode):
                    _check(block.value, declared | _declared(block.value), problems)
        else:
            _check(entry.value, declared, problems)


def _declared(node: MappingNode) -> dict[str, Declaration]:
    """The declared parameters of the spec or of a block. Their problems are reported elsewhere."""
    return read_declarations(node.get("parameters"), Problems())


def _check(node: DocumentNode, declared: Declarations, problems: Problems) -> None:
    for text, at in _compared(node):
        for name, constant in comparisons_in(text):
            declaration = declared.get(name)
            # A base file may compare with choices that a derived file has taken away.
            if declaration is not None and at.source.order <= declaration.at.source.order:
                _check_one(declaration, constant, at, problems)


def _check_one(declaration: Declaration, constant: str | float, at: Position, problems: Problems) -> None:
    if declaration.choices:
        if identity_of(constant) in map(identity_of, declaration.choices):
            return
        hint = did_you_mean(scalar_text(constant), map(scalar_text, declaration.choices))
    elif unlike_type(constant, declaration.type):
        hint = lookalike(constant) if isinstance(constant, str) else ""
        if declaration.type == "boolean":
            hint = f"`{declaration.name}` alone is a condition, `not {declaration.name}` its opposite"
    else:
        return
    shown = quote(constant) if isinstance(constant, str) else scalar_text(constant)
    problems.add(at, f"{quote(declaration.name)} is never {shown}: it is {declaration.expected}", hint)


def _compared(node: DocumentNode) -> Iterator[tuple[str, Position]]:
    """The strings that may hold comparisons, with their positions."""
    for scalar in scalars_in(node):
        text = text_of(scalar)
        if has_expression(text) and ("==" in text or "!=" in text):
            yield text, scalar.at
