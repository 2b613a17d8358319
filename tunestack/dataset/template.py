"""Jinja2 templates that turn a record into a prompt or a target, and a text into the prompt served later.

Strict (an undefined name is an error), sandboxed, without autoescape, and without the parts of Jinja2 that give
another result each time. A template of nothing but text and column names is lowered to one `%`, which gives the
same string some ten times as fast; all others go through Jinja2's own render function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunestack.dataset.findings import Finding
from tunestack.dataset.formats.format import Violation
from tunestack.spec.suggestion import nearest

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.sandbox import SandboxedEnvironment

_RANDOM_GLOBALS, _RANDOM_FILTERS = ("lipsum",), ("random",)


class TemplateFault(Exception):
    """A template that cannot be parsed, or that a record cannot be rendered with.

    ``line`` and ``column`` are the template's, from 1 (column 0: the whole line). ``code`` and ``path`` are those
    of the finding at the record, ``path`` being the JSON path of the value within it.
    """

    def __init__(
        self,
        message: str,
        file: str,
        line: int,
        fix: str = "",
        column: int = 0,
        code: str = "template-error",
        path: str = "$",
    ) -> None:
        super().__init__(f"{message} ({file}:{line})")
        self.message, self.file, self.line, self.fix = message, file, line, fix
        self.column, self.code, self.path = column, code, path

    def finding(self) -> Finding:
        """The fault as a finding in the template itself."""
        return Finding(self.file, self.line, self.column, self.code, "", self.message, self.fix)

    @property
    def violation(self) -> Violation:
        """The fault as what is wrong with the record."""
        message = f"{self.message} (template: {Path(self.file).name}:{self.line})"
        return Violation(self.path, self.code, message, self.fix or "mend the template or the row")


@cache
def _environment() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, extensions=["jinja2.ext.loopcontrols"]
    )
    # What the chat templates of Hugging Face's tokenizers call where a conversation is not to their taste.
    environment.globals["raise_exception"] = _raise_exception
    for name in _RANDOM_GLOBALS:
        del environment.globals[name]
    for name in _RANDOM_FILTERS:
        del environment.filters[name]
    return environment


def _raise_exception(message: object) -> str:
    from jinja2 import TemplateRuntimeError

    raise TemplateRuntimeError(str(message))


class PromptTemplate:
    """One template over a set of columns.

    ``columns`` maps every column that a record has to its type; ``file`` stands for the template in messages, which
    begins there at ``line`` and ``column`` (0: the whole line). Raises TemplateFault where the source is no template
    or names something that is no column.
    """

    def __init__(
        self, source: str, file: str, columns: Mapping[str, str], line: int = 1, column: int = 0
    ) -> None:
        from jinja2 import TemplateSyntaxError, meta, nodes

        environment = _environment()
        self.file, self._first, self._column = file, line, column
        try:
            source.encode()
            tree = environment.parse(source)
            names = meta.find_undeclared_variables(tree)
            self._template = environment.from_string(source)
        except UnicodeEncodeError as error:
            at = source.count("\n", 0, error.start) + 1
            raise self._fault("half of a character", at, "write the whole character") from None
        except TemplateSyntaxError as error:
            raise self._fault(error.message or "not a Jinja2 template", error.lineno) from None
        self.columns = tuple(name for name in columns if name in names)
        # Jinja2 counts a name that only one branch sets as undeclared; whether it is set, each record shows.
        assigned = {node.name for node in tree.find_all(nodes.Name) if node.ctx == "store"}
        assigned.update(macro.name for macro in tree.find_all(nodes.Macro))
        unknown = names - set(columns) - assigned
        for node in tree.find_all(nodes.Name):
            if node.name in unknown and node.name not in environment.globals:
                meant = nearest(node.name, columns)
                fix = f"write `{meant}`" if meant else f"the columns are {', '.join(columns)}"
                raise self._fault(f"`{node.name}` is no column", node.lineno, fix)
        # shared=True leaves Jinja2's globals out of the context, which is most of its cost.
        self._shared = environment.globals.keys().isdisjoint(names - set(columns))
        self._context = self._template.new_context({}, shared=True)
        self.lowered = _lowered(tree, columns)

    def render(self, values: Mapping[str, Any]) -> str:
        """The text for one record. Raises TemplateFault with the template's line."""
        if self.lowered is not None:
            return self.lowered(values)
        try:
            # Making a context costs a third of the whole; what a template can leave in one is cleared.
            context, root = self._context, self._template.root_render_func
            context.parent = values if self._shared else {**self._template.globals, **values}  # type: ignore[assignment]
            context.vars.clear()
            context.exported_vars.clear()
            text = "".join(root(context))
            text.isascii() or text.encode()  # an expression can make half a character
        except Exception:  # a template can raise anything; render() names the template's line
            self._context = self._template.new_context({}, shared=True)  # this one was left half-way
            return self.render_by_jinja(values)
        return text

    @property
    def rendering(self) -> Callable[[Mapping[str, Any]], str]:
        """As render, without the way there."""
        return self.lowered or self.render

    def render_by_jinja(self, values: Mapping[str, Any]) -> str:
        """As render, by `Template.render`: what the faster ways must equal."""
        try:
            text = self._template.render(values)
            text.encode()
        except UnicodeEncodeError:
            raise self._fault("the template renders half of a character", 1, code="lone-surrogate") from None
        except Exception as error:
            raise self._fault(str(error) or type(error).__name__, _line(error)) from None
        return text

    def _fault(self, message: str, line: int, fix: str = "", code: str = "template-error") -> TemplateFault:
        column = self._column if line == 1 else 0
        return TemplateFault(message, self.file, line + self._first - 1, fix, column, code)


def _lowered(tree: nodes.Template, columns: Mapping[str, str]) -> Callable[[Mapping[str, Any]], str] | None:
    """The template as one `%` of the values, if it is text and names of columns only.

    Both Jinja2 and `%s` put a value in by `str()`.
    """
    from jinja2 import nodes

    parts: list[str] = []
    for statement in tree.body:
        if not isinstance(statement, nodes.Output):
            return None
        for node in statement.nodes:
            if isinstance(node, nodes.TemplateData):
                parts.append(node.data.replace("%", "%%"))
            elif isinstance(node, nodes.Name) and node.name in columns:
                parts.append(f"%({node.name})s")
            else:
                return None
    return "".join(parts).__mod__


def _line(error: BaseException) -> int:
    line, trace = 1, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
