"""The text of a document: rendered with Jinja2, parsed as YAML, every node with its place in the file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from tunestack.spec.errors import Problem, TunestackError
from tunestack.spec.suggestion import listed, nearest, write


@dataclass(frozen=True)
class Place:
    """Where a mark in the (rendered) text lies in the file."""

    name: str
    lines: Sequence[int] | None = None  # of each rendered line, the line in the source it came from

    def line(self, rendered: int) -> int:
        """The source's line, counted from 1, of a rendered line counted from 0."""
        if self.lines is None:
            return rendered + 1
        return self.lines[min(rendered, len(self.lines) - 1)]

    def at(self, mark: yaml.Mark | None) -> str:
        """`file:line:column` of a mark."""
        return f"{self.name}:{self.line(mark.line)}:{mark.column + 1}" if mark is not None else self.name


# After each line break of the template's own text the lexer plants the number of the source line, so that a
# place in the rendered text leads back to the source whatever loops and conditions did. NUL is not YAML.
_MARKER = re.compile("\x00([0-9]+)\x00")


def render(source: str, name: str, variables: Mapping[str, str]) -> tuple[str, Place]:
    """The rendered text and the way from its lines back to the source's. Raises TunestackError."""
    from jinja2 import StrictUndefined, TemplateSyntaxError, UndefinedError, meta, nodes
    from jinja2.ext import Extension
    from jinja2.lexer import Token, TokenStream
    from jinja2.sandbox import SandboxedEnvironment

    class LineMarkers(Extension):
        def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
            for token in stream:
                if token.type == "data":
                    first, *rest = token.value.split("\n")
                    numbered = (
                        f"\n\x00{number}\x00{text}" for number, text in enumerate(rest, token.lineno + 1)
                    )
                    token = Token(token.lineno, token.type, first + "".join(numbered))
                yield token

    environment = SandboxedEnvironment(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
        extensions=[LineMarkers],
    )
    source = source.replace("\x00", "\ufffd")
    try:
        tree = environment.parse(source)
    except TemplateSyntaxError as error:
        problem = Problem(
            "template-syntax", error.message or "not a Jinja2 template", f"{name}:{error.lineno}"
        )
        raise TunestackError(problem) from None
    undeclared = meta.find_undeclared_variables(tree) - set(variables) - set(environment.globals)
    undefined = {(node.name, node.lineno) for node in tree.find_all(nodes.Name) if node.name in undeclared}
    if undefined:
        raise TunestackError(
            *(
                Problem(
                    "undefined-variable",
                    f"the variable `{variable}` is not defined",
                    f"{name}:{line}",
                    need=listed(sorted(variables)),
                    fix=write(nearest(variable, variables)),
                )
                for variable, line in sorted(undefined, key=lambda pair: (pair[1], pair[0]))
            )
        )
    try:
        rendered = environment.from_string(tree).render(**variables)
    except Exception as error:  # a template can raise anything; all of it is the template's fault
        line = _template_line(error)
        code = "undefined-variable" if isinstance(error, UndefinedError) else "template-error"
        raise TunestackError(Problem(code, str(error) or type(error).__name__, f"{name}:{line}")) from None
    lines, current = [], 1
    for text in rendered.split("\n"):
        if marker := _MARKER.search(text):
            current = int(marker[1])
        lines.append(current)
    return _MARKER.sub("", rendered), Place(name, lines)


def _template_line(error: BaseException) -> int:
    line, trace = 1, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


TAG = "tag:yaml.org,2002:"
_MAPPING, _SEQUENCE, _TEXT = f"{TAG}map", f"{TAG}seq", f"{TAG}str"
# The YAML 1.2 core schema (https://yaml.org/spec/1.2.2/#1032-tag-resolution).
_CORE = {
    "null": r"(?:~|null|Null|NULL|)",
    "bool": r"(?:true|True|TRUE|false|False|FALSE)",
    "int": r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)",
    "float": r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))",
}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str | None, Any] = {}  # noqa: RUF012 - PyYAML's own name and shape


