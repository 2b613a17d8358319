"""The ``tunestack`` command. Light to start: a command's module is imported only when that command runs.

Built on argparse: typer and cyclopts take longer to import than ``tunestack --help`` may take in all (docs/adr/0004).
"""
