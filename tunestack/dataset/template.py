"""Jinja2 templates that turn a record into a prompt or a target, and a text into the prompt served later.

Strict (an undefined name is an error), sandboxed, without autoescape, and without the parts of Jinja2 that give
another result each time. A template of nothing but text and column names is lowered to one join, which gives the
same string some ten times as fast; all others go through Jinja2's own render function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from tunestack.dataset.findings import Finding
from tunestack.spec.suggestion import nearest

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.sandbox import SandboxedEnvironment

_RANDOM_GLOBALS, _RANDOM_FILTERS = ("lipsum",), ("random",)


class TemplateFault(Exception):
    """A template that cannot be parsed or that a record cannot be rendered with."""

    def __init__(self, message: str, file: str, line: int, fix: str = "") -> None:
        super().__init__(f"{message} ({file}:{line})")
        self.message, self.file, self.line, self.fix = message, file, line, fix

    def finding(self) -> Finding:
        """The fault as a finding in the template itself."""
        return Finding(self.file, self.line, 0, "template-error", "", self.message, self.fix)


@cache
def _environment() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    for name in _RANDOM_GLOBALS:
        del environment.globals[name]
    for name in _RANDOM_FILTERS:
        del environment.filters[name]
    return environment


class PromptTemplate:
    """One template over a set of columns.

    ``columns`` maps every column that a record has to its type; ``file`` stands for the template in messages.
    Raises TemplateFault where the source is no template or names something that is no column.
    """

    def __init__(self, source: str, file: str, columns: Mapping[str, str]) -> None:
        from jinja2 import TemplateSyntaxError, meta, nodes

        environment = _environment()
        self.file = file
        try:
            tree = environment.parse(source)
            names = meta.find_undeclared_variables(tree)
            self._template = environment.from_string(source)
        except TemplateSyntaxError as error:
            raise TemplateFault(error.message or "not a Jinja2 template", file, error.lineno) from None
        self.columns = tuple(column for column in columns if column in names)
        for node in tree.find_all(nodes.Name):
            if node.name in names and node.name not in columns and node.name not in environment.globals:
                meant = nearest(node.name, columns)
                fix = f"write `{meant}`" if meant else f"the columns are {', '.join(columns)}"
                raise TemplateFault(f"`{node.name}` is no column", file, node.lineno, fix)
        self.constant_text = "".join(data.data for data in tree.find_all(nodes.TemplateData))
        # shared=True leaves Jinja2's globals out of the context, which is most of its cost.
        self._shared = names <= set(columns)
        self.lowered = _lowered(tree, columns)

    @property
    def only_column(self) -> str | None:
        """The column, where the whole template is `{{ column }}`."""
        return self.columns[0] if len(self.columns) == 1 and not self.constant_text.strip() else None

    def render(self, values: Mapping[str, Any]) -> str:
        """The text for one record. Raises TemplateFault with the template's line."""
        if self.lowered is not None:
            return self.lowered(values)
        try:
            context = self._template.new_context(dict(values), shared=self._shared)
            return "".join(self._template.root_render_func(context))
        except Exception:  # a template can raise anything; render() names the template's line
            return self.render_by_jinja(values)

    def render_by_jinja(self, values: Mapping[str, Any]) -> str:
        """As render, by `Template.render`: what the faster ways must equal."""
        try:
            return self._template.render(values)
        except Exception as error:
            raise TemplateFault(str(error) or type(error).__name__, self.file, _line(error)) from None


def _lowered(tree: nodes.Template, columns: Mapping[str, str]) -> Callable[[Mapping[str, Any]], str] | None:
    """A join, if the template is text and names of string columns only."""
    from jinja2 import nodes

    parts: list[tuple[str, bool]] = []
    for statement in tree.body:
        if not isinstance(statement, nodes.Output):
            return None
        for node in statement.nodes:
            if isinstance(node, nodes.TemplateData):
                parts.append((node.data, False))
            elif isinstance(node, nodes.Name) and columns.get(node.name) == "string":
                parts.append((node.name, True))
            else:
                return None
    return lambda values: "".join([values[part] if named else part for part, named in parts])


def _line(error: BaseException) -> int:
    line, trace = 1, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
