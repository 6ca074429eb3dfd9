"""Large artifacts to S3 in parts, at addresses that the workspace signs for each of them."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any

from runsync.errors import ABSENT, RequestRefused
from runsync.model.wording import many
from runsync.multipart import cut, part_size, send_parts
from runsync.workspaces.clouds.credential import Credential, Pass
from runsync.workspaces.clouds.storage import Storage
from runsync.workspaces.http import NOT_DONE, Client, Opener, post_once
from runsync.workspaces.http.fields import identifier, listed, number, part
from runsync.workspaces.rest.server import API

ARTIFACTS = f"{API}/artifacts"
S3_AT_ONCE = 5 << 30
"""Bytes that S3 takes in one request."""
_UNABLE = (404, 501)
_ENDED = (ABSENT, "NoSuchUpload")
"""What is told of an upload that was completed already."""


class Multipart:
    """Of one workspace."""

    def __init__(self, client: Client, storage: Storage) -> None:
        self._client = client
        self._storage = storage
        self._is_offered = True

    def send(self, run_id: str, path: str, size: int, opener: Opener) -> bool:
        """Puts one file there; False where the workspace does not offer it. What cannot be finished is taken away."""
        if not self._is_offered:
            return False
        with self._client.half_made():
            return self._send(run_id, path, size, opener)

    def _send(self, run_id: str, path: str, size: int, opener: Opener) -> bool:
        a_part = part_size(size)
        file = {"run_id": run_id, "path": path}
        try:
            made = self._client.post(f"{ARTIFACTS}/create-multipart-upload", {**file, "num_parts": -(-size // a_part)})
        except RequestRefused as error:
            if error.status not in _UNABLE or size > S3_AT_ONCE:
                raise
            self._is_offered = False
            return False
        upload = {**file, "upload_id": identifier(made, "upload_id")}
        try:
            tags = self._parts(listed(made, "upload_credential_infos"), upload, size, a_part, opener)
            self._complete(upload, tags, size)
        except BaseException:
            with suppress(RequestRefused):
                self._storage.abandon(Credential.of(part(made, "abort_credential_info")))
            raise
        return True

    def _parts(
        self, infos: Sequence[Mapping[str, Any]], upload: Mapping[str, str], size: int, part: int, opener: Opener
    ) -> list[dict[str, Any]]:
        count = -(-size // part)
        if len(infos) != count:
            raise RequestRefused(f"artifact “{upload['path']}”: addresses for {len(infos)} of {many(count, 'part')}")
        passes = [Pass(Credential.of(info), self._again(upload, number)) for number, info in enumerate(infos, 1)]

        def send(number: int, content: bytes) -> dict[str, Any]:
            response = self._storage.send(passes[number - 1], "PUT", content)
            return {"part_number": number, "etag": response.headers.get("ETag", "")}

        with closing(opener()) as stream:
            return send_parts(cut(stream.read, size, part), send)

    def _again(self, upload: Mapping[str, str], number: int) -> Callable[[], Credential]:
        """What asks for another address of a part."""
        place = f"{ARTIFACTS}/get-presigned-upload-part-url"
        asked: dict[str, Any] = {**upload, "part_number": number}
        return lambda: Credential.of(part(self._client.get(place, **asked), "upload_credential_info"))

    def _complete(self, upload: Mapping[str, str], tags: Sequence[Mapping[str, Any]], size: int) -> None:
        """Where an answer was lost, and then there is no such upload any more, it was done if the file is there."""
        untold: list[RequestRefused] = []

        def found(error: RequestRefused) -> Mapping[str, Any] | None:
            is_ended = any(sign in f"{error.code} {error}" for sign in _ENDED)
            if is_ended and untold and self._size(upload) == size:
                return {}
            if error.status not in NOT_DONE:
                untold.append(error)
            return None

        post_once(self._client, f"{ARTIFACTS}/complete-multipart-upload", {**upload, "part_etags": list(tags)}, found)

    def _size(self, upload: Mapping[str, str]) -> int | None:
        """Of the file as it is there. A file is listed as itself."""
        path = upload["path"]
        told = listed(self._client.get(f"{ARTIFACTS}/list", run_id=upload["run_id"], path=path), "files")
        return next((number(file, "file_size") for file in told if file.get("path") == path), None)
