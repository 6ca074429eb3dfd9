"""Signatures of models, as OpenSSF model signing makes them: a file `model.sig` beside the other files of a model.

It holds the hashes of all of them, so it is no part of the digest: a model has the same one before it is signed.
"""

import base64
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from runsync import secrecy
from runsync.errors import RequestRefused, RunsyncError, WrongUsage
from runsync.extras import how_to_install
from runsync.growing import Files
from runsync.model.paths import unfit_for_disks
from runsync.promotion.digest import ADDED, NAMED, SIGNATURE, files_of
from runsync.promotion.gates import Gate
from runsync.promotion.spool import PREFIX

if TYPE_CHECKING:
    from model_signing import signing, verifying

PASSWORD = "RUNSYNC_SIGN_PASSWORD"  # noqa: S105
"""The environment variable with the password of an encrypted key."""
_ISSUER = "say with --oidc-issuer who vouches for {}, such as https://token.actions.githubusercontent.com"
_CHANGED = re.compile(r"Hash mismatch for \\?'(.+?)\\?': Expected")
_SHARD = re.compile(r":\d+:\d+$")


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose signature counts: `who` is a file (PEM) with a public key or with root certificates, or an identity that
    `issuer` vouches for."""

    who: str
    issuer: str = ""

    def check(self) -> None:
        """Raises WrongUsage for what cannot be looked for."""
        _require_library()
        if not is_identity(self.who):
            _read(self.who)
        elif not self.issuer:
            raise WrongUsage(_ISSUER.format(self.who))

    def gate(self, files: Files) -> Gate:
        """Whether the files of a model have such a signature, each of them. Raises WrongUsage for a key that is none,
        RequestRefused where the files cannot be read."""
        expression = f"signature of {self.who}"
        if not any(file.path == SIGNATURE for file in files.list()):
            return Gate(expression, False, f"it is not signed: there is no {SIGNATURE}")
        with _laid_out(files) as folder:
            try:
                self._verifier().verify(folder, folder / SIGNATURE)
                unsigned = _unsigned(folder)
            except RunsyncError:
                raise
            except Exception as error:  # whatever it stumbles over, the signature does not hold
                return Gate(expression, False, f"{SIGNATURE} does not hold: {_told(error)}")
        if unsigned:
            return Gate(expression, False, f"{SIGNATURE} leaves files out: {', '.join(unsigned[:NAMED])}")
        return Gate(expression, True, f"{SIGNATURE} holds for all files")

    def _verifier(self) -> "verifying.Config":
        from model_signing import verifying

        config = verifying.Config()  # type: ignore[no-untyped-call]
        if is_identity(self.who):
            return config.use_sigstore_verifier(identity=self.who, oidc_issuer=self.issuer)
        text = _read(self.who)
        with _key(self.who):
            if "PRIVATE KEY-----" in text:
                raise ValueError("it is a private key: give the public one")
            if "BEGIN CERTIFICATE-----" in text:
                return config.use_certificate_verifier(certificate_chain=[Path(self.who)])
            return config.use_elliptic_key_verifier(public_key=self.who)


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs: `who` is a file (PEM) with a private key, or the identity that this pipeline has, for which `issuer`
    vouches. `certificate` is a file with that of the key, and those between it and the root."""

    who: str
    certificate: str = ""
    issuer: str = ""

    def check(self) -> None:
        """Raises WrongUsage for what cannot sign."""
        _require_library()
        if is_identity(self.who):
            if self.certificate:
                raise WrongUsage("--certificate goes with a key")
            Trust(self.who, self.issuer).check()
        for file in filter(None, (self.certificate, "" if is_identity(self.who) else self.who)):
            _read(file)

    def sign(self, files: Files) -> bytes:
        """What `model.sig` is to hold. Raises WrongUsage for a key that is none, or has another password;
        RequestRefused where the files cannot be read; RunsyncError where the identity is another."""
        from model_signing import hashing

        hashed = hashing.Config()  # type: ignore[no-untyped-call]
        hashed.set_ignored_paths(paths=[SIGNATURE, ADDED], ignore_git_paths=False)
        config = self._config().set_hashing_config(hashed)
        with _laid_out(files) as folder:
            try:
                config.sign(folder, folder / SIGNATURE)
                if is_identity(self.who):
                    Trust(self.who, self.issuer)._verifier().verify(folder, folder / SIGNATURE)
            except Exception as error:  # of the library, and of all that it asks
                raise RunsyncError(f"cannot sign as {self.who}: {_told(error)}") from None
            return (folder / SIGNATURE).read_bytes()

    def _config(self) -> "signing.Config":
        from model_signing import signing

        config = signing.Config()  # type: ignore[no-untyped-call]
        if is_identity(self.who):
            _require_ambient(self.who)
            return config.use_sigstore_signer(use_ambient_credentials=True)
        password = os.environ.get(PASSWORD)
        secrecy.keep(password or "")
        with _key(self.who, password):
            if not self.certificate:
                # Typed as a text, and handed on to what takes bytes alone.
                encoded = password.encode() if password else None
                return config.use_elliptic_key_signer(private_key=self.who, password=encoded)  # type: ignore[arg-type]
            if "ENCRYPTED" in _read(self.who):
                raise ValueError("model signing takes no encrypted key beside a certificate")
            return config.use_certificate_signer(
                private_key=self.who, signing_certificate=self.certificate, certificate_chain=[self.certificate]
            )


