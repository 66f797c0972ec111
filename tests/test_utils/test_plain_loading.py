"""Files of PyTorch are tensors and plain data, as they were written."""
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from torch import nn

from mmcma.apis import trusted_checkpoints
from mmcma.checkpoints.checkpoint_file import check_resumable, newest_checkpoint, read_checkpoint
from mmcma.checkpoints.torchscript import is_torchscript, read_torchscript
from mmcma.utils.errors import WeightsError
from mmcma.utils.plain_loading import UntrustedError, load_plain


class Makes:
    """Unpickled, a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


def test_what_mmengine_writes_of_a_run_is_read_as_it_was(tmp_path):
    """Checkpoints of before hold histories, numpy's numbers and, in a history, names of its methods by getattr."""
    log = HistoryBuffer([0.5, 0.25], [1, 2])
    content = dict(state_dict=dict(w=torch.arange(3.0)), betas=(0.9, 0.98), eta=np.float64(1.5), ids=np.arange(3),
                   log_scalars=dict(loss=log))
    torch.save(content, tmp_path / 'a.pth')
    assert {'builtins.getattr', 'numpy._core.multiarray.scalar'} <= set(
        torch.serialization.get_unsafe_globals_in_checkpoint(tmp_path / 'a.pth'))
    read = load_plain(tmp_path / 'a.pth')
    assert torch.equal(read['state_dict']['w'], torch.arange(3.0))
    assert (read['betas'], read['eta'], read['ids'].tolist()) == ((0.9, 0.98), 1.5, [0, 1, 2])
    assert isinstance(read['log_scalars']['loss'], HistoryBuffer)
    assert (read['log_scalars']['loss'].mean(), read['log_scalars']['loss'].current()) == (0.75 / 3, 0.25)


@pytest.mark.parametrize('archive', [True, False])
def test_an_object_that_brings_code_is_refused_with_the_flag_that_trusts_it(tmp_path, archive):
    file, mark = tmp_path / 'epoch_1.pth', tmp_path / 'it_ran'
    torch.save(dict(state_dict={}, extra=Makes(mark)), file, _use_new_zipfile_serialization=archive)
    for read in (read_checkpoint, lambda path: newest_checkpoint(path.parent)):
        with pytest.raises(UntrustedError, match=r"epoch_1.pth' holds '.*mkdir'.*--trust-checkpoint") as error:
            read(file)
        assert '\n' not in str(error.value)
    assert not mark.exists()
    with trusted_checkpoints():
        read_checkpoint(file)
    assert mark.is_dir()


def test_getattr_reaches_the_methods_of_a_history_only(tmp_path):
    class Reaches:
        def __reduce__(self) -> tuple:
            return getattr, (HistoryBuffer, 'register_statistics')
    torch.save(dict(state_dict={}, extra=Reaches()), tmp_path / 'a.pth')
    with pytest.raises(UntrustedError, match='getattr'):
        load_plain(tmp_path / 'a.pth')


def test_a_changed_bit_of_a_tensor_or_a_number_is_damage(tmp_path):
    file = tmp_path / 'a.pth'
    torch.save(dict(state_dict=dict(w=torch.ones(1000)), lr=0.001), file)
    whole = file.read_bytes()
    for part in (np.float32(1).tobytes() * 10, b'lr'):
        place = whole.index(part)
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1:])
        with pytest.raises(WeightsError, match=r'is damaged: a/data.* differs from its checksum'):
            read_checkpoint(file)
    file.write_bytes(whole)
    assert read_checkpoint(file)['lr'] == 0.001


@pytest.mark.parametrize('content', [
    dict(state_dict=[1]), dict(state_dict=dict(w='x')), dict(state_dict={}, backbone='x')])
def test_a_file_of_other_content_is_no_checkpoint(tmp_path, content):
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(WeightsError, match='holds no state_dict of tensors|names no backbone'):
        read_checkpoint(tmp_path / 'a.pth')


def test_a_file_without_checksums_is_read(tmp_path):
    torch.save(dict(state_dict=dict(w=torch.ones(2))), tmp_path / 'a.pth', _use_new_zipfile_serialization=False)
    assert not zipfile.is_zipfile(tmp_path / 'a.pth')
    assert read_checkpoint(tmp_path / 'a.pth')['state_dict']['w'].tolist() == [1, 1]


@pytest.mark.parametrize('meta', [{}, dict(meta=None), dict(meta=dict(epoch=3)), dict(meta=dict(iter='3'))])
def test_a_newest_checkpoint_that_does_not_say_how_far_is_passed_over(tmp_path, meta):
    torch.save(dict(state_dict={}, meta=dict(iter=2)), tmp_path / 'epoch_2.pth')
    torch.save(dict(state_dict={}, **meta), tmp_path / 'epoch_3.pth')
    assert newest_checkpoint(tmp_path)[0].name == 'epoch_2.pth'


def test_weights_alone_cannot_be_resumed(tmp_path):
    torch.save(dict(state_dict={}, meta={}), tmp_path / 'a.pth')
    with pytest.raises(WeightsError, match='without the state of a training.*load_from'):
        check_resumable(read_checkpoint(tmp_path / 'a.pth'), 'a.pth')


class Scripted(nn.Module):
    """With a parameter and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.child = nn.Linear(2, 3)
        self.register_buffer('steps', torch.arange(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.child(x)


@pytest.mark.filterwarnings('ignore:`torch.jit:FutureWarning', 'ignore:`torch.jit:DeprecationWarning')
def test_a_torchscript_archive_gives_its_tensors(tmp_path):
    file = tmp_path / 'a.pt'
    torch.jit.script(Scripted().half()).save(file)
    assert is_torchscript(file)
    read, expected = read_torchscript(file), torch.jit.load(file).state_dict()
    assert read.keys() == expected.keys() == {'child.weight', 'child.bias', 'steps'}
    assert all(torch.equal(tensor, expected[name]) for name, tensor in read.items())


def test_what_is_no_tensor_is_no_part_of_a_torchscript_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / 'a.pt', 'w') as archive:
        archive.writestr('a/code/a.py', '')
        archive.writestr('a/version', '3')
        archive.writestr('a/data.pkl', pickle.dumps(Makes(tmp_path / 'it_ran'), protocol=2))
    with pytest.raises(pickle.UnpicklingError):
        read_torchscript(tmp_path / 'a.pt')
    assert not (tmp_path / 'it_ran').exists()
