"""What every kind of job on Vertex AI has in common: where it is found, and what its JSON says. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from tunestack.spec.spec_hash import SPEC_HASH_LABEL
from tunestack.vertex.job_state import StateRule, short_state, state_rule

_OF_EVERY_KIND = "name,state,labels,createTime,startTime,endTime,error"


@dataclass(frozen=True)
class JobCollection:
    """One kind of job in the REST surface.

    ``segment``: its part of the path, ``pipelineJobs``, which is also the key of a list's answer. ``version`` of the
    API that it is read by. ``id_parameter``: query parameter of an id chosen by the caller; None where the server
    names its jobs. ``deletable``: whether a record can be deleted. ``told``: the fields, beside those of every kind, in
    which a job tells how it is and what came of it, as a selection of Google's partial responses.
    """

    segment: str
    noun: str
    version: str = "v1"
    id_parameter: str | None = None
    deletable: bool = True
    told: str = ""

    @property
    def fields(self) -> str:
        """What a list has to say of jobs that are waited for: not what they were submitted with, most of each answer.

        ``fields`` is a parameter of every method of every Google API (``$fields``, cloud.google.com/apis/docs/
        system-parameters); ``readMask``, which pipeline and custom jobs have for it too, is missing in tuning jobs'.
        """
        told = ",".join(filter(None, (_OF_EVERY_KIND, self.told)))
        return f"{self.segment}({told}),nextPageToken"

    def parent(self, project: str, location: str) -> str:
        """``projects/P/locations/L``."""
        return f"projects/{project}/locations/{location}"

    def name(self, project: str, location: str, job_id: str) -> str:
        """Full resource name of a job."""
        return f"{self.parent(project, location)}/{self.segment}/{job_id}"


@dataclass(frozen=True)
class Job:
    """A reading view of a job's JSON; what only one kind has is in its own class."""

    json: Mapping[str, Any]

    collection: ClassVar[JobCollection]

    @property
    def name(self) -> str:
        """Full resource name."""
        return str(self.json.get("name") or "")

    @property
    def state(self) -> str:
        """State without its prefix: ``RUNNING``."""
        return short_state(str(self.json.get("state") or "")) or "UNSPECIFIED"

    @property
    def rule(self) -> StateRule:
        """The row of the state table."""
        return state_rule(self.state)

    @property
    def labels(self) -> Mapping[str, str]:
        """The job's labels."""
        return self.json.get("labels") or {}

    @property
    def spec_hash(self) -> str:
        """The spec hash it was submitted with; empty for a job of someone else."""
        return self.labels.get(SPEC_HASH_LABEL, "")

    @property
    def created(self) -> str:
        """RFC 3339 moment of submission, which also sorts."""
        return str(self.json.get("createTime") or "")

    @property
    def started(self) -> str:
        """RFC 3339 moment at which it began to run; empty before that."""
        return str(self.json.get("startTime") or "")

    @property
    def ended(self) -> str:
        """RFC 3339 moment of its end; empty before that."""
        return str(self.json.get("endTime") or "")

    @property
    def duration_seconds(self) -> float | None:
        """From the start of the run to its end; None before that."""
        if not self.started or not self.ended:
            return None
        seconds = (datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.started)).total_seconds()
        return max(0.0, seconds)

    @property
    def errors(self) -> Sequence[Mapping[str, Any]]:
        """``google.rpc.Status`` of what failed, the most telling first."""
        error = self.json.get("error")
        return [error] if isinstance(error, Mapping) else []

    @property
    def error_code(self) -> int | None:
        """``google.rpc.Code`` of the failure."""
        for error in self.errors:
            code = error.get("code")
            if isinstance(code, int | float | str) and str(code).isdigit():
                return int(code)
        return None

    @property
    def error_message(self) -> str:
        """What failed, in Google's words."""
        messages = [str(error.get("message") or "").strip() for error in self.errors]
        return next((message for message in messages if message), "")

    @property
    def model(self) -> str:
        """Full name of the model it registered, once it did; empty where this kind registers none."""
        return ""

    @property
    def endpoints(self) -> Sequence[str]:
        """Full names of the endpoints that it deployed to, the one to use first."""
        return ()

    @property
    def endpoint(self) -> str:
        """Full name of the endpoint to use; empty before it is deployed."""
        return next(iter(self.endpoints), "")

    @property
    def progress(self) -> str:
        """One short line for the resource's row; the share done comes first, so that a display can draw a bar."""
        return self.state.lower().replace("_", " ")


def number(value: object) -> float | None:
    """A number as Google's JSON writes it: int64 travel as strings. None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None
