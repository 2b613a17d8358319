"""Votes on served answers to a preference dataset with provenance (docs/feedback.md)."""

from tunestack.dataset.feedback.collection import Collected, CollectOptions, VoteLedger, collect
from tunestack.dataset.feedback.report import json_collection, terminal_collection

__all__ = [
    "CollectOptions",
    "Collected",
    "VoteLedger",
    "collect",
    "json_collection",
    "terminal_collection",
]
