"""A supervised LoRA trainer and a server for causal language models, to the job contract of docs/contracts.md.

It stands alone: it runs as a local process and inside a container, and imports nothing of tunestack.
Only `command` knows the process around it; heavy libraries are imported where they are first needed.
"""

__version__ = "0.1.0"
