"""Files for uploads and expressions: inside the project, digested, and the same when they are sent."""

import os
from pathlib import Path

import pytest

from nexus.manifest import ProjectFiles
from nexus.model.diagnostics import DiagnosticsError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "src" / "deep").mkdir(parents=True)
    (root / "src" / "a.py").write_text("a")
    (root / "src" / "deep" / "b.py").write_text("b")
    (root / "src" / "deep" / "b.pyc").write_text("c")
    (root / ".nexus").mkdir()
    (root / ".nexus" / "state.json").write_text("{}")
    (tmp_path / "secret").write_text("outside")
    return root


def content(files: ProjectFiles, digest: str, path: str = "") -> bytes:
    return b"".join(files.content(digest, path))


def code(files: ProjectFiles, source: str) -> str:
    with pytest.raises(DiagnosticsError) as caught:
        files.tree(source)
    return caught.value.diagnostics[0].code


def test_a_folder_is_its_content(root: Path):
    files = ProjectFiles(root)
    digest, tree = files.tree("./src/")
    assert list(tree) == ["a.py", "deep/b.py", "deep/b.pyc"]
    assert files.tree("src") == (digest, tree)
    assert content(files, digest, "deep/b.py") == b"b"


def test_a_file_is_itself(root: Path):
    digest, tree = ProjectFiles(root).tree("src/a.py")
    assert list(tree) == [""]
    assert ProjectFiles(root).tree("src/a.py", mode=0o755)[1][""].mode == 0o755
    assert ProjectFiles(root).tree("src/a.py", mode=0o755)[0] != digest


def test_excluded_files_and_nexus_own_are_left_out(root: Path):
    files = ProjectFiles(root)
    assert list(files.tree(".", ["*.pyc", "!keep.pyc"])[1]) == ["src/a.py", "src/deep/b.py"]
    assert list(files.tree("src", ["deep/"])[1]) == ["a.py"]
    assert list(files.tree("src", ["**/deep"])[1]) == ["a.py"]


def test_the_digest_follows_content_mode_and_names(root: Path):
    before = ProjectFiles(root).tree("src")[0]
    (root / "src" / "a.py").chmod(0o755)
    after = ProjectFiles(root).tree("src")[0]
    assert after != before
    (root / "src" / "a.py").chmod(0o644)
    (root / "src" / "a.py").write_text("b")
    assert ProjectFiles(root).tree("src")[0] not in (before, after)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("../secret", "outside-project"),
        ("/etc/passwd", "outside-project"),
        ("src/../../secret", "outside-project"),
        ("missing", "file-not-found"),
        ("bad\0name", "file-not-found"),
        ("pipe", "not-a-file"),
    ],
)
def test_what_can_not_be_uploaded_is_refused(root: Path, source: str, expected: str):
    os.mkfifo(root / "pipe")
    assert code(ProjectFiles(root), source) == expected


def test_links_are_followed_and_must_stay_inside(root: Path):
    files = ProjectFiles(root)
    (root / "src" / "inside").symlink_to("a.py")
    assert files.tree("src")[1]["inside"].digest == files.tree("src")[1]["a.py"].digest
    (root / "src" / "escape").symlink_to(root.parent / "secret")
    assert code(files, "src") == "outside-project"
    assert code(files, "src/escape") == "outside-project"


def test_links_that_lead_back_or_nowhere_are_refused(root: Path):
    (root / "src" / "back").symlink_to(root / "src")
    assert code(ProjectFiles(root), "src") == "link-loop"
    (root / "src" / "back").unlink()
    (root / "src" / "self").symlink_to("self")
    assert code(ProjectFiles(root), "src/self") in ("file-not-found", "outside-project")
    assert code(ProjectFiles(root), "src") == "unreadable-file"


def test_a_name_that_is_not_text_is_refused_unless_it_is_left_out(root: Path):
    (Path(os.fsdecode(bytes(root / "src") + b"/\xff.bin"))).write_bytes(b"")
    with pytest.raises(DiagnosticsError) as raised:
        ProjectFiles(root).tree("src")
    (problem,) = raised.value.diagnostics
    assert (problem.code, problem.summary) == ("not-text", r"A file has a name that is not UTF-8: '\udcff.bin'")
    ProjectFiles(root).tree("src", ["*.bin"])


def test_a_file_that_changed_in_between_is_noticed(root: Path):
    files = ProjectFiles(root)
    digest, _ = files.tree("src")
    (root / "src" / "a.py").write_text("other")
    for change in (lambda: None, (root / "src" / "a.py").unlink):
        change()
        with pytest.raises(DiagnosticsError) as caught:
            content(files, digest, "a.py")
        assert caught.value.diagnostics[0].code == "file-changed"


def test_large_files_come_in_pieces_and_a_change_in_the_middle_is_noticed(root: Path):
    large = root / "src" / "large"
    large.write_bytes(os.urandom(3_000_000))
    files = ProjectFiles(root)
    digest, _ = files.tree("src/large")
    pieces = files.content(digest, "")
    assert len(next(pieces)) < 2_000_000
    with large.open("r+b") as file:
        file.seek(2_500_000)
        file.write(b"other")
    with pytest.raises(DiagnosticsError):
        list(pieces)


def test_inline_content_is_remembered(root: Path):
    files = ProjectFiles(root)
    digest, tree = files.inline("text", 0o600)
    assert content(files, digest) == b"text"
    assert (tree[""].mode, tree[""].size) == (0o600, 4)


def test_digests_of_sensitive_content_depend_on_the_key_and_tell_no_size(root: Path):
    files = ProjectFiles(root, b"one")
    digest, tree = files.inline("secret", 0o600, sensitive=True)
    assert tree[""].size == 0
    assert content(files, digest) == b"secret"
    assert ProjectFiles(root, b"one").inline("secret", 0o600, sensitive=True)[0] == digest
    assert files.with_key(b"two").inline("secret", 0o600, sensitive=True)[0] != digest
    assert ProjectFiles(root).inline("secret", 0o600, sensitive=True)[0] != digest
    assert "secret" not in repr(files)


def test_text_is_utf_8_and_inside(root: Path):
    files = ProjectFiles(root)
    assert files.text("src/a.py") == "a"
    (root / "binary").write_bytes(b"\xff")
    for path, expected in (
        ("binary", "not-text"),
        ("src", "not-a-file"),
        ("no", "file-not-found"),
        ("../secret", "outside-project"),
    ):
        with pytest.raises(DiagnosticsError) as caught:
            files.text(path)
        assert caught.value.diagnostics[0].code == expected


def test_a_file_is_digested_once(root: Path, monkeypatch: pytest.MonkeyPatch):
    files = ProjectFiles(root)
    files.tree("src")
    opened: list[Path] = []
    original = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *args, **kw: opened.append(self) or original(self, *args, **kw))
    files.tree("src")
    assert opened == []
