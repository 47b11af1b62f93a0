"""Target `directory` in an S3-compatible bucket: as in a folder, save that the pointer is one object, `current.json`, written last."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from modelship.core import workflow
from modelship.core.environments import need
from modelship.core.errors import Problem, bad_input, infrastructure
from modelship.core.scratch import scratch_folder
from modelship.core.words import clean
from modelship.deployment.targets.target import NOTHING, Release, Serving
from modelship.deployment.targets.versions import (
    KEPT,
    MODEL,
    RELEASE,
    VERSIONS,
    Pointer,
    check_owner,
    encoded,
    held_digest,
    pointer_to,
    version_name,
)

POINTER = "current.json"

_AT_ONCE = 8
_MOST_BYTES = 5 * 1024**3
_NO_CONDITIONS = frozenset({"NotImplemented", "InvalidArgument", "InvalidRequest"})
"""What servers say that do not know `If-Match` on a PUT."""
_CONDITION_BROKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})


def open_bucket(url: str, key: str, environment: str) -> Bucket:
    """The bucket and prefix of `s3://bucket/prefix`, read from the key `key`; the endpoint and who asks come from AWS's variables.

    Raises BadInput where no bucket is named.
    """
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    if not bucket:
        raise bad_input(f"`{key}` is `{url}`, which names no bucket.", "Write `s3://bucket/prefix`.")
    need("deploy-s3")
    from botocore.config import Config
    from botocore.session import get_session

    session = get_session()
    is_elsewhere = any(os.environ.get(name) for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"))
    settings = Config(
        retries={"mode": "standard"},
        max_pool_connections=_AT_ONCE,
        # Every file is hashed here; other servers than Amazon's may not know these.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if is_elsewhere else "auto"},
    )
    client = session.create_client("s3", region_name=session.get_config_variable("region") or "us-east-1", config=settings)
    return Bucket(client, bucket, prefix.strip("/"), environment)


@dataclass(frozen=True)
class _Object:
    key: str
    size: int
    modified: datetime


class Bucket:
    """Versions below a prefix of a bucket. Raises InfrastructureError when the store does not answer."""

    def __init__(self, client: Any, bucket: str, prefix: str, environment: str) -> None:
        self._client = client
        self._bucket = bucket
        self._environment = environment
        self._prefix = f"{prefix}/" if prefix else ""
        self._where = f"s3://{bucket}/{prefix}"

    def serve(self, release: Release) -> Serving:
        """Upload the version, read it back and compare, switch, and remove the oldest ones."""
        with self._answering():
            before, tag = self._pointer()
            check_owner(before, release, self._environment, self._where)
            name, held = self._put(release)
            self._switch(pointer_to(release, self._environment, name), tag)
        self._prune(name)
        return Serving(folder=held)

    def serving(self) -> tuple[int, str] | None:
        """What the pointer says."""
        with self._answering():
            pointer, _ = self._pointer()
        return pointer.served if pointer else NOTHING

    def clear(self) -> None:
        """Remove the pointer; the versions stay."""
        with self._answering():
            self._client.delete_object(Bucket=self._bucket, Key=self._key(POINTER))

    # The pointer

    def _pointer(self) -> tuple[Pointer | None, str]:
        """The pointer, None where there is none that can be read, and what names its content to the server, empty for no object."""
        found = self._get(self._key(POINTER))
        if found is None:
            return None, ""
        content, tag = found
        try:
            return msgspec.json.decode(content, type=Pointer), tag
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None, tag

    def _switch(self, pointer: Pointer, tag: str) -> None:
        """Write the pointer unless somebody else has done so since `tag` was read, where the server can tell."""
        from botocore.exceptions import ClientError

        ask = {"Bucket": self._bucket, "Key": self._key(POINTER), "Body": encoded(pointer), "ContentType": "application/json"}
        condition = {"IfMatch": tag} if tag else {"IfNoneMatch": "*"}
        try:
            self._client.put_object(**ask, **condition)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in _NO_CONDITIONS:
                self._client.put_object(**ask)
            elif code not in _CONDITION_BROKEN:
                raise
        # A lost answer makes the client ask again, and its own pointer then stands in its way.
        if self._pointer()[0] != pointer:
            raise infrastructure(
                f"somebody else has changed {self._where}/{POINTER} meanwhile.", "Is another deployment under way? Run this again."
            )

    # Versions

    def _put(self, release: Release) -> tuple[str, Path]:
        """Upload the release where it is not there already; returns its name, and a folder here with what the bucket holds of it."""
        base = version_name(release)
        for attempt in range(1, 1000):
            name = base if attempt == 1 else f"{base}-{attempt}"
            is_there = self._get(self._version_key(name, RELEASE)) is not None
            if not is_there:
                self._upload(name, release)
            held = self._held(name, release)
            if held:
                # Written at every deployment: its age says when the version served last.
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=self._version_key(name, RELEASE),
                    Body=encoded(pointer_to(release, self._environment, name)),
                )
                return name, held
            if not is_there:
                raise infrastructure(
                    f"what {self._where} holds of v{release.version} is not what was uploaded.", "Does something else write there?"
                )
            # Somebody has changed what was complete. It may serve: it stays where it is.
        raise infrastructure(f"{self._where} holds a thousand broken copies of {base}.", "Remove them.")

    def _upload(self, name: str, release: Release) -> None:
        files = _files(release.folder)
        too_large = next((path for path in files.values() if path.stat().st_size > _MOST_BYTES), None)
        if too_large:
            raise bad_input(f"`{too_large.name}` has more than 5 GiB, which one upload cannot hold.", "Split it, or make it smaller.")

        def upload(item: tuple[str, Path]) -> None:
            with item[1].open("rb") as body:
                self._client.put_object(Bucket=self._bucket, Key=self._version_key(name, MODEL, item[0]), Body=body)

        # What a killed run left there of another attempt is none of this version's.
        wanted = {self._version_key(name, MODEL, path) for path in files}
        stale = [found.key for found in self._list(self._version_key(name, "")) if found.key not in wanted]
        _each(self._delete, stale)
        _each(upload, files.items())

    def _held(self, name: str, release: Release) -> Path | None:
        """What the bucket holds of a version, in a folder here; None where that is not the release."""
        start = self._version_key(name, MODEL, "")
        there = {found.key.removeprefix(start): found.size for found in self._list(start)}
        if there != {path: file.stat().st_size for path, file in _files(release.folder).items()}:
            return None
        folder = scratch_folder() / MODEL

        def download(path: str) -> None:
            found = self._get(start + path)
            if found is not None:
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(found[0])

        _each(download, there)
        return folder if held_digest(folder) == release.digest else None

    def _prune(self, live: str) -> None:
        """Remove all versions but `live` and those that served last, and what killed runs left; a warning where that fails."""
        try:
            with self._answering():
                versions: dict[str, list[_Object]] = {}
                start = self._key(f"{VERSIONS}/")
                for found in self._list(start):
                    versions.setdefault(found.key.removeprefix(start).partition("/")[0], []).append(found)
                for name in _outdated(versions, live):
                    # The mark first: what has none is no version.
                    keys = sorted((found.key for found in versions[name]), key=lambda key: not key.endswith(f"/{RELEASE}"))
                    for key in keys:
                        self._delete(key)
        except Exception as error:
            problem = Problem(f"old versions in {self._where} could not be removed: {clean(str(error), 300)}", "Remove them by hand.")
            workflow.annotate("warning", problem, "modelship deploy")

    # Objects

    def _key(self, name: str) -> str:
        return self._prefix + name

    def _version_key(self, name: str, *parts: str) -> str:
        return self._key("/".join((VERSIONS, name, *parts)))

    def _get(self, key: str) -> tuple[bytes, str] | None:
        """Content and tag of an object; None where there is none."""
        from botocore.exceptions import ClientError

        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key)
            return answer["Body"].read(), str(answer.get("ETag", ""))
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise

    def _delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=key)

    def _list(self, start: str) -> Iterator[_Object]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=start):
            for found in page.get("Contents", ()):
                yield _Object(found["Key"], found["Size"], found["LastModified"])

    @contextmanager
    def _answering(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

        try:
            yield
        except (NoCredentialsError, PartialCredentialsError):
            raise infrastructure(
                f"{self._where} needs credentials.", "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or let the job assume a role."
            ) from None
        except ClientError as error:
            code = error.response["Error"]["Code"]
            said = clean(error.response["Error"].get("Message") or code, 300).rstrip(".")
            if code == "NoSuchBucket":
                raise bad_input(f"there is no bucket for {self._where}.", "Make it, or mend the target's path.") from None
            if code in ("AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"):
                raise infrastructure(
                    f"{self._where} does not let this in: {said}.", "Are the credentials valid, and may they write?"
                ) from None
            raise infrastructure(f"{self._where} did not do what it was asked: {said}.") from None
        except (BotoCoreError, OSError) as error:
            raise infrastructure(f"{self._where} did not answer: {clean(str(error), 300)}.", "Is AWS_ENDPOINT_URL right?") from None


def _files(folder: Path) -> dict[str, Path]:
    """The files of a model by their path in it."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def _outdated(versions: dict[str, list[_Object]], live: str) -> list[str]:
    """The versions to remove: incomplete ones, and all but `live` and those whose mark is newest."""
    marks = {
        name: found.modified for name, objects in versions.items() for found in objects if PurePosixPath(found.key).name == RELEASE
    }
    newest = sorted(marks, key=lambda name: (name == live, marks[name], name), reverse=True)[:KEPT]
    return sorted(set(versions) - set(newest))


def _each(do: Callable[[Any], None], items: Iterable[Any]) -> None:
    """Do it with several at once; raises what the first of them raised."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(do, items):
            pass
