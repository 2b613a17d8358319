"""`allow.yaml` allows exactly what it names, says why, and never holds a secret."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from tunestack.spec.allow_list import AllowList, digest_of, load_allow_list, place_of_entry
from tunestack.spec.errors import TunestackError

KEY = "AKIA" + "Z7Q2MXN4PLV5TK3R"
GOOD = f"""\
allow:
  - kind: email-address
    text: Help@Tunestack.dev
    reason: our own public address
  - kind: phone-number
    pattern: '\\+49 30 303[0-9]+'
    reason: our switchboard
  - kind: payment-card
    text: 4111 1111 1111 1111
    reason: the test number of every processor
  - kind: secret
    digest: {digest_of(KEY)}
    reason: revoked on 2026-03-01
"""


def read(tmp_path: Path, text: str) -> AllowList:
    path = tmp_path / "allow.yaml"
    path.write_text(text)
    return load_allow_list(path)


def test_allows_what_it_names_however_it_is_written(tmp_path: Path) -> None:
    allowed = read(tmp_path, GOOD)
    assert allowed.entry("email-address", "help@tunestack.DEV") == 0
    assert allowed.entry("phone-number", "+49 30 303986300") == 1
    assert allowed.entry("payment-card", "4111-1111-1111-1111") == 2
    assert allowed.entry("aws-key", KEY) == 3
    assert allowed.allows("aws-key", KEY)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("email-address", "ann@corp.io"),
        ("email-address", "help@tunestack.development"),
        ("phone-number", "+49 30 303986300 ext"),
        ("phone-number", "4111 1111 1111 1111"),
        ("payment-card", "4111 1111 1111 1112"),
        ("aws-key", KEY[:-1] + "S"),
        ("email-address", KEY),
    ],
)
def test_allows_nothing_else(tmp_path: Path, kind: str, text: str) -> None:
    assert not read(tmp_path, GOOD).allows(kind, text)


def test_goes_to_other_processes(tmp_path: Path) -> None:
    allowed = read(tmp_path, GOOD)
    copy = pickle.loads(pickle.dumps(allowed))  # noqa: S301
    assert copy == allowed
    assert copy.allows("phone-number", "+49 30 303986300")


def test_tells_the_entries_that_allow_nothing_any_more(tmp_path: Path) -> None:
    allowed = read(tmp_path, GOOD)
    assert allowed.unused({0, 3}) == [1, 2]
    assert allowed.unused({0, 1, 2, 3}) == []
    assert AllowList.of([]).unused(set()) == []
    assert place_of_entry(tmp_path / "allow.yaml", 2).endswith("allow.yaml:8:5")


@pytest.mark.parametrize(
    ("entry", "at", "message"),
    [
        ("{kind: secret, text: hunter2, reason: r}", "{", "a secret is never written down"),
        ("{kind: secret, pattern: hunter.*, reason: r}", "{", "a secret is never written down"),
        ("{kind: secret, reason: r}", "{", "a secret is never written down"),
        ("{kind: iban, reason: r}", "iban", "`iban` is named by a text or by a pattern"),
        ("{kind: iban, text: a, pattern: b, reason: r}", "b,", "`iban` is named by a text or by a pattern"),
        ("{kind: iban, pattern: '(', reason: r}", "'('", "`pattern` is no regular expression"),
        ("{kind: iban, pattern: '.*', reason: r}", "'.*'", "`pattern` allows everything"),
        ("{kind: iban, pattern: '.+', reason: r}", "'.+'", "`pattern` allows everything"),
        ("{kind: iban, text: a, reason: ' '}", "' '", "a reason is for whoever reads this"),
        ("{kind: iban, text: a}", "{", "the key `allow[0].reason` is missing"),
        ("{kind: iban, text: a, reason: r, why: s}", "why", "unknown key `why`"),
        ("{kind: ibam, text: a, reason: r}", "ibam", "has a value that is not allowed"),
        ("{kind: secret, digest: 'md5:1', reason: r}", "'md5:1'", "`allow[0].digest`"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(tmp_path: Path, entry: str, at: str, message: str) -> None:
    with pytest.raises(TunestackError) as caught:
        read(tmp_path, f"allow:\n  - {entry}\n")
    [problem] = caught.value.problems
    assert problem.where == f"{tmp_path}/allow.yaml:2:{5 + entry.index(at)}"
    assert message in problem.message
    assert "hunter" not in str(problem)


def test_the_same_thing_twice_is_told(tmp_path: Path) -> None:
    with pytest.raises(TunestackError, match="the same thing is allowed twice") as caught:
        read(
            tmp_path,
            "allow:\n  - {kind: iban, text: A 1, reason: r}\n  - {kind: iban, text: a1, reason: s}\n",
        )
    assert [one.where for one in caught.value.problems] == [f"{tmp_path}/allow.yaml:3:5"]
