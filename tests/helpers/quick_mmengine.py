"""What mmengine does for long runs and large data, and what is most of the time of tiny ones: not in the tests."""
from types import SimpleNamespace

from mmengine.dataset import base_dataset
from mmengine.utils import version_utils
from yapf.yapflib import yapf_api

# The layout of a config's text, made anew for every checkpoint: two fifths of a tiny training.
yapf_api.FormatCode = lambda text, **_: (f'{text}\n', True)
# A walk through all objects of the process for every data set that is made.
base_dataset.gc = SimpleNamespace(collect=lambda: 0)
# A process of git for every checkpoint, which asks for the commit of the folder it runs in.
version_utils._minimal_ext_cmd = lambda _: b'0' * 40
