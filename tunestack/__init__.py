"""Reproducible language-model tuning environments on Vertex AI, declared with Pulumi."""
