"""Thin asynchronous client of the parts of Vertex AI's REST surface that tunestack uses."""
