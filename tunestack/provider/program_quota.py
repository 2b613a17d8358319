"""Quotas, as a Pulumi program declares them."""

from __future__ import annotations

from collections.abc import Mapping

from pulumi import Input, ResourceOptions

from tunestack.provider.declaring import Declared, OutputOf


class Grant(Declared):
    """A quota that must be granted, in the way of everything that needs it: ``depends_on=[grant]``.

    Named by ``quota_id`` or ``metric``; ``dimensions`` such as ``{"region": "us-central1"}``. What is missing turns the
    update red, unless ``request`` is true: then it is asked for (``contact_email``, ``justification``) and waited for.
    """

    project = OutputOf[str]("project")
    granted = OutputOf[int]("granted")
    preference = OutputOf[str]("preference")
    reconciling = OutputOf[bool]("reconciling")
    state_detail = OutputOf[str]("stateDetail")

    def __init__(
        self,
        resource_name: str,
        *,
        at_least: Input[int],
        quota_id: Input[str] | None = None,
        metric: Input[str] | None = None,
        dimensions: Input[Mapping[str, Input[str]]] | None = None,
        service: Input[str] | None = None,
        request: Input[bool] | None = None,
        contact_email: Input[str] | None = None,
        justification: Input[str] | None = None,
        project: Input[str] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "at_least": at_least,
            "quota_id": quota_id,
            "metric": metric,
            "dimensions": dimensions,
            "service": service,
            "request": request,
            "contact_email": contact_email,
            "justification": justification,
            "project": project,
        }
        super().__init__("tunestack:quota:Grant", resource_name, inputs, opts)
