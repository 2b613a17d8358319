"""What a training job is told: `spec.json`, read strictly (docs/contracts.md, section 4)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

from hf_trainer.errors import TrainerError

CONTRACT = 1

ATTENTION_AND_MLP = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class FastPaths:
    """Which shortcuts may be taken. All give the same losses; they are switched off to compare and to bisect."""

    completion_head: bool = True
    cached_lower_layers: bool = True
    shared_prefix: bool = True


@dataclass(frozen=True)
class Recipe:
    """The trainer's own defaults, overridden by the spec's `recipe`; measured in bench/README.md.

    `learning_rate` is what a multiplier of 1.0 means. `top_layers`: adapters sit in that many layers, counted from
    the top (0: all). `patience`: evaluations without a better loss before early stopping.
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    top_layers: int = 15
    target_modules: list[str] = field(default_factory=lambda: list(ATTENTION_AND_MLP))
    learning_rate: float = 1e-3
    schedule: str = "linear"
    warmup_steps: int = 0  # with any, the library's schedules waste the first step at a rate of zero
    weight_decay: float = 0.0
    max_gradient_norm: float = 1.0
    patience: int = 2
    evaluation_batch_size: int = 16
    fast_paths: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingSpec:
    """One supervised tuning job. Paths are absolute; `validation` may be None: then the last checkpoint counts."""

    base_model: Path
    train: Path
    output: Path
    train_steps: int
    batch_size: int
    validation: Path | None = None
    learning_rate_multiplier: float = 1.0
    evaluation_interval: int = 20
    early_stopping: bool = True
    seed: int = 0
    threads: int = 1
    contract: int = CONTRACT
    method: str = "supervised"
    recipe: Recipe = field(default_factory=Recipe)

    @property
    def checkpoints(self) -> Path:
        """Vertex's checkpoint folder where one is given."""
        return _vertex_folder("AIP_CHECKPOINT_DIR") or self.output / "checkpoints"

    @property
    def adapter(self) -> Path:
        """Vertex's model folder where one is given."""
        return _vertex_folder("AIP_MODEL_DIR") or self.output / "adapter"

    def fingerprint(self) -> str:
        """A hash of everything that decides the losses; a checkpoint is only gone on from if this is the same."""
        decided = {k: v for k, v in self.as_json().items() if k not in ("output", "threads")}
        return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """The spec with all defaults filled in."""
        values = dataclasses.asdict(self)
        return {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}


def read_spec(path: Path) -> TrainingSpec:
    """Read `spec.json`. Raises TrainerError naming the file and the field."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TrainerError(f"{path}: there is no such spec file") from None
    except ValueError as error:
        raise TrainerError(f"{path}: not JSON: {error}") from None
    spec = _build(TrainingSpec, document, str(path))
    if spec.contract != CONTRACT:
        raise TrainerError(f"{path}: contract: have {spec.contract}, this trainer speaks {CONTRACT}")
    if spec.method != "supervised":
        raise TrainerError(f"{path}: method: have {spec.method!r}, this trainer knows 'supervised'")
    for name in ("train_steps", "batch_size", "evaluation_interval", "threads"):
        if getattr(spec, name) < 1:
            raise TrainerError(f"{path}: {name}: have {getattr(spec, name)}, need at least 1")
    if not spec.learning_rate_multiplier > 0:
        raise TrainerError(
            f"{path}: learning_rate_multiplier: have {spec.learning_rate_multiplier}, need > 0"
        )
    return spec


def _build(kind: type[Any], document: Any, where: str) -> Any:
    """A dataclass from a JSON object: no unknown key, no missing one, no other type. (The container that runs this
    has neither pydantic nor msgspec for sure, and three rules do not earn a dependency.)"""
    if not isinstance(document, dict):
        raise TrainerError(f"{where}: have {type(document).__name__}, need an object")
    known = {f.name: f for f in dataclasses.fields(kind)}
    hints = get_type_hints(kind)
    if unknown := sorted(set(document) - set(known)):
        raise TrainerError(f"{where}: unknown key {', '.join(unknown)}; allowed: {', '.join(sorted(known))}")
    required = [n for n, f in known.items() if f.default is f.default_factory is dataclasses.MISSING]
    if missing := [name for name in required if name not in document]:
        raise TrainerError(f"{where}: missing key {', '.join(missing)}")
    return kind(
        **{name: _convert(hints[name], value, f"{where}: {name}") for name, value in document.items()}
    )


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, where)
    allowed = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if value is None and NoneType in allowed:
        return None
    if Path in allowed and isinstance(value, str):
        return Path(value)
    if float in allowed and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    for candidate in allowed:
        origin = getattr(candidate, "__origin__", candidate)
        if (
            origin is not Path
            and isinstance(value, origin)
            and (origin is bool or not isinstance(value, bool))
        ):
            return value
    names = " or ".join(getattr(c, "__name__", str(c)) for c in allowed)
    raise TrainerError(f"{where}: have {json.dumps(value)}, need {names}")


def _vertex_folder(variable: str) -> Path | None:
    """A folder Vertex AI names in the environment; its gs:// form is mounted under /gcs in custom jobs."""
    value = os.environ.get(variable, "")
    return Path(value.replace("gs://", "/gcs/", 1)) if value else None
