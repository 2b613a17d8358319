"""Raw records and a template to checked, content-addressed JSON Lines (docs/contracts.md §2).

Each name is imported when it is first asked for: a check of a small file needs few of these modules.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunestack.dataset.check import check_dataset, check_files
    from tunestack.dataset.compile import CompiledDataset, compile_dataset
    from tunestack.dataset.digest import CompiledFile
    from tunestack.dataset.findings import DatasetRefused, Finding
    from tunestack.dataset.report import Report, json_report, terminal_report
    from tunestack.dataset.serving import render_prompt

__all__ = [
    "CompiledDataset",
    "CompiledFile",
    "DatasetRefused",
    "Finding",
    "Report",
    "check_dataset",
    "check_files",
    "compile_dataset",
    "json_report",
    "render_prompt",
    "terminal_report",
]

_MODULES = {
    "CompiledDataset": "compile",
    "CompiledFile": "digest",
    "DatasetRefused": "findings",
    "Finding": "findings",
    "Report": "report",
    "check_dataset": "check",
    "check_files": "check",
    "compile_dataset": "compile",
    "json_report": "report",
    "render_prompt": "serving",
    "terminal_report": "report",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
