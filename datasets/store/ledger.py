"""The ledger: the keys of the files that a store keeps beside its arrays, and how damage in them is found.

They let a build continue, and give every number of the store a source. JSON files hold their own SHA-256, Parquet
files their own CRC-32C, and the manifest the SHA-256 of all files but the verdict, its own too. What nothing else
tells (the build record, the history) is kept twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import google_crc32c
import pyarrow as pa
import pyarrow.parquet as pq

from corrstore.datasets.errors import CorrstoreError, DamagedData
from corrstore.datasets.storage.folder import Folder, checksum

LEDGER = "ledger"

HISTORY = f"{LEDGER}/history.json"

RECORDS, MEASUREMENTS = f"{LEDGER}/records", f"{LEDGER}/measurements"
CHECKSUMS, PLANS = f"{LEDGER}/checksums", f"{LEDGER}/plans"
STATIC = f"{LEDGER}/static.parquet"
PAIRS, BUILD = f"{LEDGER}/pairs.parquet", f"{LEDGER}/build.json"
MANIFEST, COPIES = f"{LEDGER}/manifest.json", f"{LEDGER}/copies"
VERDICT, UNFINISHED = f"{LEDGER}/verdict.json", f"{LEDGER}/unfinished"
STATISTICS, SHARDS = f"{LEDGER}/statistics.parquet", f"{LEDGER}/shards.parquet"
SAMPLES, SOURCES = f"{LEDGER}/samples.parquet", f"{LEDGER}/sources.parquet"
SHIFT = f"{LEDGER}/shift.parquet"
ARCHIVES = f"{LEDGER}/archives.json"
HISTOGRAMS, REPORT = f"{LEDGER}/histograms.parquet", f"{LEDGER}/report.json"
METADATA = "zarr.json"
SAMPLES_IN_ROW_GROUP = 32

_SEAL = "sha256"
_READS_AT_ONCE = 16
_ONE_THREAD = 1 << 20  # bytes of a table that several threads read no sooner
_Parsed = TypeVar("_Parsed")


def parquet_bytes(table: pa.Table) -> bytes:
    """Return the table as the bytes of a Parquet file with checksums: see `SealedWriter`."""
    writer = SealedWriter(table.schema)
    writer.write_table(table)
    return writer.content()


class SealedWriter(pq.ParquetWriter):
    """A writer of a Parquet file in memory: each page has its CRC-32, and the metadata the CRC-32C of the whole file.

    That is of the file with zeros in its place.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._sink = pa.BufferOutputStream()
        super().__init__(self._sink, schema, compression="zstd", write_page_checksum=True)

    def content(self) -> bytes:
        """Close the file and return its bytes."""
        self.add_key_value_metadata({"checksum": (_MARK + _ZEROS).decode()})
        self.close()
        content = self._sink.getvalue().to_pybytes()
        return content.replace(_MARK + _ZEROS, _MARK + _crc(content))


_MARK, _ZEROS = b"crc32c of this file with zeros here: ", b"0" * 8


def _crc(content: bytes) -> bytes:
    return b"%08x" % google_crc32c.value(content)


def parsed_table(content: bytes, columns: list[str] | None = None) -> pa.Table:
    """Return the table in the bytes of a Parquet file; ValueError or pyarrow's errors where they are damaged.

    Of all columns, or of those named.

    A file without a CRC-32C, which an older corrstore wrote, is taken as it is.
    """
    start, mark, rest = content.rpartition(_MARK)
    if mark and _crc(start + mark + _ZEROS + rest[8:]) != rest[:8]:
        raise ValueError("it has another CRC-32C than it states")
    with pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True) as file:
        return file.read(columns, use_threads=len(content) > _ONE_THREAD).replace_schema_metadata(None)


def damaged(folder: Folder, key: str, how: str, heal: str = "") -> DamagedData:
    """Return the error for a damaged file of ours: which, how that was found, and what heals it.

    Without `heal` the file is one of a store.
    """
    if heal:
        pass
    elif key.startswith(PLANS):
        heal = "give the same command again"
    elif key == VERDICT:
        heal = f"run `corrstore verify {folder.url}` again"
    else:
        heal = f"run `corrstore verify {folder.url}`, then build with --repair"
    return DamagedData(f"{folder.path(key)} is damaged ({' '.join(how.split()):.200}); {heal}")


def read_own(folder: Folder, key: str, parse: Callable[[bytes], _Parsed], heal: str = "") -> _Parsed:
    """Return what `parse` makes of a file of ours; raises DamagedData, whatever is wrong with it: see `damaged`."""
    try:
        content = folder.read(key)
    except FileNotFoundError:
        raise damaged(folder, key, "it is not there", heal) from None
    except DamagedData:
        raise damaged(folder, key, "what lies there is no file that can be read", heal) from None
    try:
        return parse(content)
    except CorrstoreError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno:
            raise  # of the file system, not of the file's content
        raise damaged(folder, key, f"{type(error).__name__}: {error}", heal) from None


