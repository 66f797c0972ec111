"""Which files of a folder are taken."""
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from mmcma.search.listing import SUFFIXES, list_folder
from mmcma.utils import images
from mmcma.utils.errors import DataError, MediaError
from mmcma.utils.images import read_image


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_other_files_are_counted_by_suffix(tmp_path):
    for name in ('a.MP4', 'b.heic', 'c/d.ts', 'e.txt', 'c/F.TXT', 'g.pdf', 'Makefile', '.hidden.txt', '.git/x.mp4'):
        touch(tmp_path / name)
    found, failed, skipped = list_folder(tmp_path)
    assert sorted(found) == ['a.MP4', 'b.heic', 'c/d.ts'] and failed == {}
    assert skipped == {'.txt': 2, '.pdf': 1, '': 1}


def test_what_cannot_be_taken_is_told(tmp_path):
    root = tmp_path / 'root'
    touch(root / 'a.mp4')
    (root / 'loop.mp4').symlink_to('loop.mp4')
    (root / 'out.mp4').symlink_to(touch(tmp_path / 'out.mp4'))
    (root / 'broken.mp4').symlink_to('absent.mp4')
    os.mkfifo(root / 'pipe.mp4')
    touch(root / os.fsdecode(b'\xff.mp4'))
    touch(root / 'new\nline.mp4')
    found, failed, _ = list_folder(root)
    assert sorted(found) == ['a.mp4', 'new\nline.mp4']
    assert {path: reason.split()[0] for path, reason in failed.items()} == {
        'broken.mp4': 'No', 'loop.mp4': 'a', 'out.mp4': 'a', 'pipe.mp4': 'no', '\ufffd.mp4': 'its'}
    assert 'leads to itself' in failed['loop.mp4'] and 'leads out' in failed['out.mp4']


def test_a_link_to_what_is_listed_is_not_taken_twice(tmp_path):
    touch(tmp_path / 'z.mp4'), touch(tmp_path / '.store' / 'blob'), touch(tmp_path / 'folder' / 'b.mp4')
    for name, target in {'a.mp4': 'z.mp4', 'one.mp4': '.store/blob', 'two.mp4': '.store/blob',
                         'again': 'folder'}.items():
        (tmp_path / name).symlink_to(target)
    assert sorted(list_folder(tmp_path).found) == ['folder/b.mp4', 'one.mp4', 'z.mp4']


@pytest.mark.skipif(os.geteuid() == 0 or sys.platform != 'linux', reason='root reads everything')
def test_a_folder_that_may_not_be_read(tmp_path):
    touch(tmp_path / 'a.mp4')
    closed = tmp_path / os.fsdecode(b'\xff')
    closed.mkdir(mode=0)
    assert list_folder(tmp_path).failed == {'\ufffd': 'Permission denied'}


def test_a_folder_that_is_not_utf8_and_cannot_be_listed(tmp_path, monkeypatch):
    touch(tmp_path / 'a.mp4')
    name = os.fsdecode(os.fsencode(tmp_path.resolve()) + b'/\xff')
    real = os.walk

    def walk(root, onerror):
        onerror(PermissionError(13, 'Permission denied', name))
        return real(root)
    monkeypatch.setattr(os, 'walk', walk)
    assert list_folder(tmp_path).failed == {'\ufffd': 'Permission denied'}


def test_a_folder_without_any(tmp_path):
    touch(tmp_path / 'a.txt')
    with pytest.raises(DataError, match='holds no videos or images'):
        list_folder(tmp_path)


@pytest.mark.parametrize('suffix', ['.bmp', '.jfif', '.tif', '.tiff', '.avif', '.heic'])
def test_images_are_read(tmp_path, suffix):
    if suffix == '.heic':
        pytest.importorskip('pillow_heif').register_heif_opener()
    path = tmp_path / f'a{suffix}'
    Image.new('RGB', (64, 48), (200, 30, 30)).save(path, quality=95)
    assert suffix in SUFFIXES and abs(read_image(path).astype(int) - (200, 30, 30)).max() < 12


def test_heif_is_read_under_its_own_name_only_and_says_what_it_needs(tmp_path, monkeypatch):
    pytest.importorskip('pillow_heif').register_heif_opener()
    Image.new('RGB', (64, 48)).save(tmp_path / 'a.heic')
    (tmp_path / 'a.heic').rename(tmp_path / 'a.png')
    with pytest.raises(MediaError, match='not a readable image'):
        read_image(tmp_path / 'a.png')
    monkeypatch.setitem(sys.modules, 'pillow_heif', None)
    assert images.IMAGE_FORMATS.count('HEIF') == 0
    with pytest.raises(MediaError, match=r"pip install 'mmcma\[heic\]'"):
        read_image(tmp_path.joinpath('a.png').rename(tmp_path / 'b.heic'))
