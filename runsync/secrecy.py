"""The secrets in use, and texts without them.

Whatever reads or obtains a credential keeps it here: passwords, tokens, keys, signed addresses. Servers repeat what
they were sent, and libraries quote what they were given, so every text that runsync raises, logs, prints or reports
passes `strike` on its way: in `RunsyncError`, in the logger, in what is printed, in reports. Artifacts, params and tags
do not: they are data, and arrive as they are.

A secret of 6 characters or more is struck wherever it stands, as it is or encoded (percent, JSON, HTML, base64), also
where characters are escaped that need not be. The beginning or end of a long one is struck too, for texts get cut. A
password such as "a" or "mlflow" would tear other words apart: it is struck only where a text says that it is one, as in
`ada:a@host`, `password=a` or Basic authentication.
"""

import base64
import html
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html.entities import html5
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

STRUCK = "***"
SHORTEST = 6
"""Characters of a secret that is struck as a word of its own, wherever it stands."""
LONG = 24
"""Characters of a secret of which a beginning or an end is struck, too, if it has a whole block."""
BLOCK = 12
BLOCKS = 4
"""That are looked for at each end."""
SIGNATURE = 16
"""Characters that a signature has at least; those of the clouds have 43 and more."""
PASSING = 128
"""Texts that sign addresses, of which so many are kept: each is good for one file, for some minutes."""
TRIVIAL = frozenset(
    {"access", "account", "admin", "artifact", "artifacts", "azure", "backup", "bearer", "bundle", "client", "database"}
    | {"databricks", "default", "experiment", "export", "import", "localhost", "mariadb", "mlflow", "password"}
    | {"postgres", "postgresql", "public", "python", "runsync", "secret", "server", "sqlite", "string", "tracking"}
)
"""Passwords that are words of addresses and messages."""

_NAMED = (
    r"(?:\b(?:bearer|basic)[ \t]+|\b(?:token|password|passwd|pwd|pass|secret|credentials?|authorization|key)"
    r"[\"']?(?: is)?[ \t]*(?:[:=][ \t]*[\"'“‘]?|[\"'“‘]))"
)
_SIGNED = re.compile(
    r"((?:\b|%(?:25)*(?:3F|26))(?:x-amz-signature|x-amz-security-token|x-goog-signature|signature|sig)(?:=|%(?:25)*3D))"
    r"[^&\s\"'<>\\,;)]{6,}",
    re.IGNORECASE,
)
"""What makes a signed address one, whether or not it is among those that were kept."""
_ESCAPES = ("%", "&", "\\u", "\\/")
"""What a text has that escapes characters: for URLs, HTML or JSON."""
_JSON_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|/)")
_WORD_BEGINS = "(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f]{2}))"
"""Also behind an escaped character, as in `token%3Dsecret`."""
_SIGNING = frozenset({"sig", "signature", "x-amz-signature", "x-amz-security-token", "x-goog-signature"})


@dataclass(frozen=True, slots=True)
class _Form:
    """One way to write a secret: wherever `pattern` finds it, or around pieces of it, which begin at these offsets."""

    text: str
    pieces: tuple[tuple[int, str], ...] = ()
    pattern: re.Pattern[str] | None = None

    @property
    def needles(self) -> tuple[str, ...]:
        """What is in a text that has it."""
        return tuple(piece for _, piece in self.pieces) or (self.text,)

    def strike(self, text: str) -> str:
        """Without all of it, wherever it stands."""
        if self.pattern is not None:
            return self.pattern.sub(lambda found: (found["before"] or "") + STRUCK, text)
        return text.replace(self.text, STRUCK)

    def strike_pieces(self, text: str) -> str:
        """Without its beginnings and ends, where a text was cut."""
        for offset, piece in self.pieces:
            while (at := text.find(piece)) >= 0:
                text = self._without(text, at, offset)
        return text

    def _without(self, text: str, at: int, offset: int) -> str:
        """Without all of the secret that is around a place: at `at` stands what is at `offset` in the secret."""
        end, there = at, offset
        while end < len(text) and there < len(self.text) and text[end] == self.text[there]:
            end, there = end + 1, there + 1
        while at > 0 and offset > 0 and text[at - 1] == self.text[offset - 1]:
            at, offset = at - 1, offset - 1
        return text[:at] + STRUCK + text[end:]


