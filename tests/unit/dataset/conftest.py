"""Property tests judge what is right, not how fast this machine happens to be: no deadline, no "too slow"."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("dataset", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("dataset")
