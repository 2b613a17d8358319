"""Secrets that a text holds: keys, tokens, passwords within addresses. Found by detect-secrets' own patterns.

Of its plugins those are used whose pattern alone says what it is. Not used: the ones that go by entropy or by a
word such as `password` before a text (in prose nearly everything they find is prose), the IBM ones and
Artifactory's (their patterns are so short that product codes match), and its public addresses (ipaddress knows
better). By hand, for it has no such plugin: Google's keys and tokens, GitHub's fine-grained tokens, Hugging Face
and Anthropic keys, and private keys as a whole, where its plugin finds only the line above.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import import_module
from typing import NamedTuple

Found = tuple[int, int, str]  # start, end, kind
_WORDY = r"[0-9A-Za-z_\-]"


class _Shape(NamedTuple):
    """A kind, what a text must hold to have it (quick to look for), its patterns, and a last check of a match."""

    kind: str
    hint: str
    patterns: tuple[re.Pattern[str], ...]
    valid: Callable[[str], bool] = bool


# As their makers describe them: cloud.google.com/docs/authentication/api-keys and Google's OAuth documents,
# github.blog/changelog/2022-10-18-introducing-fine-grained-personal-access-tokens, huggingface.co, Anthropic.
_OWN = (
    ("google-api-key", "AIza", rf"AIza{_WORDY}{{35}}"),
    ("google-oauth-secret", "GOCSPX-", rf"GOCSPX-{_WORDY}{{28}}"),
    ("google-access-token", "ya29.", r"ya29\.[0-9A-Za-z_\-.]{30,}"),
    ("github-token", "github_pat_", r"github_pat_[0-9A-Za-z_]{82}"),
    ("hugging-face-token", "hf_", r"hf_[0-9A-Za-z]{34}"),
    ("anthropic-key", "sk-ant-", rf"sk-ant-{_WORDY}{{80,}}"),
)
# Kind, hint, the plugin's module and class within detect_secrets.plugins.
_PLUGINS = (
    ("aws-key", "", "aws", "AWSKeyDetector"),
    ("azure-storage-key", "AccountKey=", "azure_storage_key", "AzureStorageKeyDetector"),
    ("discord-token", ".", "discord", "DiscordBotTokenDetector"),
    ("github-token", "gh", "github_token", "GitHubTokenDetector"),
    ("gitlab-token", "-", "gitlab_token", "GitLabTokenDetector"),
    ("json-web-token", "eyJ", "jwt", "JwtTokenDetector"),
    ("mailchimp-key", "-us", "mailchimp", "MailchimpDetector"),
    ("npm-token", ":_authToken=", "npm", "NpmDetector"),
    ("openai-key", "T3BlbkFJ", "openai", "OpenAIDetector"),
    ("pypi-token", "pypi-AgE", "pypi_token", "PypiTokenDetector"),
    ("sendgrid-key", "SG.", "sendgrid", "SendGridDetector"),
    ("slack-token", "xox", "slack", "SlackDetector"),
    ("slack-token", "hooks.slack.com", "slack", "SlackDetector"),
    ("square-token", "sq0csp-", "square_oauth", "SquareOAuthDetector"),
    ("stripe-key", "k_live_", "stripe", "StripeDetector"),
    ("telegram-token", ":", "telegram_token", "TelegramBotTokenDetector"),
    ("twilio-key", "", "twilio", "TwilioKeyDetector"),
)
KINDS = frozenset(
    {
        *(kind for kind, *_ in (*_OWN, *_PLUGINS)),
        "password-in-address",
        "private-key",
        "google-service-account-key",
    }
)

_NAMES = {
    **{
        name.lower(): name
        for name in ("AWS", "Azure", "Discord", "GitHub", "GitLab", "Google", "Hugging", "Face")
    },
    **{name.lower(): name for name in ("JSON", "Mailchimp", "OpenAI", "PyPI", "SendGrid", "Slack", "Square")},
    **{name.lower(): name for name in ("Stripe", "Telegram", "Twilio", "Anthropic", "OAuth")},
}

_PEM = re.compile(r"(?:-----)?BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?(?:-----)?")
_PEM_BODY = re.compile(r"[A-Za-z0-9+/=]{32}")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
_SPACE = re.compile(r"\s")
# A token of 20 random characters has 12 of them on average; fewer than 7 in 1 of 170.
_CAPITAL_OR_DIGIT = re.compile(r"[0-9A-Z_]")
_FEWEST_CAPITALS_AND_DIGITS = 7
# Of these a longer run of letters is something else.
_FIXED_LENGTH = frozenset({"aws-key", "mailchimp-key", "twilio-key"})
_ALPHANUMERIC = re.compile(r"[0-9A-Za-z]")
_REST_OF_TOKEN = re.compile(rf"{_WORDY}*")
# What documentation writes where a password would stand.
_PLACEHOLDER = re.compile(
    r"(?i)(?:.{1,3}|pass(?:word|wd|phrase)?|secret|token|x+|\*+|\.+|…|[<{$%].*|your.*|my.?password)\Z"
)
_NOBODYS_HOST = re.compile(
    r"(?i)(?:localhost|127\.0\.0\.1|(?:[\w\-]+\.)*(?:example\.(?:com|net|org)|example|test|invalid))(?![\w.\-]*\w)"
)


def in_words(kind: str) -> str:
    """A kind as people write it: `GitHub token`."""
    return " ".join(_NAMES.get(word, word) for word in kind.split("-"))


@cache
def _shapes() -> tuple[_Shape, ...]:
    """Every shape of a token; detect_secrets is imported at the first text that may hold one (0.3 s)."""
    from detect_secrets.plugins.jwt import JwtTokenDetector

    own = [_Shape(kind, hint, (re.compile(pattern),)) for kind, hint, pattern in _OWN]
    for kind, hint, module, name in _PLUGINS:
        plugin = getattr(import_module(f"detect_secrets.plugins.{module}"), name)
        valid = JwtTokenDetector.is_formally_valid if plugin is JwtTokenDetector else bool
        own.append(_Shape(kind, hint, tuple(plugin.denylist), valid))
    return tuple(own)


def tokens(text: str, runs: Iterable[tuple[int, int]]) -> Iterator[Found]:
    """Start, end and kind of each key or token; the same place may come twice.

    ``runs``: start and end of each run of 20 or more letters, digits and `_-+/=`; every token has one.
    """
    for run, run_end in runs:
        if len(_CAPITAL_OR_DIGIT.findall(text, run, run_end)) < _FEWEST_CAPITALS_AND_DIGITS:
            continue
        # With what goes before (`hooks.slack.com`, `aws_secret_access_key = '`) and after (`.signature`) a run.
        begin = max(0, run - 80)
        space = _SPACE.search(text, run_end)
        end = space.start() if space else len(text)
        for kind, hint, patterns, valid in _shapes():
            if text.find(hint, begin, end) < 0:
                continue
            for pattern in patterns:
                for match in pattern.finditer(text, begin, end):
                    span = match.span(1 if kind == "aws-key" and pattern.groups else 0)
                    whole = _whole_token(text, *span, kind)
                    if whole and valid(match[0]) and "EXAMPLE" not in match[0]:
                        yield *whole, kind


def _whole_token(text: str, start: int, end: int, kind: str) -> tuple[int, int] | None:
    """The token to its very end, so that a mask hides all of it; None if it is a piece of a longer word."""
    if start and _ALPHANUMERIC.match(text, start) and _ALPHANUMERIC.match(text, start - 1):
        return None
    rest = _REST_OF_TOKEN.match(text, end)
    whole = rest.end() if rest else end
    if whole > end and kind in _FIXED_LENGTH:
        return None
    return start, whole


def private_keys(text: str) -> Iterator[Found]:
    """Private keys in PEM or PGP armour from the first to the last line; a heading without a key is none."""
    ends = [match.end() for match in _PEM_END.finditer(text)] + [len(text)]
    for match in _PEM.finditer(text):
        stop = ends[bisect_right(ends, match.end())] if match.end() < len(text) else len(text)
        if _PEM_BODY.search(text, match.end(), min(stop, match.end() + 2_000)):
            kind = "google-service-account-key" if "service_account" in text else "private-key"
            yield match.start(), stop, kind


def passwords_in_addresses(text: str) -> Iterator[Found]:
    """Passwords of `scheme://user:password@host`.

    None are placeholders such as `password` or `<token>`, fewer than four characters, and whatever opens a host
    that belongs to nobody or to everybody (example.com, localhost).
    """
    for pattern in _basic_auth():
        for match in pattern.finditer(text):
            if not _PLACEHOLDER.match(match[1]) and not _NOBODYS_HOST.match(text, match.end()):
                yield *match.span(1), "password-in-address"


@cache
def _basic_auth() -> tuple[re.Pattern[str], ...]:
    from detect_secrets.plugins.basic_auth import BasicAuthDetector

    return tuple(BasicAuthDetector.denylist)
