"""A gallery whose files are damaged says so, and is repaired."""
import shutil
from pathlib import Path

import pytest
from helpers.galleries import StandIn, contents, index, write_folder

from mmcma.search import Gallery, indexing
from mmcma.utils.errors import DataError


@pytest.fixture(scope='module')
def whole(tmp_path_factory) -> tuple[Path, Path, dict]:
    """A folder, its gallery of two fragments, and what that holds."""
    base = tmp_path_factory.mktemp('whole')
    folder = write_folder(base / 'media', images=8, videos=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indexing, 'ROWS_AT_ONCE', 5)
        index(folder, base / 'gallery')
    return folder, base / 'gallery', contents(base / 'gallery')


@pytest.fixture
def gallery(whole, tmp_path) -> Path:
    return shutil.copytree(whole[1], tmp_path / 'gallery')


def named(gallery: Path, pattern: str) -> list[Path]:
    """Files of the gallery that are meant now: the newest manifests and all data."""
    return sorted(gallery.glob(pattern))[:1] if '_versions' in pattern else sorted(gallery.glob(pattern))


@pytest.mark.parametrize('pattern', ['moments.lance/data/*', 'moments.lance/_versions/*', 'gallery.lance/data/*',
                                     'gallery.lance/_versions/*', 'failures.lance/_versions/*'])
@pytest.mark.parametrize('damage', ['cut', 'empty', 'zeros', 'gone'])
def test_what_is_damaged_is_encoded_anew(whole, gallery, pattern, damage):
    folder, _, before = whole
    path = named(gallery, pattern)[-1]
    content = path.read_bytes()
    middle = len(content) // 3
    path.write_bytes(dict(cut=content[:middle], empty=b'', gone=b'',
                          zeros=content[:middle] + bytes(512) + content[middle + 512:])[damage])
    if damage == 'gone':
        path.unlink()
    try:
        found = len(Gallery(gallery, StandIn()).search_text('100', k=50))
        assert found == len(before)
    except DataError as error:
        assert str(gallery) in str(error) and '\n' not in str(error)
    report = index(folder, gallery, repair=True)
    assert report.items == len(before) and contents(gallery) == before
    assert index(folder, gallery, repair=True).unchanged == len(before)


def test_only_what_is_lost_is_encoded(whole, gallery):
    folder, _, before = whole
    lost = named(gallery, 'moments.lance/data/*')[0]
    lost.unlink()
    with pytest.raises(DataError, match=f'{lost.name}.*--repair'):
        Gallery(gallery, StandIn())
    report = index(folder, gallery, repair=True)
    assert report.added == report.unchanged == len(before) // 2
    assert contents(gallery) == before
