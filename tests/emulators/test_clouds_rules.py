"""What the emulated clouds refuse: they know signed URLs and nothing of Databricks."""

import base64
from typing import Any

import pytest
import requests

from emulators.calls import Caller
from emulators.databricks import Cloud, Databricks, Fault, Limits, SimulatedClock


def credential(call: Caller, run: str, what: str, path: str = "f") -> tuple[str, dict[str, str]]:
    info = call.post(f"artifacts/credentials-for-{what}", run_id=run, path=[path])["credential_infos"][0]
    return info["signed_uri"], {each["name"]: each["value"] for each in info["headers"]}


@pytest.fixture(params=["aws", "gcp", "azure", "adls"])
def stored(request: pytest.FixtureRequest) -> Any:
    cloud: Cloud = request.param
    with Databricks(rates=None, clock=SimulatedClock(), cloud=cloud) as workspace:
        call = Caller(workspace)
        run = call.run(call.experiment())
        root = call.get("runs/get", run_id=run)["run"]["info"]["artifact_uri"]
        workspace.storage.objects[f"{root.removeprefix('dbfs:')}/f"] = b"content"
        yield call, run


def test_a_signed_url_reads_one_file_until_it_expires(stored: tuple[Caller, str]) -> None:
    call, run = stored
    url, headers = credential(call, run, "read")
    assert requests.get(url, headers=headers, timeout=300).content == b"content"
    part = requests.get(url, headers=headers | {"Range": "bytes=3-"}, timeout=300)
    assert (part.status_code, part.content) == (206, b"tent")
    call.workspace.clock.advance(15 * 60)
    assert requests.get(url, headers=headers, timeout=300).status_code == 403
    url, headers = credential(call, run, "read")
    assert requests.get(url, headers=headers, timeout=300).ok
    call.workspace.storage.expire()
    assert requests.get(url, headers=headers, timeout=300).status_code == 403
    assert not call.workspace.violations


def test_a_signed_url_takes_no_other_authorization(stored: tuple[Caller, str]) -> None:
    call, run = stored
    url, headers = credential(call, run, "read")
    token = {"Authorization": f"Bearer {call.workspace.token}"}
    assert requests.get(url, headers=headers | token, timeout=300).status_code == 400
    assert "Authorization" in call.workspace.violations[0]


def test_a_signed_url_is_good_for_one_method_and_one_object(stored: tuple[Caller, str]) -> None:
    call, run = stored
    url, headers = credential(call, run, "read")
    assert requests.put(url, data=b"x", headers=headers, timeout=300).status_code == 403
    assert requests.get(url.replace("/f?", "/g?"), headers=headers, timeout=300).status_code == 403
    assert len(call.workspace.violations) == 2


def test_headers_that_come_with_a_url_must_be_sent(stored: tuple[Caller, str]) -> None:
    call, run = stored
    url, headers = credential(call, run, "write")
    assert headers
    assert requests.put(url, data=b"x", timeout=300).status_code in {400, 403}
    assert call.workspace.violations


def test_the_secrets_of_signed_urls_are_known(stored: tuple[Caller, str]) -> None:
    call, run = stored
    url, _ = credential(call, run, "read")
    assert any(secret in url for secret in call.workspace.secrets)


def test_credentials_are_for_managed_files_of_active_runs(call: Caller) -> None:
    outside = call.run(call.experiment("s3", artifact_location="s3://bucket/x"))
    assert "not for s3://" in call.refused("artifacts/credentials-for-read", run_id=outside, path=["f"])[2]
    run = call.run(call.experiment())
    for wrong in ("/f", "../f", "a//f", ""):
        assert call.refused("artifacts/credentials-for-write", run_id=run, path=[wrong])[0] == 400
    assert call.refused("artifacts/credentials-for-write", run_id=run, path=["f"] * 2001)[0] == 400
    assert "Malformed token" in call.refused("artifacts/credentials-for-read", run_id=run, path=["f"], page_token="")[2]
    call.post("runs/delete", run_id=run)
    assert call.refused("artifacts/credentials-for-write", run_id=run, path=["f"])[0] == 400
    managed = "dbfs:/databricks/mlflow-tracking/1"
    name = f"{call.workspace.home}/m"
    assert call.refused("experiments/create", name=name, artifact_location=managed)[0] == 403


def test_internal_files_are_not_served(call: Caller) -> None:
    path = "/api/2.0/fs/directories/WorkspaceInternal/Mlflow/Artifacts/1/Runs/2/artifacts"
    assert call("HEAD", path).status_code == 501
    assert call("PUT", path.replace("directories", "files") + "/f?overwrite=true", data=b"x").status_code == 501
    assert call("GET", "/api/2.0/dbfs/list", params={"path": "/databricks/mlflow-tracking/1"}).status_code == 403


