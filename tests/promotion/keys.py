"""Keys and certificates to sign with, as files."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey
_USAGES = (
    *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"),
    *("decipher_only", "crl_sign"),
)


class Keys(NamedTuple):
    """Paths of PEM files. `chain` is the certificate of `private` and that of `root`, which vouches for it."""

    private: Path
    public: Path
    locked: Path
    chain: Path
    root: Path


def make_keys(folder: Path, password: str) -> Keys:
    """New ones; `locked` is the private key under that password."""
    folder.mkdir()
    keys = Keys(*(folder / f"{name}.pem" for name in Keys._fields))
    key, above = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    pkcs8 = Encoding.PEM, PrivateFormat.PKCS8
    keys.private.write_bytes(key.private_bytes(*pkcs8, NoEncryption()))
    keys.locked.write_bytes(key.private_bytes(*pkcs8, BestAvailableEncryption(password.encode())))
    keys.public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    root, leaf = _certificate("root", above, "root", above), _certificate("models", key, "root", above)
    keys.root.write_bytes(root)
    keys.chain.write_bytes(leaf + root)
    return keys


def _certificate(name: str, key: Key, issuer: str, by: Key) -> bytes:
    now, is_root = datetime.now(UTC), name == issuer
    usage = dict.fromkeys(_USAGES, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=not is_root, key_cert_sign=is_root, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    )
    return builder.sign(by, hashes.SHA256()).public_bytes(Encoding.PEM)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