class _Kept:
    """The secrets of this process: those that last, and the signatures of the newest signed addresses."""

    def __init__(self) -> None:
        self._forms: tuple[_Form, ...] = ()
        self._needles: tuple[str, ...] = ()
        self._known: set[tuple[str, str]] = set()
        self._whole: tuple[str, ...] = ()
        self._passing: deque[str] = deque(maxlen=PASSING)
        self._lock = Lock()

    def keep(self, secret: str, user: str) -> None:
        if (secret, user) in self._known:
            return
        with self._lock:
            self._known.add((secret, user))
            found = {form.text: form for form in (*self._forms, *_forms(secret, user))}
            self._forms = tuple(sorted(found.values(), key=lambda form: -len(form.text)))
            self._needles = tuple({needle for form in self._forms for needle in form.needles})
            self._whole = tuple(dict.fromkeys((*self._whole, *_whole(secret, user))))

    def keep_passing(self, secret: str) -> None:
        if secret not in self._passing:
            self._passing.extend((secret, quote(secret, safe="")))

    def strike(self, text: str) -> str:
        if self._whole and any(mark in text for mark in _ESCAPES):
            read = _as_read(text)
            for secret in (secret for secret in self._whole if any(secret in reading for reading in read)):
                text = _character_by_character(secret).sub(STRUCK, text)
        if any(needle in text for needle in self._needles):
            for form in self._forms:
                text = form.strike(text)
            for form in self._forms:  # afterwards: the end of one spelling may be that of another
                text = form.strike_pieces(text)
        for secret in tuple(self._passing):
            text = text.replace(secret, STRUCK)
        return text


_KEPT = _Kept()


def keep(secret: str, user: str = "") -> None:
    """From now on this is struck from every text; `user` is who has it for a password."""
    if secret:
        _KEPT.keep(secret, user)


def keep_header(value: str) -> None:
    """The secret in a header such as `Authorization: Bearer …`."""
    scheme, _, rest = value.partition(" ")
    keep(rest.strip() if rest and scheme.isalpha() else value)


