"""Tests the model of a config: the same as ``mmcma test``."""
from mmcma.cli.main import run_script

if __name__ == '__main__':
    run_script('test')
