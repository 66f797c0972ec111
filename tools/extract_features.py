"""Writes embeddings of a test set: the same as ``mmcma features``."""
from mmcma.cli.main import run_script

if __name__ == '__main__':
    run_script('features')