def is_identity(who: str) -> bool:
    """An e-mail address or a URL, unless there is such a file."""
    return ("@" in who or "://" in who) and not Path(who).exists()


def _require_library() -> None:
    try:
        import model_signing.signing  # noqa: F401
    except ImportError as error:
        raise WrongUsage(f"signatures need model-signing ({error.name} is missing): {how_to_install('sign')}") from None


def _require_ambient(who: str) -> None:
    """Never a browser, for which a pipeline would wait for ever."""
    from sigstore.oidc import detect_credential

    if detect_credential() is None:
        raise WrongUsage(
            f"nothing here vouches for {who}: GitHub needs the permission id-token: write, GitLab an id_tokens entry "
            "SIGSTORE_ID_TOKEN with the audience sigstore"
        )


@contextmanager
def _key(file: str, password: str | None = None) -> Iterator[None]:
    try:
        yield
    except AttributeError:  # what it asks of the curve
        raise WrongUsage(f"cannot use {file}: it is no key of an elliptic curve (P-256, P-384 or P-521)") from None
    except (ValueError, TypeError) as error:
        why = f" (its password is taken from {PASSWORD})" if password or "assword" in str(error) else ""
        raise WrongUsage(f"cannot use {file}: {_told(error)}{why}") from None


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise WrongUsage(f"cannot read {file}: {error.strerror or error}") from None
    except ValueError as error:  # a NUL
        raise WrongUsage(f"cannot read {file}: {error}") from None


@contextmanager
def _laid_out(files: Files) -> Iterator[Path]:
    """The files of a model in a folder, and what the library prints on stderr."""
    with TemporaryDirectory(prefix=PREFIX) as name, redirect_stdout(sys.stderr):
        folder = Path(name) / "model"
        for file in files_of(files):
            if why := unfit_for_disks(file.path):
                raise RequestRefused(f"“{file.path}” {why}")
            place = folder / file.path
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("xb") as stream:
                stream.writelines(files.read(file))
        yield folder


def _unsigned(folder: Path) -> list[str]:
    """The files that a signature which holds says nothing of."""
    envelope = json.loads((folder / SIGNATURE).read_bytes())["dsseEnvelope"]
    statement = json.loads(base64.b64decode(envelope["payload"]))
    predicate = statement.get("predicate", {})
    names = [one["name"] for one in predicate.get("resources", statement["subject"])]  # without: before its release 1
    has_shards = predicate.get("serialization", {}).get("method") == "shards"
    signed = {_SHARD.sub("", name) if has_shards else name for name in names}
    paths = (file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    return sorted(path for path in paths if path != SIGNATURE and path not in signed)


def _told(error: BaseException) -> str:
    told = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    if changed := _CHANGED.findall(told):
        return f"with other bytes: {', '.join(changed[:NAMED])}"
    return " ".join(told.split()) or type(error).__name__
