"""A model that was signed is what it was when it was signed, or it goes nowhere."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Runner
from model_signing import verifying
from support.databases import Databases

import runsync
from promotion.conftest import Registry, empty_registry
from promotion.keys import Keys, make_keys

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Of the one who signs."""
    return make_keys(tmp_path_factory.mktemp("keys") / "ours", PASSWORD)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Of somebody else."""
    return make_keys(tmp_path_factory.mktemp("keys") / "others", PASSWORD)


@pytest.fixture
def beyond(databases: Databases, tmp_path: Path) -> Registry:
    """Another empty database."""
    (tmp_path / "beyond").mkdir()
    return empty_registry(databases, "sqlite", tmp_path / "beyond")


def sign_into(prod: Registry, carried: Path, **options: Any) -> runsync.PromotionReport:
    report = runsync.promote(str(carried), prod.url, model="churn@candidate", **options)
    assert (report.action, report.exit_code) == ("promoted", 0), report.promotions
    return report


def test_what_is_signed_on_its_way_is_verified_by_the_next_one_and_has_the_same_digest(
    carried: Path, prod: Registry, beyond: Registry, keys: Keys, tmp_path: Path
) -> None:
    signed = sign_into(prod, carried, sign=str(keys.private))
    report = runsync.promote(prod.url, beyond.url, model="churn@champion", verify_signature=str(keys.public))
    assert (report.action, report.digest) == ("promoted", signed.digest)
    assert [(gate.passed, gate.told) for gate in report.gates] == [(True, "model.sig holds for all files")]
    assert runsync.promotions(beyond.url, "churn").records[0].gates[0].passed
    folder = tmp_path / "there"
    runsync.get_model(beyond.url, "churn@champion", into=folder)
    (folder / "registered_model_meta").write_text("model_name: churn")
    holder = verifying.Config().use_elliptic_key_verifier(public_key=keys.public)  # type: ignore[no-untyped-call]
    holder.set_ignore_unsigned_files(False).verify(folder, folder / "model.sig")
    assert runsync.rollback(beyond.url, "churn@champion", to=1).digest == signed.digest
    assert beyond.predicts("churn@champion") == {"churn@champion": [4, 8]}


def test_one_changed_byte_is_refused_and_nothing_is_written(
    carried: Path, prod: Registry, beyond: Registry, keys: Keys, runsync: Runner
) -> None:
    sign_into(prod, carried, sign=str(keys.private))
    (factor,) = prod.folder.rglob("factor.txt")
    factor.write_text("5")
    arguments = ("promote", prod.url, beyond.url, "churn@champion", "--verify-signature", keys.public)
    for more in ((), ("--force", "the board wants it"), ("--dry-run",)):
        done = runsync(*arguments, *more, "--json")
        assert done.returncode == 4, done.stderr
        (gate,) = json.loads(done.stdout)["promotions"][0]["gates"]
        assert gate["told"] == "model.sig does not hold: with other bytes: artifacts/factor.txt"
        assert not gate["passed"]
    assert beyond.versions == 0


def test_a_signature_counts_only_for_whom_it_is_trusted_and_only_whole(
    carried: Path, prod: Registry, beyond: Registry, keys: Keys, others: Keys
) -> None:
    sign_into(prod, carried, sign=str(keys.private))

    def refusal(source: str, trusted: Path) -> str:
        report = runsync.promote(source, beyond.url, model="churn/1", verify_signature=str(trusted))
        assert (report.action, report.exit_code, beyond.versions) == ("refused", 4, 0)
        return report.gates[0].told

    assert "Key mismatch" in refusal(prod.url, others.public)
    assert "does not hold" in refusal(prod.url, keys.root)
    assert refusal(str(carried), keys.public) == "it is not signed: there is no model.sig"
    (signature,) = prod.folder.rglob("model.sig")
    (signature.parent / "added.txt").write_text("by nobody")
    assert "Extra files found" in refusal(prod.url, keys.public)
    signature.write_text("{}")
    assert "does not hold" in refusal(prod.url, keys.public)


@pytest.mark.slow
def test_files_that_a_signature_leaves_out_are_not_signed(
    carried: Path, prod: Registry, beyond: Registry, keys: Keys, tmp_path: Path
) -> None:
    from model_signing import hashing, signing

    runsync.promote(str(carried), prod.url, model="churn@candidate")
    (factor,) = prod.folder.rglob("factor.txt")
    model = factor.parent.parent
    leaving_out = hashing.Config().set_ignored_paths(paths=["model.sig", "artifacts"])  # type: ignore[no-untyped-call]
    signer = signing.Config().use_elliptic_key_signer(private_key=keys.private)  # type: ignore[no-untyped-call]
    signer.set_hashing_config(leaving_out).sign(model, model / "model.sig")
    report = runsync.promote(prod.url, beyond.url, model="churn@champion", verify_signature=str(keys.public))
    assert report.gates[0].told == "model.sig leaves files out: artifacts/factor.txt"


def test_a_certificate_is_trusted_for_its_root(
    carried: Path, prod: Registry, beyond: Registry, keys: Keys, others: Keys
) -> None:
    sign_into(prod, carried, sign=str(keys.private), certificate=str(keys.chain))
    trusting: dict[str, Any] = {"model": "churn@champion", "verify_signature": str(others.root)}
    assert runsync.promote(prod.url, beyond.url, **trusting).action == "refused"
    trusting["verify_signature"] = str(keys.root)
    assert runsync.promote(prod.url, beyond.url, **trusting).action == "promoted"


def test_a_plan_that_is_applied_signs_with_a_key_that_is_not_in_it(
    carried: Path, prod: Registry, keys: Keys, runsync: Runner, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    assert runsync("promote", carried, prod.url, "churn/1", "--plan", plan).returncode == 0
    locked = ("promote", "--apply", plan, "--sign", keys.locked)
    refused = runsync(*locked)
    assert (refused.returncode, "RUNSYNC_SIGN_PASSWORD" in refused.stderr, prod.versions) == (2, True, 0)
    wrong = runsync(*locked, env={"RUNSYNC_SIGN_PASSWORD": "another one"})
    assert (wrong.returncode, "another one" in wrong.stderr, prod.versions) == (2, False, 0)
    done = runsync(*locked, env={"RUNSYNC_SIGN_PASSWORD": PASSWORD})
    assert done.returncode == 0, done.stderr
    assert len(list(prod.folder.rglob("model.sig"))) == 1
    assert "Already there" in runsync(*locked).stdout


@pytest.mark.slow
def test_a_version_that_was_made_before_is_signed_once(
    carried: Path, prod: Registry, beyond: Registry, keys: Keys
) -> None:
    runsync.promote(str(carried), prod.url, model="churn@candidate", alias="staging")
    sign_into(prod, carried, sign=str(keys.private), alias="shadow")
    (signature,) = prod.folder.rglob("model.sig")
    before = signature.read_bytes()
    sign_into(prod, carried, sign=str(keys.private), alias="champion")
    assert (signature.read_bytes(), prod.versions) == (before, 1)
    report = runsync.promote(prod.url, beyond.url, model="churn@champion", verify_signature=str(keys.public))
    assert report.action == "promoted"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sign": "gone.pem"}, "cannot read gone.pem"),
        ({"verify_signature": "gone.pem"}, "cannot read gone.pem"),
        ({"verify_signature": "ada@example.org"}, "say with --oidc-issuer who vouches for ada@example.org"),
        ({"sign": "ada@example.org", "certificate": "x"}, "--certificate goes with a key"),
        ({"certificate": "x"}, "--certificate goes with --sign"),
        ({"sign": "ada@example.org", "oidc_issuer": "https://x.example"}, "nothing here vouches for ada@example.org"),
        ({"sign": __file__}, "cannot use"),
        ({"sign": "public.pem"}, "cannot use"),
    ],
)
def test_what_cannot_sign_or_be_trusted_is_told_and_nothing_is_written(
    carried: Path,
    prod: Registry,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    told: str,
) -> None:
    monkeypatch.chdir(keys.public.parent)
    with pytest.raises(runsync.RunsyncError, match=told) as error:
        runsync.promote(str(carried), prod.url, model="churn/1", **options)
    assert (error.value.exit_code, prod.versions) == (2, 0)


@pytest.mark.slow
def test_a_private_key_is_not_what_a_signature_is_verified_with(
    carried: Path, prod: Registry, beyond: Registry, keys: Keys
) -> None:
    sign_into(prod, carried, sign=str(keys.private))
    with pytest.raises(runsync.RunsyncError, match="give the public one"):
        runsync.promote(prod.url, beyond.url, model="churn/1", verify_signature=str(keys.private))
    with pytest.raises(runsync.RunsyncError, match="is signed already"):
        runsync.promote(prod.url, beyond.url, model="churn/1", sign=str(keys.private))
    runsync.promote(str(carried), prod.url, model="churn/1", alias="plain")
    with pytest.raises(runsync.RunsyncError, match="source and target are the same workspace"):
        runsync.promote(prod.url, prod.url, model="churn@plain", sign=str(keys.private))


def test_an_identity_is_handed_to_the_library_as_it_is(
    carried: Path, prod: Registry, beyond: Registry, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    from model_signing import signing

    who, issuer = "https://github.com/o/r/.github/workflows/p.yml@refs/heads/main", "https://issuer.example"
    asked: list[dict[str, Any]] = []

    def sign_with(config: signing.Config, **options: Any) -> signing.Config:
        asked.append(options)
        return config.use_elliptic_key_signer(private_key=keys.private)

    def verify_with(config: verifying.Config, **options: Any) -> verifying.Config:
        asked.append(options)
        return config.use_elliptic_key_verifier(public_key=keys.public)

    monkeypatch.setattr(signing.Config, "use_sigstore_signer", sign_with)
    monkeypatch.setattr(verifying.Config, "use_sigstore_verifier", verify_with)
    monkeypatch.setattr("sigstore.oidc.detect_credential", lambda: "a token")
    sign_into(prod, carried, sign=who, oidc_issuer=issuer)
    trusting: dict[str, Any] = {"verify_signature": who, "oidc_issuer": issuer}
    assert runsync.promote(prod.url, beyond.url, model="churn@champion", **trusting).action == "promoted"
    named = {"identity": who, "oidc_issuer": issuer}
    assert asked == [{"use_ambient_credentials": True}, named, named]


def test_a_sigstore_that_does_not_answer_or_knows_another_identity_refuses(
    carried: Path, prod: Registry, beyond: Registry, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    from model_signing import signing
    from sigstore.errors import TUFError

    sign_into(prod, carried, sign=str(keys.private))

    def unanswered(config: verifying.Config, **options: Any) -> verifying.Config:
        raise TUFError("Failed to refresh TUF metadata")

    monkeypatch.setattr(verifying.Config, "use_sigstore_verifier", unanswered)
    named: dict[str, Any] = {"oidc_issuer": "https://issuer.example"}
    for force in ("", "the board wants it"):
        asked: dict[str, Any] = {"model": "churn@champion", "verify_signature": "ada@example.org", "force": force}
        report = runsync.promote(prod.url, beyond.url, **asked, **named)
        assert (report.action, report.exit_code, beyond.versions) == ("refused", 4, 0)
        assert report.gates[0].told == "model.sig does not hold: Failed to refresh TUF metadata"

    def sign_with(config: signing.Config, **options: Any) -> signing.Config:
        return config.use_elliptic_key_signer(private_key=keys.private)

    monkeypatch.setattr(signing.Config, "use_sigstore_signer", sign_with)
    monkeypatch.setattr("sigstore.oidc.detect_credential", lambda: "a token of somebody else")
    with pytest.raises(runsync.RunsyncError, match="cannot sign as ada@example"):
        runsync.promote(str(carried), beyond.url, model="churn/1", sign="ada@example.org", **named)
    assert beyond.versions == 0


def test_without_the_extra_the_command_that_installs_it_is_told(
    carried: Path, prod: Registry, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "model_signing.signing", None)
    with pytest.raises(runsync.RunsyncError, match=r"signatures need model-signing .*\[sign\]") as error:
        runsync.promote(str(carried), prod.url, model="churn/1", sign=str(keys.private))
    assert error.value.exit_code == 2
    assert runsync.promote(str(carried), prod.url, model="churn/1").action == "promoted"
    assert importlib.import_module("model_signing")
