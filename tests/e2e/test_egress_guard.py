"""A program that would leave the machine from a local stack is stopped, under either engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import LocalProject

CALL = """
import google.auth.transport.requests
import google.oauth2.credentials

google.oauth2.credentials.Credentials(
    None, refresh_token="r", client_id="c", client_secret="s", token_uri="https://oauth2.googleapis.com/token"
).refresh(google.auth.transport.requests.Request())
"""


def test_a_program_that_calls_google_is_stopped_and_told_which_call_it_was(project: LocalProject) -> None:
    main = project.root / "infra" / "__main__.py"
    main.write_text(main.read_text() + CALL)
    preview = project.start("preview")
    output, _ = preview.communicate(timeout=240)
    assert preview.returncode != 0, output
    # A program's own failure is shown with its traceback: it names the line that called.
    assert "POST https://oauth2.googleapis.com/token" in output
    assert "the local stack's egress guard stopped it" in output
