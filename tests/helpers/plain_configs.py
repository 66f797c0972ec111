"""mmengine's texts of configs without a layout, which it makes anew for every checkpoint: 2/5 of a tiny training."""
from mmengine.config import config

config.FormatCode = lambda text, **_: (text, True)
