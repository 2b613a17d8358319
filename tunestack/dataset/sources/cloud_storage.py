"""Objects in Cloud Storage, read where they lie: one generation, in ranges, never as a local copy.

google-cloud-storage is imported only where an object is opened; it honours STORAGE_EMULATOR_HOST by itself.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from tunestack.dataset.sources.content import Digest, fault_of
from tunestack.dataset.sources.source import SourceDigests, SourceFault
from tunestack.spec.errors import Problem, TunestackError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from google.cloud.storage import Blob, Client

# The first range is small, because often no more than the head of an object is wanted; then each is twice the
# last up to this, which is what is in memory.
_FIRST_RANGE_BYTES = 256 << 10
_RANGE_BYTES = 8 << 20


class ObjectAddress(NamedTuple):
    """`gs://bucket/object#generation`; without a generation the one that is current."""

    bucket: str
    object: str
    generation: int | None = None

    @classmethod
    def parse(cls, address: str) -> ObjectAddress:
        """Raises TunestackError. A `#` in the object's name is no trouble: a generation is digits at the end."""
        found = re.fullmatch(r"gs://([^/#]+)/(.+?)(?:#(\d+))?", address, re.DOTALL)
        if found is None:
            raise TunestackError(
                Problem(
                    "address", "not an object in a bucket", address, address, "gs://bucket/object#generation"
                ),
                exit_status=2,
            )
        return cls(found[1], found[2], int(found[3]) if found[3] else None)


class CloudObject:
    """One generation of an object. Which one is settled when it is made."""

    def __init__(self, address: str, client: Client | None = None) -> None:
        """Asks Cloud Storage for the object. Raises TunestackError, SourceFault (code `generation`)."""
        self._address = address
        self._bucket, self._object, named = ObjectAddress.parse(address)
        self._client = client
        self._digests: SourceDigests | None = None
        with told_to_people(address):
            from google.api_core.exceptions import NotFound

            try:
                blob = self._blob(named)
                blob.reload()
            except NotFound as error:
                current = self._blob(None)
                if named is None or not current.exists():
                    raise error from None
                current.reload()
                raise self._other_generation(named, current.generation) from None
            self.generation: int = blob.generation
            self._size: int = blob.size
            self._crc32c: str | None = blob.crc32c

    @property
    def name(self) -> str:
        """The address as it was given."""
        return self._address

    def open(self) -> io.BufferedReader:
        """The stored bytes, also of an object that Cloud Storage would unpack on the way."""
        return io.BufferedReader(_Ranges(self), _FIRST_RANGE_BYTES)

    def digests(self) -> SourceDigests:
        """Known without another download where a stream was read from its first to its last byte."""
        while self._digests is None:
            with self.open() as stream:
                while stream.read(_RANGE_BYTES):
                    pass
                if self._digests is None and (fault := fault_of(stream)) is not None:
                    raise fault
        return self._digests

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_client": None}  # the connection stays with its process

    def _blob(self, generation: int | None) -> Blob:
        if self._client is None:
            from google.cloud.storage import Client

            self._client = Client(project=None)
        return self._client.bucket(self._bucket).blob(self._object, generation=generation)

    def _other_generation(self, need: int, have: int | None) -> SourceFault:
        message = f"generation {need} is gone"
        if have is not None:
            message += f"; the object is generation {have} now"
        return SourceFault(
            "generation", message, "check the new one and name it, or upload the old one again"
        )

    def read_range(self, start: int, size: int) -> bytes:
        """At most ``size`` bytes. Raises TunestackError, SourceFault."""
        with told_to_people(self._address):
            from google.api_core.exceptions import NotFound, PreconditionFailed

            try:
                # A connection that breaks is taken up again by the library where it broke.
                piece: bytes = self._blob(self.generation).download_as_bytes(
                    start=start,
                    end=min(start + size, self._size) - 1,
                    raw_download=True,
                    if_generation_match=self.generation,
                    checksum=None,  # Cloud Storage has one of the whole object only: see finish
                )
                return piece
            except (NotFound, PreconditionFailed):
                raise self._other_generation(self.generation, None) from None

    def finish(self, digest: Digest) -> SourceFault | None:
        """Take the digests of all bytes; a fault where Cloud Storage has another CRC32C for them."""
        self._digests = digest.digests(self._address, self.generation)
        if self._crc32c in (None, self._digests.crc32c):
            return None
        message = f"what was read has CRC32C {self._digests.crc32c}, the object {self._crc32c}"
        return SourceFault("file-unreadable", message, "read it again; if it stays so, upload it again")

    @property
    def size(self) -> int:
        """Bytes as they are stored."""
        return self._size


class _Ranges(io.RawIOBase):
    """An object as a file that can be sought in; whoever reads all of it in order has its digests on the way."""

    def __init__(self, content: CloudObject) -> None:
        self.fault: SourceFault | None = None
        self._content = content
        self._at = 0
        self._range = memoryview(b"")
        self._range_bytes = _FIRST_RANGE_BYTES
        self._digest: Digest | None = Digest()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        to = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._content.size}[whence]
        if to != self._at:
            self._at, self._range, self._digest = to, memoryview(b""), None
        return to

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        if self.fault is not None:
            return 0
        if not self._range and self._at < self._content.size:
            try:
                piece = self._content.read_range(self._at, self._range_bytes)
            except SourceFault as fault:
                self.fault = fault
                return 0
            self._range = memoryview(piece)
            self._range_bytes = min(self._range_bytes * 2, _RANGE_BYTES)
            if self._digest is not None:
                self._digest.update(piece)
        if not self._range and self._digest is not None:
            self.fault = self._content.finish(self._digest)
            self._digest = None
            return 0
        room = memoryview(buffer).cast("B")
        count = min(len(room), len(self._range))
        room[:count] = self._range[:count]
        self._range = self._range[count:]
        self._at += count
        return count


@contextmanager
def told_to_people(address: str) -> Iterator[None]:
    """Raises TunestackError (exit status 2) for what google-cloud-storage raises."""
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError
    from requests.exceptions import RequestException

    def cannot(message: str, fix: str) -> TunestackError:
        return TunestackError(Problem("file-unreadable", message, address, fix=fix), exit_status=2)

    try:
        yield
    except exceptions.NotFound:
        raise cannot("there is no such object", "gcloud storage ls lists what is there") from None
    except (exceptions.Forbidden, exceptions.Unauthorized):
        raise cannot(
            "the object may not be read with these credentials",
            "grant roles/storage.objectViewer on the bucket",
        ) from None
    except GoogleAuthError as error:
        raise cannot(
            f"there are no credentials for Cloud Storage: {error}", "gcloud auth application-default login"
        ) from None
    except (exceptions.GoogleAPIError, RequestException, ConnectionError) as error:
        raise cannot(f"Cloud Storage does not answer: {error}", "try again") from None
