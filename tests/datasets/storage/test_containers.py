"""Files in containers, and the files below a folder."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile

import pytest

from corrstore.datasets.archives.contents.files import archive_paths, files_at
from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.storage import containers
from corrstore.datasets.storage.containers import HEAD, container_kind, first_bytes, heads, unpacked
from corrstore.datasets.storage.listing import files_below

CONTENT = b"GRIB" + bytes(range(256)) * 40


def written(path, kind, name="a.grib"):
    """A container of that kind with one file in it."""
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, CONTENT)
    elif kind.startswith("tar"):
        with tarfile.open(path, f"w:{kind[4:]}") as archive:
            member = tarfile.TarInfo(name)
            member.size = len(CONTENT)
            archive.addfile(member, io.BytesIO(CONTENT))
    else:
        path.write_bytes({"gzip": gzip, "bzip2": bz2, "xz": lzma}[kind].compress(CONTENT))
    return path


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz", "gzip", "bzip2", "xz"])
def test_what_is_in_a_container_is_told_by_content_and_read(tmp_path, kind):
    path = written(tmp_path / "a.grib.xz", kind)  # whatever it is called
    (file,), problems = files_at(path)
    assert (file.inside, file.format, problems) == ("a.grib", "grib", [])
    assert unpacked(file.path, file.inside).read_bytes() == CONTENT


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "gzip", "bzip2", "xz"])
def test_a_container_that_is_cut_short_is_damaged_and_named(tmp_path, kind):
    whole = written(tmp_path / "whole", kind).read_bytes()
    cut = tmp_path / "cut"
    cut.write_bytes(whole[: HEAD + (len(whole) - HEAD) // 2 if len(whole) > HEAD else len(whole) // 2])
    with pytest.raises(DamagedData, match="cut is a damaged"):
        assert heads(str(cut), container_kind(cut.read_bytes()[:HEAD]) or "")
        unpacked(str(cut), "a.grib").read_bytes()


def test_a_name_that_leads_out_of_a_container_is_refused(tmp_path):
    path = written(tmp_path / "a.tar", "tar", "../a.grib")
    with pytest.raises(BadInput, match=r"\.\./a\.grib would lie outside"):
        heads(str(path), "tar")


def test_linked_folders_are_followed_once_and_packed_files_count_by_their_pattern(tmp_path):
    folder, elsewhere = tmp_path / "archive", tmp_path / "elsewhere"
    names = ["a.grib", "deep/er/b.grib", "deep/c.grib.gz", "d.tar", "e.txt", "f.txt.gz", "z.zarr/zarr.json"]
    for place in [*(folder / name for name in names), elsewhere / "g!ß .grib"]:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    (folder / "linked").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(folder)

    def found(*patterns):
        return [path.relative_to(folder).as_posix() for path in files_below(folder, list(patterns))]

    assert found("**/*.grib") == ["a.grib", "d.tar", "deep/c.grib.gz", "deep/er/b.grib", "linked/g!ß .grib"]
    assert found("*.grib", "*.zarr") == ["a.grib", "z.zarr"]
    assert found("deep/?.[!x]rib") == ["deep/c.grib.gz"]


def test_a_container_that_would_fill_a_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "_MOST_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(1_000_000))
    with pytest.raises(DamagedData, match="100 times its own bytes"):
        containers.unpacked(str(tmp_path / "bomb.zip"), "zeros")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "gzip"])
def test_a_container_in_a_container_is_looked_into(tmp_path, kind):
    inner = written(tmp_path / "inner.gz", kind)
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.write(inner, "deep/inner.gz")
    (file,), problems = files_at(tmp_path / "outer.zip")
    assert (file.format, problems) == ("grib", [])
    assert unpacked(file.path, file.inside).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x28\xb5\x2f\xfd" + bytes(90), "compressed with Zstandard: decompress it"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"PK\5\6" + bytes(18), "an empty ZIP archive"),
        (b"hello", "begins with b'hello', neither GRIB nor NetCDF"),
        (b"", "empty file"),
    ],
)
def test_what_is_not_read_is_told_by_what_it_is(tmp_path, content, says):
    (tmp_path / "a.grib").write_bytes(content)
    (problem,) = files_at(tmp_path / "a.grib")[1]
    assert says in problem.text


def test_links_that_lead_nowhere_and_names_that_are_no_text_are_told(tmp_path):
    (tmp_path / "itself").symlink_to("itself")
    (tmp_path / "gone.grib").symlink_to("nowhere")
    odd = os.fsencode(tmp_path) + b"/\xff.grib"
    with open(odd, "wb") as file:  # noqa: PTH123
        file.write(CONTENT)
    told = [str(problem) for path in files_below(tmp_path, ["*.grib"]) for problem in files_at(path)[1]]
    assert len(told) == 2
    assert "gone.grib at byte 0: not_read: is a link to nowhere: No such file" in told[0]
    assert told[1].endswith("\\udcff.grib at byte 0: not_read: its name is not UTF-8; rename it")


def test_a_folder_without_the_files_says_which_it_has(tmp_path):
    for name in ("a.GRIB", "b.GRIB", "notes"):
        (tmp_path / name).write_bytes(CONTENT)
    with pytest.raises(
        BadInput, match=r"it has 2 \*.GRIB, 1 without a suffix, .*; write sources.a.files: \[\"\*\*/\*.GRIB\"\]"
    ):
        archive_paths("sources.a.path", str(tmp_path), ["**/*.grib"])


def test_padding_without_an_end_is_not_read_to_its_end():
    class Endless:
        """A file of NUL that counts what is read of it."""

        count = 0

        def read(self, size):
            self.count += size
            return bytes(size)

    endless = Endless()
    assert first_bytes(endless) == bytes(512) and endless.count < 100 << 20
