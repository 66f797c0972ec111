"""What mmengine and PyTorch do for long runs and large data, most of the time of tiny ones: not in the tests."""
import copy
import os
from pathlib import Path
from types import SimpleNamespace

from mmengine.config import Config
from mmengine.dataset import base_dataset
from mmengine.utils import version_utils
from torch.utils.data import _utils
from yapf.yapflib import yapf_api

# The layout of a config's text, made anew for every checkpoint: two fifths of a tiny training.
yapf_api.FormatCode = lambda text, **_: (f'{text}\n', True)
# A walk through all objects of the process for every data set that is made.
base_dataset.gc = SimpleNamespace(collect=lambda: 0)
# Seconds that a loader waits for each worker where it is collected as garbage, as after an error; they are 5 there.
_utils.MP_STATUS_CHECK_INTERVAL = 0.5
# A process of git for every checkpoint, which asks for the commit of the folder it runs in.
version_utils._minimal_ext_cmd = lambda _: b'0' * 40


CONFIGS = str(Path(__file__).parents[2] / 'configs') + os.sep
_read, _known = Config._file2dict, {}


def _file2dict(filename: str, *args, **kwargs) -> tuple:
    """Each file of configs/ is read once: six temporary files for each, and most are bases of many."""
    key = os.path.abspath(filename), args, *kwargs.items()
    if not key[0].startswith(CONFIGS):
        return _read(filename, *args, **kwargs)
    if key not in _known:
        _known[key] = _read(filename, *args, **kwargs)
    return copy.deepcopy(_known[key])


Config._file2dict = staticmethod(_file2dict)