def test_parts_of_s3_have_a_size_and_a_tag(call: Caller) -> None:
    run = call.run(call.experiment())
    whose = {"run_id": run, "path": "big"}
    begun = call.post("artifacts/create-multipart-upload", **whose, num_parts=2)
    upload = {"upload_id": begun["upload_id"]}
    first, second = (each["signed_uri"] for each in begun["upload_credential_infos"])
    tags = [requests.put(url, data=b"x" * 100, timeout=300).headers["ETag"] for url in (first, second)]
    etags = [{"part_number": number, "etag": tag} for number, tag in enumerate(tags, 1)]
    small = call.refused("artifacts/complete-multipart-upload", **whose, **upload, part_etags=etags)
    assert "EntityTooSmall" in small[2]
    call.workspace.storage.expire()
    assert requests.put(first, data=b"x", timeout=300).status_code == 403
    fresh = call.get("artifacts/get-presigned-upload-part-url", **whose, **upload, part_number=1)
    again = requests.put(fresh["upload_credential_info"]["signed_uri"], data=b"y" * (5 << 20), timeout=300)
    wrong = call.refused("artifacts/complete-multipart-upload", **whose, **upload, part_etags=etags)
    assert "InvalidPart" in wrong[2]
    etags[0]["etag"] = again.headers["ETag"]
    call.post("artifacts/complete-multipart-upload", **whose, **upload, part_etags=etags)
    (found,) = call.get("artifacts/list", run_id=run)["files"]
    assert found == {"path": "big", "is_dir": False, "file_size": (5 << 20) + 100}


def test_an_upload_that_is_aborted_is_gone(call: Caller) -> None:
    run = call.run(call.experiment())
    begun = call.post("artifacts/create-multipart-upload", run_id=run, path="big", num_parts=1)
    assert requests.delete(begun["abort_credential_info"]["signed_uri"], timeout=300).status_code == 204
    assert not call.workspace.storage.uploads
    assert requests.put(begun["upload_credential_infos"][0]["signed_uri"], data=b"x", timeout=300).status_code == 404


def test_blocks_of_azure_are_listed_and_have_ids_of_one_length() -> None:
    with Databricks(rates=None, cloud="azure") as workspace:
        call = Caller(workspace)
        url, headers = credential(call, call.run(call.experiment()), "write")
        block = base64.b64encode(b"0001").decode()
        assert requests.put(f"{url}&comp=block&blockid={block}", data=b"x", headers=headers, timeout=300).ok
        longer = base64.b64encode(b"00000002").decode()
        refused = requests.put(f"{url}&comp=block&blockid={longer}", data=b"x", headers=headers, timeout=300)
        assert refused.status_code == 400
        xml = f"<BlockList><Uncommitted>{block}</Uncommitted></BlockList>"

        def listed(body: str) -> int:
            return requests.put(f"{url}&comp=blocklist", data=body, headers=headers, timeout=5).status_code

        assert listed(xml) == 400
        del headers["x-ms-blob-type"]
        assert listed(xml.replace(block, longer)) == 400
        assert requests.put(f"{url}&comp=block&blockid={block}", data=b"x", headers=headers, timeout=300).ok
        assert listed(xml) == 201


def test_files_of_adls_are_appended_and_flushed_without_gaps() -> None:
    with Databricks(rates=None, cloud="adls") as workspace:
        call = Caller(workspace)
        run = call.run(call.experiment())
        url, headers = credential(call, run, "write")
        headers = {"x-ms-version": headers["x-ms-version"]}
        given: dict[str, Any] = {"headers": headers, "timeout": 5}
        assert requests.patch(f"{url}&action=append&position=0", data=b"ab", **given).status_code == 404
        assert requests.put(f"{url}&resource=file", **given).status_code == 201
        assert requests.patch(f"{url}&action=append&position=2", data=b"cd", **given).status_code == 202
        assert requests.patch(f"{url}&action=flush&position=4", **given).status_code == 400
        assert requests.patch(f"{url}&action=append&position=0", data=b"ab", **given).status_code == 202
        assert requests.patch(f"{url}&action=flush&position=4", **given).status_code == 200
        url, headers = credential(call, run, "read")
        assert requests.get(url, headers=headers, timeout=300).content == b"abcd"


def test_long_listings_come_in_pages_and_files_list_themselves() -> None:
    with Databricks(rates=None, limits=Limits(artifacts_page=2)) as workspace:
        call = Caller(workspace)
        run = call.run(call.experiment())
        for name in ("a", "b", "c/d"):
            url, headers = credential(call, run, "write", name)
            assert requests.put(url, data=b"1", headers=headers, timeout=300).ok
        page = call.get("artifacts/list", run_id=run)
        rest = call.get("artifacts/list", run_id=run, page_token=page["next_page_token"])
        assert [each["path"] for each in page["files"] + rest["files"]] == ["a", "b", "c"]
        assert rest["files"][0]["is_dir"]
        assert [each["path"] for each in call.get("artifacts/list", run_id=run, path="c/d")["files"]] == ["c/d"]


def test_downloads_can_be_cut_in_the_middle(call: Caller) -> None:
    run = call.run(call.experiment())
    url, headers = credential(call, run, "write")
    assert requests.put(url, data=b"x" * 1000, headers=headers, timeout=300).ok
    url, headers = credential(call, run, "read")
    call.workspace.faults.add(Fault("cut", "GET /container-*"))
    with pytest.raises(requests.RequestException):
        requests.get(url, headers=headers, timeout=300)
    assert requests.get(url, headers=headers, timeout=300).content == b"x" * 1000
