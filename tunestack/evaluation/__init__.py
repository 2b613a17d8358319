"""Metrics, the comparison of a tuned model with its base, the gate and the report. Pure: knows no cloud."""
