"""Found first on ``PYTHONPATH`` of the local stack's processes: loads the egress guard, then what it stands in for."""

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

_HERE = Path(__file__).resolve().parent


def _load_guard() -> None:
    spec = spec_from_file_location("tunestack_egress_guard", _HERE.parent / "guard.py")
    if spec is None or spec.loader is None:
        raise ImportError("the egress guard is not there")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module.install()


def _load_hidden() -> None:
    """The ``sitecustomize`` that would have been found without this one."""
    elsewhere = [path for path in sys.path if Path(path).resolve() != _HERE]
    spec = PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module_from_spec(spec))


_load_guard()
_load_hidden()
