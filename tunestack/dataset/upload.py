"""A compiled dataset to a bucket, once: an object's name carries its content's digest, so it never needs to change.

The infrastructure program names its objects by the same rule (`object_name`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from tunestack.dataset.digest import CompiledFile
from tunestack.spec.errors import Problem, TunestackError

if TYPE_CHECKING:
    from google.cloud import storage

    from tunestack.dataset.compile import CompiledDataset

# Bytes that are in memory and that a broken connection costs; the library goes on after the last whole piece.
_PIECE_BYTES = 8 << 20
CONTENT_TYPES = {  # by suffix
    ".jsonl": "application/jsonl",
    ".tsv": "text/tab-separated-values",
    ".json": "application/json",
}


def object_name(dataset: str, part: str, digest: str, suffix: str = ".jsonl") -> str:
    """`<dataset>/<first 16 digits of the digest>/<part>.jsonl`: where in a bucket a compiled file lies."""
    return f"{dataset}/{digest[:16]}/{part}{suffix}"


def upload_dataset(
    compiled: CompiledDataset, to: str, client: storage.Client | None = None
) -> CompiledDataset:
    """Bring every file of a dataset to ``to`` (`gs://bucket/prefix`); the same dataset with address and generation.

    An object that is there with the right CRC32C is left alone; none is ever overwritten. Files that lie in a bucket
    already stay there. Raises TunestackError (exit status 2); what was uploaded until then is whole and stays, and
    the same command goes on after it.
    """
    bucket_name, _, prefix = to.removeprefix("gs://").partition("/")
    if not to.startswith("gs://") or not bucket_name:
        problem = Problem("address", "not a place in a bucket", to, have=to, need="gs://bucket/prefix")
        raise TunestackError(problem, exit_status=2)
    prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    if client is None:
        with _told_to_people(to):
            from google.cloud import storage

            client = storage.Client(project=None)
    bucket = client.bucket(bucket_name)

    def uploaded(part: str, file: CompiledFile) -> CompiledFile:
        if file.path is None:
            return file
        name = prefix + object_name(compiled.name, part, file.digest, file.path.suffix)
        blob = _uploaded(bucket, name, file)
        return msgspec.structs.replace(file, uri=f"gs://{bucket_name}/{name}", generation=blob.generation)

    files = {part: uploaded(part, file) for part, file in compiled.files.items()}
    return replace(
        compiled,
        train=files["train"],
        validation=files.get("validation"),
        held_out={name: files[f"held-out-{name}"] for name in compiled.held_out},
        beside={name: files[name] for name in compiled.beside},
        prompt=uploaded("prompt", compiled.prompt) if compiled.prompt is not None else None,
    )


def _uploaded(bucket: storage.Bucket, name: str, file: CompiledFile) -> storage.Blob:
    address = f"gs://{bucket.name}/{name}"
    with _told_to_people(address):
        from google.api_core.exceptions import PreconditionFailed

        if (there := bucket.get_blob(name)) is None:
            blob = bucket.blob(name, chunk_size=_PIECE_BYTES)
            blob.crc32c = file.crc32c  # Cloud Storage refuses bytes that are others
            assert file.path is not None  # noqa: S101 - the caller uploads what lies here
            content_type = CONTENT_TYPES[file.path.suffix]
            try:
                blob.upload_from_filename(
                    str(file.path), content_type=content_type, if_generation_match=0, checksum=None
                )
            except PreconditionFailed:  # somebody was quicker
                there = bucket.get_blob(name)
            else:
                return blob
    if there is None or there.crc32c != file.crc32c:
        have = f"CRC32C {there.crc32c}" if there is not None else "nothing any more"
        problem = Problem(
            "object-differs",
            "another content lies under the digest of this one",
            address,
            have=have,
            need=f"CRC32C {file.crc32c}",
            fix=f"gcloud storage rm {address}, then the same command again",
        )
        raise TunestackError(problem, exit_status=2)
    return there


@contextmanager
def _told_to_people(address: str) -> Iterator[None]:
    """Raises TunestackError (exit status 2) for what google-cloud-storage raises."""
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError
    from requests.exceptions import RequestException

    def cannot(message: str, fix: str) -> TunestackError:
        return TunestackError(Problem("upload", message, address, fix=fix), exit_status=2)

    try:
        yield
    except exceptions.NotFound:
        raise cannot("there is no such bucket", "gcloud storage buckets list names those there are") from None
    except (exceptions.Forbidden, exceptions.Unauthorized):
        message = "nothing may be written there with these credentials"
        raise cannot(message, "grant roles/storage.objectUser on the bucket") from None
    except GoogleAuthError as error:
        message = f"there are no credentials for Cloud Storage: {error}"
        raise cannot(message, "gcloud auth application-default login") from None
    except OSError as error:
        # Of requests, too: its errors are OSErrors.
        if isinstance(error, RequestException | ConnectionError):
            raise cannot(f"Cloud Storage does not answer: {error}", "the same command again") from None
        raise cannot(f"the file cannot be read: {error.strerror}", "the same command again") from None
    except exceptions.GoogleAPIError as error:
        raise cannot(f"Cloud Storage refuses the upload: {error}", "the same command again") from None
