"""Enough of GraphQL to read a query and pick the fields it asks for.

Understood: one or several operations with variables and defaults, aliases, arguments of every value type,
named and inline fragments, `__typename`, `@include` and `@skip`. Not understood: mutations, introspection.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(
    r'(?P<skip>(?:[\s,\ufeff]|#[^\n]*)+)|(?P<token>\.\.\.|[!$():=@\[\]{}|&]|"(?:\\.|[^"\\\n])*"'
    r"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[_A-Za-z]\w*)"
)


class GraphQLError(Exception):
    """The document cannot be read or carried out; `entry` is an element of the answer's `errors`."""

    def __init__(self, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.entry = {"message": message, **extra}


@dataclass(frozen=True, slots=True)
class Variable:
    """A value that is given beside the document."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field asked for; `key` is its alias or name. `selections` is `None` when it has no braces."""

    name: str
    key: str
    arguments: Mapping[str, Any]
    selections: tuple[Selection, ...] | None
    line: int
    column: int
    directives: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spread:
    """`...Name`."""

    name: str


@dataclass(frozen=True, slots=True)
class Inline:
    """`... on Type { }` or `... { }`."""

    selections: tuple[Selection, ...]


Selection = Field | Spread | Inline


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An operation; `variables` maps a name to its default, or to `...` when it must be given."""

    name: str
    variables: Mapping[str, Any]
    selections: tuple[Selection, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A whole request's text."""

    operations: tuple[Operation, ...]
    fragments: Mapping[str, tuple[Selection, ...]]

    def operation(self, name: str | None) -> Operation:
        """The operation of that name, or the only one."""
        found = [operation for operation in self.operations if name in (None, "", operation.name)]
        if len(found) != 1:
            raise GraphQLError("An operation name is required" if found else f"No operation named {name}")
        return found[0]

    def fields(self, selections: tuple[Selection, ...], variables: Mapping[str, Any]) -> list[Field]:
        """The fields of a selection set with its fragments and conditions resolved."""
        flat: list[Field] = []
        for selection in selections:
            if isinstance(selection, Field):
                if _included(selection, variables):
                    flat.append(selection)
            elif isinstance(selection, Inline):
                flat.extend(self.fields(selection.selections, variables))
            elif selection.name in self.fragments:
                flat.extend(self.fields(self.fragments[selection.name], variables))
            else:
                raise GraphQLError(f"Fragment {selection.name} was used, but not defined")
        return flat


def resolve(value: Any, variables: Mapping[str, Any]) -> Any:
    """An argument with its variables put in."""
    if isinstance(value, Variable):
        if value.name not in variables:
            raise GraphQLError(f"Variable ${value.name} is used but not declared")
        return variables[value.name]
    if isinstance(value, list):
        return [resolve(item, variables) for item in value]
    if isinstance(value, dict):
        return {name: resolve(item, variables) for name, item in value.items()}
    return value


def bind(operation: Operation, given: Mapping[str, Any]) -> dict[str, Any]:
    """The operation's variables with what was given; an error when a required one is missing."""
    bound = {}
    for name, default in operation.variables.items():
        value = given.get(name, default)
        if value is ... or (value is None and default is ...):
            raise GraphQLError(f"Variable ${name} of a required type was provided invalid value")
        bound[name] = value
    return bound


def pick(
    document: Document,
    selections: tuple[Selection, ...] | None,
    value: Any,
    variables: Mapping[str, Any],
    path: tuple[str, ...],
) -> Any:
    """The part of `value` that is asked for. A callable in it is called with the field's arguments."""
    if isinstance(value, list):
        return [pick(document, selections, item, variables, path) for item in value]
    if not isinstance(value, Mapping):
        if selections is not None and value is not None:
            raise GraphQLError(f"Field '{path[-1]}' is a scalar and has no selections", path=list(path))
        return value
    if selections is None:
        raise GraphQLError(f"Field '{path[-1]}' must have selections", path=list(path))
    picked: dict[str, Any] = {}
    for asked in document.fields(selections, variables):
        where = (*path, asked.name)
        if asked.name not in value:
            kind = value.get("__typename", "Object")
            raise GraphQLError(
                f"Field '{asked.name}' doesn't exist on type '{kind}'",
                path=list(where),
                extensions={"code": "undefinedField", "typeName": kind, "fieldName": asked.name},
                locations=[{"line": asked.line, "column": asked.column}],
            )
        inner = value[asked.name]
        if callable(inner):
            inner = inner(resolve(dict(asked.arguments), variables))
        picked[asked.key] = pick(document, asked.selections, inner, variables, where)
    return picked


def parse_document(text: str) -> Document:
    """Read a request's text; `GraphQLError` when it is not GraphQL."""
    return _Parser(text).document()


def _included(asked: Field, variables: Mapping[str, Any]) -> bool:
    include = asked.directives.get("include", {}).get("if", True)
    skip = asked.directives.get("skip", {}).get("if", False)
    return bool(resolve(include, variables)) and not bool(resolve(skip, variables))


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, int, int]] = []
        self._next = 0
        position, line, line_start = 0, 1, 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                where = _location(line, position - line_start + 1)
                raise GraphQLError(f"Parse error on {text[position]!r}", locations=[where])
            if match["token"]:
                self._tokens.append((match["token"], line, position - line_start + 1))
            elif breaks := match["skip"].count("\n"):
                line += breaks
                line_start = match.start() + match["skip"].rindex("\n") + 1
            position = match.end()

    def document(self) -> Document:
        operations: list[Operation] = []
        fragments: dict[str, tuple[Selection, ...]] = {}
        while self._peek():
            if self._peek() == "fragment":
                self._take()
                name = self._name()
                self._take("on")
                self._name()
                fragments[name] = self._selections()
            else:
                operations.append(self._operation())
        return Document(operations=tuple(operations), fragments=fragments)

    def _operation(self) -> Operation:
        if self._peek() == "{":
            return Operation(name="", variables={}, selections=self._selections())
        self._take("query")
        name = self._name() if self._peek() not in ("(", "{") else ""
        variables: dict[str, Any] = {}
        if self._peek() == "(":
            self._take()
            while self._peek() != ")":
                self._take("$")
                variable = self._name()
                self._take(":")
                variables[variable] = ... if self._type_is_required() else None
                if self._peek() == "=":
                    self._take()
                    variables[variable] = self._value()
            self._take()
        return Operation(name=name, variables=variables, selections=self._selections())

    def _type_is_required(self) -> bool:
        if self._peek() == "[":
            self._take()
            self._type_is_required()
            self._take("]")
        else:
            self._name()
        if self._peek() == "!":
            self._take()
            return True
        return False

    def _selections(self) -> tuple[Selection, ...]:
        self._take("{")
        found: list[Selection] = []
        while self._peek() != "}":
            found.append(self._fragment() if self._peek() == "..." else self._field())
        self._take()
        return tuple(found)

    def _fragment(self) -> Selection:
        self._take("...")
        if self._peek() == "on":
            self._take()
            self._name()
        elif self._peek() != "{":
            return Spread(self._name())
        return Inline(self._selections())

    def _field(self) -> Field:
        _, line, column = self._tokens[self._next] if self._next < len(self._tokens) else ("", 0, 0)
        key = name = self._name()
        if self._peek() == ":":
            self._take()
            name = self._name()
        arguments = self._arguments()
        directives: dict[str, Mapping[str, Any]] = {}
        while self._peek() == "@":
            self._take()
            directive = self._name()
            directives[directive] = self._arguments()
        selections = self._selections() if self._peek() == "{" else None
        return Field(
            name=name,
            key=key,
            arguments=arguments,
            selections=selections,
            line=line,
            column=column,
            directives=directives,
        )

    def _arguments(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self._peek() == "(":
            self._take()
            while self._peek() != ")":
                name = self._name()
                self._take(":")
                found[name] = self._value()
            self._take()
        return found

    def _value(self) -> Any:
        word = self._take()
        if word == "$":
            return Variable(self._name())
        if word == "[":
            return self._until("]", self._value)
        if word == "{":
            return dict(self._until("}", self._pair))
        if word.startswith('"') or word[0] in "-0123456789":
            return json.loads(word)
        # What is none of these is an enumeration's value.
        return {"true": True, "false": False, "null": None}.get(word, word)

    def _pair(self) -> tuple[str, Any]:
        name = self._name()
        self._take(":")
        return name, self._value()

    def _until(self, end: str, read: Callable[[], Any]) -> list[Any]:
        found = []
        while self._peek() != end:
            found.append(read())
        self._take()
        return found

    def _peek(self) -> str:
        return self._tokens[self._next][0] if self._next < len(self._tokens) else ""

    def _name(self) -> str:
        token = self._take()
        if not re.fullmatch(r"[_A-Za-z]\w*", token):
            raise GraphQLError(f"Expected NAME, actual: {token!r}")
        return token

    def _take(self, wanted: str = "") -> str:
        if self._next >= len(self._tokens):
            raise GraphQLError("Unexpected end of document")
        token, line, column = self._tokens[self._next]
        if wanted and token != wanted:
            raise GraphQLError(f"Expected {wanted!r}, actual: {token!r}", locations=[_location(line, column)])
        self._next += 1
        return token


def _location(line: int, column: int) -> dict[str, int]:
    return {"line": line, "column": column}
