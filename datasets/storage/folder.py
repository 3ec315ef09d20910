"""A folder on a file system or in a bucket, written one whole object at a time."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import fsspec

from corrstore.datasets.errors import BadInput, DamagedData, cannot_write
from corrstore.datasets.storage.credentials import holds_credentials

_TEMPORARY = ".partial-"
_URL = re.compile("[a-z][a-z0-9]+:/")  # of which a path has lost a slash
_NO_FILE = {
    errno.ENOTDIR: "a file lies above it",
    errno.ELOOP: "links lead in a circle",
    errno.EACCES: "it may not be read",
}
_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
_ABANDONED = 3600.0  # seconds


@dataclass(frozen=True)
class Folder:
    """A folder at a local path or a URL such as gs://bucket/path; keys are relative, with forward slashes.

    Raises BadInput for a URL of a bucket that names none, and, without showing it, for a URL with credentials: URLs are
    kept in stores and catalogs.
    """

    url: str
    storage_options: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if holds_credentials(self.url):
            raise BadInput(
                f"a {self.url.partition('://')[0]}:// URL has a user or a query, in which passwords and signatures"
                " stand; give it without them, and credentials by the environment"
            )
        protocol, _, place = self.url.partition("://")
        if protocol in ("gs", "gcs", "s3") and not place.partition("/")[0]:
            raise BadInput(f"{self.url} names no bucket; give {protocol}://bucket/path")

    @property
    def is_local(self) -> bool:
        """True where the folder is on a mounted file system."""
        return "://" not in self.url

    def path(self, key: str = "") -> str:
        """The full path or URL of a key."""
        return f"{self.url.rstrip('/')}/{key}" if key else self.url.rstrip("/")

    def write(self, key: str, content: bytes) -> None:
        """Write the object whole, or not at all; replaces what is there, also a link. Nothing outside is written.

        Raises BadInput where a folder above the object is a link, or a folder lies in its place.
        """
        if self.is_local:
            self._refuse_links_above(key)
            write_file_atomically(Path(self.path(key)), content)
        else:
            self._remote().pipe_file(self.path(key), content)

    def create(self, key: str, content: bytes) -> bool:
        """Write the object whole where there is none of that key; False where there is one."""
        if self.is_local:
            self._refuse_links_above(key)
            return create_file(Path(self.path(key)), content)
        try:
            self._remote().pipe_file(self.path(key), content, mode="create")
        except FileExistsError:
            return False
        return True

    def read(self, key: str) -> bytes:
        """The object's bytes; FileNotFoundError where there is none, DamagedData where what lies there is no file."""
        if self.is_local:
            with self.open(key) as file:
                return file.read()
        return self._remote().cat_file(self.path(key))

    def open(self, key: str) -> IO[bytes]:
        """The object as a file to read parts of; raises as `read`."""
        if not self.is_local:
            return self._remote().open(self.path(key), "rb")
        path = Path(self.path(key))
        try:
            kind = stat.S_IFMT(path.stat().st_mode)
            if kind == stat.S_IFREG:
                return path.open("rb")
            why = f"but {_KINDS.get(kind, 'a device')}"
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
            why = f"as {_NO_FILE[error.errno]}"
        raise DamagedData(f"{path} is no file {why}; move it away")

    def exists(self, key: str = "") -> bool:
        """Tell whether there is an object or a folder of that key."""
        if self.is_local:
            return Path(self.path(key)).exists()
        return self._remote().exists(self.path(key))

    def has_object(self, key: str) -> bool:
        """Tell whether there is an object of that key; a folder is none."""
        if self.is_local:
            return Path(self.path(key)).is_file()
        return self._remote().isfile(self.path(key))

    def size(self, key: str) -> int | None:
        """The size of the object in bytes; None where there is none."""
        if not self.is_local:
            return int(self._remote().info(self.path(key))["size"]) if self.has_object(key) else None
        with suppress(OSError):
            state = Path(self.path(key)).stat()
            if stat.S_ISREG(state.st_mode):
                return state.st_size
        return None

    def names(self, key: str) -> list[str]:
        """The sorted names of the objects directly in the folder `key`; unfinished ones are not among them."""
        if self.is_local:
            folder = Path(self.path(key))
            found = [entry.name for entry in os.scandir(folder)] if folder.is_dir() else []
        else:
            remote = self._remote()
            remote.invalidate_cache()
            try:
                found = [entry.rstrip("/").rsplit("/", 1)[-1] for entry in remote.ls(self.path(key), detail=False)]
            except FileNotFoundError:
                found = []
        return sorted(name for name in found if not name.startswith(_TEMPORARY))

    def all_keys(self) -> list[str]:
        """The sorted keys of all objects below the folder; unfinished ones are not among them."""
        if self.is_local:
            root = Path(self.url)
            files = (file for file in root.rglob("*") if file.is_file() and not file.name.startswith(_TEMPORARY))
            return sorted(file.relative_to(root).as_posix() for file in files)
        remote, path = self._remote_and_path()
        remote.invalidate_cache()
        return sorted(found.removeprefix(f"{path.rstrip('/')}/") for found in remote.find(path))

    def remove(self, key: str) -> None:
        """Remove an object or a folder with all that is in it, of a link the link; nothing happens where there is none.

        Where no folder, but a file or the like, lies above it, there is none.

        Raises BadInput where a folder above is a link.
        """
        if not self.is_local:
            if self.exists(key):
                self._remote().rm(self.path(key), recursive=True)
            return
        self._refuse_links_above(key)
        path = Path(self.path(key))
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif key:
            with suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()

    def remove_obstacle(self, key: str) -> None:
        """Remove what keeps an object from being written: a folder in its place, or no folder above it.

        Raises BadInput as `remove`.
        """
        if self.is_local and not self.has_object(key):
            parts = key.split("/")
            for above in ("/".join(parts[:count]) for count in range(1, len(parts))):
                if os.path.lexists(self.path(above)) and not Path(self.path(above)).is_dir():
                    self.remove(above)
                    return
            self.remove(key)

    def sweep(self) -> None:
        """Remove what killed writers left unfinished an hour ago or earlier; later ones may be at work."""
        if self.is_local:
            for path in Path(self.url).rglob(f"{_TEMPORARY}*"):
                with suppress(OSError):
                    if time.time() - path.stat().st_mtime > _ABANDONED:
                        path.unlink()

    def _refuse_links_above(self, key: str) -> None:
        """Raise BadInput where a folder between this one and the object is a link: it may lead anywhere."""
        *above, _ = key.split("/")
        place = self.url
        for name in above:
            place = f"{place}/{name}"
            if Path(place).is_symlink():
                raise BadInput(
                    f"{place} is a symbolic link, through which nothing is written; put the folder itself there, and"
                    " give the same command again"
                )

    def _remote(self) -> Any:
        return self._remote_and_path()[0]

    def _remote_and_path(self) -> tuple[Any, str]:
        """Return the file system of the URL, and the folder's path on it, without the protocol."""
        try:
            return fsspec.url_to_fs(self.url, **self.storage_options)
        except (ImportError, ValueError) as error:
            install = "; pip install 'corrstore[s3]'" if "s3fs" in str(error) else ""
            raise BadInput(f"{self.url} cannot be reached: {error}{install}") from None


def absolute(path: str) -> str:
    """The path whatever the working folder; a URL as it is."""
    return path if "://" in path else str(Path(path).absolute())


def write_file_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: under another name first, then moved.

    Raises OutOfResources where the disk is full, and BadInput where the folder cannot be written; both name the path.
    """
    if _URL.match(str(path)):
        raise BadInput(f"{path} was a URL, and this is written to a disk alone; give a path")
    temporary = path.with_name(f"{_TEMPORARY}{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise cannot_write(path, error, len(content)) from None
        raise


def create_file(path: Path, content: bytes) -> bool:
    """Write a file whole where there is none; False where there is one. Raises as `write_file_atomically`."""
    temporary = path.with_name(f"{_TEMPORARY}{uuid.uuid4().hex}")
    write_file_atomically(temporary, content)
    try:
        os.link(temporary, path)  # in one step, also on NFS
    except FileExistsError:
        return False
    except OSError:  # no links here
        try:
            with path.open("xb") as file:
                file.write(content)
        except FileExistsError:
            return False
        except OSError as error:
            raise cannot_write(path, error, len(content)) from None
    finally:
        temporary.unlink(missing_ok=True)
    return True


def checksum(content: bytes) -> str:
    """The SHA-256 of the bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