def keep_url(url: str) -> None:
    """The password in an address that a user gave."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    keep(unquote(parts.password or ""), unquote(parts.username or ""))


def keep_signature(url: str) -> None:
    """What signs an address that a server gave. It is no word of any text: else a server could have words struck."""
    for name, value in parse_qsl(url.partition("?")[2]):
        if name.lower() in _SIGNING and len(value) >= SIGNATURE and not any(c.isspace() for c in value):
            _KEPT.keep_passing(value)


def keep_given(secret: str) -> None:
    """A secret that a server gave out for a while, as far as it is no word of any text."""
    if len(secret) >= SIGNATURE and not any(c.isspace() for c in secret):
        _KEPT.keep_passing(secret)


def strike(text: str) -> str:
    """A text without the secrets in use."""
    text = _KEPT.strike(text)
    return _SIGNED.sub(rf"\1{STRUCK}", text) if "=" in text or "%" in text else text


def strike_all(value: Any) -> Any:
    """Texts, and those in lists and mappings, without the secrets in use."""
    if isinstance(value, str):
        return strike(value)
    if isinstance(value, Mapping):
        return {name: strike_all(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [strike_all(inner) for inner in value]
    return value


PROSE = frozenset(
    {"address", "details", "doubts", "error", "errors", "failed", "faults", "findings", "message", "missing"}
    | {"not_carried", "note", "notes", "place", "problems", "reason", "reasons", "remedy", "source", "stopped"}
    | {"target", "told", "unreadable", "version", "why", "workspace"}
)
"""What reports call the texts in which runsync tells something."""
DATA = frozenset({"experiments", "metrics", "params", "rows", "run", "runs", "tags"})


def strike_report(document: Mapping[str, Any]) -> dict[str, Any]:
    """A report without secrets in what it tells; the data of runs and experiments in it stay exact."""
    told: dict[str, Any] = {}
    for name, value in document.items():
        if name in DATA:
            told[name] = value
        elif name in PROSE:
            told[name] = strike_all(value)
        else:
            told[name] = _strike_within(value)
    return told


def _strike_within(value: Any) -> Any:
    if isinstance(value, Mapping):
        return strike_report(value)
    return [_strike_within(inner) for inner in value] if isinstance(value, list | tuple) else value


def _forms(secret: str, user: str) -> Iterator[_Form]:
    if user:  # HTTP's Basic authentication
        for packed in _base64(f"{user}:{secret}"):
            yield _Form(packed)
    for text in dict.fromkeys(_spellings(secret)):
        if _is_weak(secret):
            yield _Form(text, pattern=_where_named(text, user))
        else:
            yield _anywhere(text) if len(text) >= LONG else _Form(text, pattern=_as_a_word(text))
    if not _is_weak(secret):
        yield from map(_anywhere, dict.fromkeys(_inside_base64(secret)))


def _is_weak(secret: str) -> bool:
    """Whether it would tear texts apart to strike it wherever it stands."""
    is_number = secret.isdecimal() and len(secret) < BLOCK
    return len(secret) < SHORTEST or is_number or secret.lower() in TRIVIAL or not any(c.isalnum() for c in secret)


def _anywhere(text: str) -> _Form:
    if len(text) < LONG:
        return _Form(text)
    last = len(text) - BLOCK
    offsets = {min(number * BLOCK, last) for number in range(BLOCKS)}
    offsets |= {max(0, last - number * BLOCK) for number in range(BLOCKS)}
    return _Form(text, tuple((at, text[at : at + BLOCK]) for at in sorted(offsets)))


def _spellings(secret: str) -> Iterator[str]:
    yield secret
    for once in (quote(secret, safe=""), quote(secret), quote_plus(secret)):
        for spelled in (once, quote(once, safe="")):
            yield spelled
            yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), spelled)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield html.escape(secret)


def _base64(text: str) -> Iterable[str]:
    for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
        packed = alphabet(text.encode(errors="surrogatepass")).decode()
        yield packed
        yield packed.rstrip("=")
        yield quote(packed, safe="")


def _inside_base64(secret: str) -> Iterator[str]:
    """How it stands in the base64 of a longer text: at each of three offsets, without the digits of its neighbours."""
    raw = secret.encode(errors="surrogatepass")
    yield from _base64(secret)
    for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            packed = alphabet(bytes(shift) + raw).decode()
            inner = packed[-(-8 * shift // 6) : 8 * (shift + len(raw)) // 6]
            if len(inner) >= SHORTEST:
                yield inner


def _whole(secret: str, user: str) -> Iterator[str]:
    """What is looked for behind escapes of any character."""
    if not _is_weak(secret):
        yield secret
    if user:
        yield from _base64(f"{user}:{secret}")


def _as_read(text: str) -> tuple[str, ...]:
    """What others read in a text with escapes: of URLs (once and twice), of HTML and of JSON."""
    once = unquote(text)
    json_read = _JSON_ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else "/", text)
    return once, unquote(once), html.unescape(text), json_read


def _character_by_character(secret: str) -> re.Pattern[str]:
    """A secret of which any character may be escaped, also those for which no library does it."""
    pattern = "".join(map(_escaped, secret))
    return re.compile(pattern if len(secret) >= LONG else rf"{_WORD_BEGINS}{pattern}(?![A-Za-z0-9])")


def _escaped(character: str) -> str:
    """A pattern of the ways to write a character."""
    code = ord(character)
    url = "".join(f"%(?:25){{0,2}}{byte:02x}" for byte in character.encode(errors="surrogatepass"))
    ways = [rf"(?i:{url}|\\u{code:04x}|&#0*{code};|&#x0*{code:x};)"]
    ways += [re.escape(f"&{name}") for name, text in html5.items() if text == character and name.endswith(";")]
    ways += [r"\\/"] if character == "/" else []
    ways.append(re.escape(character))
    return f"(?:{'|'.join(ways)})"


def _as_a_word(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?P<before>){_WORD_BEGINS}{re.escape(text)}(?![A-Za-z0-9])")


def _where_named(text: str, user: str) -> re.Pattern[str]:
    after_user = rf"|(?<![A-Za-z0-9]){re.escape(user)}:" if user else ""
    return re.compile(rf"(?P<before>{_NAMED}{after_user}){re.escape(text)}(?![A-Za-z0-9])", re.IGNORECASE)