for _kind, _pattern in _CORE.items():
    _Loader.add_implicit_resolver(TAG + _kind, re.compile(f"^{_pattern}$"), None)


def compose(source: str, place: Place) -> yaml.Node:
    """The node tree of the one YAML document in ``source``. Raises TunestackError where it is not YAML."""
    try:
        loader = _Loader(source)
        root = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        line = source.count("\n", 0, error.position)
        column = error.position - (source.rfind("\n", 0, error.position) + 1)
        where = f"{place.name}:{place.line(line)}:{column + 1}"
        character = error.character if isinstance(error.character, int) else ord(error.character)
        raise TunestackError(
            Problem("yaml-syntax", f"the character U+{character:04X} cannot stand in YAML", where)
        ) from None
    except yaml.MarkedYAMLError as error:
        message = ", ".join(part for part in (error.context, error.problem) if part)
        problem = Problem(
            "yaml-syntax", f"not YAML: {message}", place.at(error.problem_mark or error.context_mark)
        )
        raise TunestackError(problem) from None
    except RecursionError:
        raise TunestackError(Problem("yaml-syntax", "nested too deeply", place.name)) from None
    if root is None:
        raise TunestackError(Problem("yaml-syntax", "the file is empty", place.name))
    return root


def malformed(root: yaml.Node, place: Place) -> Iterator[tuple[yaml.Mark, Problem]]:
    """What YAML would let pass: keys that stand twice, keys that are not text, tags, aliases.

    Aliases are refused because they let a small file stand for a huge or endless one.
    """

    def found(
        code: str, message: str, node: yaml.Node, have: str = "", fix: str = ""
    ) -> tuple[yaml.Mark, Problem]:
        return node.start_mark, Problem(code, message, place.at(node.start_mark), have=have, fix=fix)

    pending, seen = [root], set[int]()
    while pending:
        node = pending.pop()
        if id(node) in seen:
            yield found(
                "yaml-alias", "an alias (*) repeats this part", node, fix="write it out in both places"
            )
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            kind = node.tag.removeprefix(TAG)
            if node.tag != _TEXT and (kind not in _CORE or not re.fullmatch(_CORE[kind], node.value)):
                yield found("yaml-tag", f"the tag {node.tag} has no meaning here", node)
            elif kind == "int" and len(node.value) > 4000:  # int() refuses more than 4,300 digits
                yield found("value-invalid", "the number is too long", node)
            elif any("\ud800" <= character <= "\udfff" for character in node.value):
                yield found("value-invalid", "half of a surrogate pair is not a character", node)
        elif node.tag not in (_MAPPING, _SEQUENCE):
            yield found("yaml-tag", f"the tag {node.tag} has no meaning here", node)
        elif isinstance(node, yaml.SequenceNode):
            pending.extend(reversed(node.value))
        else:
            lines: dict[str, int] = {}
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    yield found("yaml-syntax", "a key must be text", key)
                elif key.value in lines:
                    earlier = f"the first is on line {lines[key.value]}"
                    yield found(
                        "duplicate-key", f"the key `{key.value}` stands twice", key, earlier, "delete one"
                    )
                else:
                    lines[key.value] = place.line(key.start_mark.line)
            pending.extend(part for pair in reversed(node.value) for part in reversed(pair))


def plain(node: yaml.Node) -> Any:
    """The node as plain Python values; the tree has passed `malformed`."""
    if isinstance(node, yaml.MappingNode):
        # Of a key that stands twice the first counts, as it does for places.
        members: dict[str, Any] = {}
        for key, inner in node.value:
            members.setdefault(key.value, plain(inner))
        return members
    if isinstance(node, yaml.SequenceNode):
        return [plain(item) for item in node.value]
    text: str = node.value
    match node.tag.removeprefix(TAG):
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        case "float":
            return float(text.replace(".inf", "inf").replace(".nan", "nan") if text[-1].isalpha() else text)
        case _:
            return text
