"""Vertex AI: evaluations of models, made elsewhere and imported (aiplatform.v1, v1beta1).

An evaluation is of one version: asked for by a bare model name, the default version's are meant. Its own name has
no version, as the reference writes it.
"""

from __future__ import annotations

from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.services.model_registry import EVALUATIONS, version_row
from tunestack.emulator.services.vertex import listed, named_row

Json = dict[str, Any]

_EVALUATIONS = "aiplatform.projects.locations.models.evaluations"


@implements(f"{_EVALUATIONS}.import")
def import_evaluation(call: Call) -> Json:
    version = version_row(call.state, call.path["parent"])["name"]
    name = f"{version.partition('@')[0]}/evaluations/{call.state.new_id()}"
    row = {**call.body["modelEvaluation"], "name": name, "createTime": call.state.now()}
    return call.state.rows.create(EVALUATIONS, version, name, row)


@implements(f"{_EVALUATIONS}.get")
def get(call: Call) -> Json:
    return named_row(call)


@implements(f"{_EVALUATIONS}.list")
def list_evaluations(call: Call) -> Json:
    version = version_row(call.state, call.path["parent"])["name"]
    return listed(call, call.state.rows.list(EVALUATIONS, version, newest_first=True), "modelEvaluations")
