"""Raw records and a template to checked, content-addressed JSON Lines (docs/contracts.md §2)."""

from tunestack.dataset.check import check_dataset, check_files
from tunestack.dataset.compile import CompiledDataset, compile_dataset
from tunestack.dataset.digest import CompiledFile
from tunestack.dataset.findings import DatasetRefused, Finding
from tunestack.dataset.render import render_prompt
from tunestack.dataset.report import Report, json_report, terminal_report

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
