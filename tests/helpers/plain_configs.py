"""mmengine's texts of configs without a layout, which it makes anew for every checkpoint: 2/5 of a tiny training."""
from yapf.yapflib import yapf_api

yapf_api.FormatCode = lambda text, **_: (text, True)
