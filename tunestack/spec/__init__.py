"""Typed models of what people write: stack, job, dataset. Pure; the ground floor with ``catalog``."""