def write_json(folder: Folder, key: str, content: dict[str, Any], twice: bool = False) -> None:
    """Write a JSON file with the SHA-256 of its content in it, and a copy where nothing else tells what it does."""
    sealed = sealed_json(content)
    folder.write(key, sealed)
    if twice:
        folder.write(copy_of(key), sealed)


def sealed_json(content: dict[str, Any]) -> bytes:
    """Return the bytes of a JSON file with the SHA-256 of its content in it."""
    plain = json.loads(json.dumps(content))
    return json.dumps({**plain, _SEAL: _seal(plain)}, indent=1).encode()


def copy_of(key: str) -> str:
    """Return the key of a file's copy."""
    return f"{COPIES}/{key.rsplit('/', 1)[-1]}"


def read_json(folder: Folder, key: str, heal: str = "") -> Any:
    """Return the content of a JSON file of ours; raises DamagedData where it is not what was written: see `damaged`.

    A file without a SHA-256, which an older corrstore wrote, is taken as it is.
    """
    return read_own(folder, key, _unsealed, heal)


def _unsealed(content: bytes) -> Any:
    found = json.loads(content)
    seal = found.pop(_SEAL, None) if isinstance(found, dict) else None
    if seal is not None and seal != _seal(found):
        raise ValueError("its content has another SHA-256 than it states")
    return found


def _seal(content: Any) -> str:
    return checksum(json.dumps(content).encode())


def write_manifest(folder: Folder, objects: dict[str, bytes]) -> None:
    """Write the checksums of the objects that are not shards, and of all files of the ledger."""
    keys = [key for key in _ledger_keys(folder) if key not in objects]
    sums = {key: checksum(content) for key, content in objects.items()} | _checksums(folder, keys)
    folder.write(MANIFEST, _manifest_bytes(dict(sorted(sums.items()))))


def read_manifest(folder: Folder) -> dict[str, str]:
    """Return the checksum of each object by its key; raises DamagedData where the manifest is absent or damaged."""
    return read_own(folder, MANIFEST, _parsed_manifest)


def _manifest_bytes(sums: dict[str, str]) -> bytes:
    return json.dumps({**sums, MANIFEST: _seal(sums)}).encode()


def _parsed_manifest(content: bytes) -> dict[str, str]:
    sums: dict[str, str] = json.loads(content)
    if sums.pop(MANIFEST, None) is not None and _manifest_bytes(sums) != content:
        raise ValueError("its content has another SHA-256 than it states")
    if not all(len(sha256) == 64 for sha256 in sums.values()):
        raise ValueError("it holds what is no SHA-256")
    return sums


def _ledger_keys(folder: Folder) -> list[str]:
    """Return the keys of the files of the ledger that change only when a build ends."""
    keys = [f"{place}/{name}" for place in (RECORDS, MEASUREMENTS, CHECKSUMS, COPIES) for name in folder.names(place)]
    files = [f"{LEDGER}/{name}" for name in folder.names(LEDGER) if name.endswith((".json", ".parquet"))]
    return [key for key in [*keys, *files] if key not in (MANIFEST, VERDICT) and not key.startswith(f"{LEDGER}/owner")]


def _checksums(folder: Folder, keys: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of the objects that are there, as files."""

    def of(key: str) -> tuple[str, str] | None:
        try:
            return key, checksum(folder.read(key))
        except (FileNotFoundError, DamagedData):
            return None

    with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
        return dict(found for found in pool.map(of, keys) if found is not None)


def damaged_objects(folder: Folder) -> list[str]:
    """Return the keys of the manifest whose objects are absent or have another checksum.

    A manifest that is absent or damaged is the only one named. The records of an unfinished build are not compared.
    """
    try:
        manifest = read_manifest(folder)
    except DamagedData:
        return [MANIFEST]
    if folder.exists(UNFINISHED):
        manifest = {key: sha256 for key, sha256 in manifest.items() if not key.startswith(f"{RECORDS}/")}
    present = _checksums(folder, manifest)
    return [key for key, sha256 in manifest.items() if present.get(key) != sha256]


def check_objects(folder: Folder, wanted: Callable[[str], bool], objects: dict[str, bytes] | None = None) -> None:
    """Raise DamagedData where a wanted object of the manifest, read now or given, is not what was written.

    Nothing is compared while a build is at work, nor where the manifest is damaged, which `verify` finds.
    """
    try:
        manifest = read_manifest(folder)
    except DamagedData:
        return
    for key, sha256 in manifest.items():
        if wanted(key):
            found = (objects or {}).get(key) or (folder.read(key) if folder.exists(key) else b"")
            if checksum(found) != sha256 and not folder.exists(UNFINISHED):
                if read_manifest(folder).get(key) != sha256:  # a build has ended in the meantime
                    continue
                raise damaged(folder, key, "it has another SHA-256 than the manifest states")
