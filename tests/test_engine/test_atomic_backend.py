import os

import pytest
from mmengine.fileio import get_file_backend

from mmcma.engine.atomic_backend import AtomicBackend
from mmcma.utils.files import write_atomic


def test_it_is_mmengines_backend_by_name(tmp_path):
    backend = get_file_backend(str(tmp_path), backend_args=dict(backend='atomic'))
    assert isinstance(backend, AtomicBackend)
    backend.put(b'bytes', str(tmp_path / 'new' / 'a'))
    backend.put_text('täxt', str(tmp_path / 'b'))
    assert backend.get(str(tmp_path / 'new' / 'a')) == b'bytes'
    assert backend.get_text(str(tmp_path / 'b')) == 'täxt'


def test_a_write_that_dies_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'epoch_1.pth'
    write_atomic(b'old', path)

    def die(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, 'fsync', die)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(b'new', path)
    assert path.read_bytes() == b'old'
    monkeypatch.undo()
    write_atomic(b'newer', path)
    assert path.read_bytes() == b'newer'
    assert os.listdir(tmp_path) == ['epoch_1.pth']
