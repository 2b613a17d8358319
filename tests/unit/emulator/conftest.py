"""A slow machine is no failure of a property: no deadline, and no complaint that inputs were long in the making."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("emulator", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("emulator")
