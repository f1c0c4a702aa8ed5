"""Downloads that arrive whole and verified or not at all."""

import hashlib

import pytest

from files.published import Download, download, verify


def test_download_checks_the_hash_and_leaves_nothing_behind(tmp_path):
    (tmp_path / "weights.pth").write_bytes(b"weights")
    target = tmp_path / "cache" / "weights.pth"
    wrong = Download("weights.pth", tmp_path.as_uri(), "0" * 64)
    with pytest.raises(RuntimeError, match=r"weights\.pth has SHA-256 .* expected 0{16}.*try again, or do it by hand"):
        download(wrong, target, "do it by hand")
    assert list(target.parent.iterdir()) == []
    right = wrong._replace(sha256=hashlib.sha256(b"weights").hexdigest()[:8])
    download(right, target, "do it by hand")
    assert list(target.parent.iterdir()) == [target] and target.read_bytes() == b"weights"
    verify(right, target)
    with pytest.raises(RuntimeError, match="fetch file:.*weights.pth again"):
        verify(wrong, target)


def test_a_file_that_cannot_be_fetched_says_what_to_do_instead(tmp_path):
    with pytest.raises(RuntimeError, match=r"cannot download .*absent\.pth .*; do it by hand"):
        download(Download("absent.pth", tmp_path.as_uri(), ""), tmp_path / "weights.pth", "do it by hand")
    assert list(tmp_path.iterdir()) == []
