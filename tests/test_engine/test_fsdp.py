"""Full fine-tuning with sharded parameters, gradients and optimizer, against plain data parallel training."""
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.tiny_run import write_config

TOOLS = Path(__file__).parents[2] / 'tools'

# With SGD: Adam makes whole steps of the smallest gradients, which are rounding.
FULL = """
model['neck'] = None
model['vision_backbone']['trainable'] = model['text_backbone']['trainable'] = True
model['head']['train_logit_scale'] = True
optim_wrapper = dict(clip_grad=None, optimizer=dict(_delete_=True, type='SGD', lr=0.05, momentum=0.9))
"""
# As docs/scale.md has it, with what a machine without GPUs and so small a model need.
FSDP = """
strategy = dict(type='FSDPStrategy', state_dict_cfg='full', model_wrapper=dict(
    type='MMFullyShardedDataParallel', ignored_modules=['head'], device_id='cpu',
    auto_wrap_policy=dict(type='torch.distributed.fsdp.wrap.size_based_auto_wrap_policy', min_num_params=20000)))
custom_hooks = [dict(type='BestCheckpointHook'), dict(type='ResumeHook')]
"""


def train(folder: Path, pretrained: str, extra: str, *resume: str | Path) -> tuple[list[dict], str]:
    """Weights after each epoch of two processes, and the log."""
    folder.mkdir()
    run = subprocess.run(
        ['bash', TOOLS / 'dist_train.sh', write_config(folder, pretrained, epochs=2, extra=extra), '2',
         '--work-dir', folder / 'work', *resume], capture_output=True, text=True, timeout=300,
        env=dict(os.environ, PYTHON=sys.executable, CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1',
                 PYTHONPATH=os.pathsep.join([str(TOOLS.parent), str(TOOLS.parent / 'tests')])))
    assert run.returncode == 0, run.stderr
    files = sorted((folder / 'work').glob('epoch_*.pth'))
    return [torch.load(file, weights_only=False)['state_dict'] for file in files], run.stdout


@pytest.mark.slow
def test_sharded_training_gives_the_weights_of_data_parallel_training_and_resumes(tiny_clip, tmp_path):
    sharded, log = train(tmp_path / 'fsdp', tiny_clip, FULL + FSDP)
    assert 'MMFullyShardedDataParallel' in log
    expected, _ = train(tmp_path / 'ddp', tiny_clip, FULL)
    assert len(sharded) == len(expected) == 2 and sharded[1].keys() == expected[1].keys()
    for name, tensor in expected[1].items():
        torch.testing.assert_close(sharded[1][name], tensor, rtol=1e-4, atol=1e-6,
                                   msg=lambda text, name=name: name + text)
    resumed, _ = train(tmp_path / 'resumed', tiny_clip, FULL + FSDP, '--resume', tmp_path / 'fsdp/work/epoch_1.pth')
    assert all(torch.equal(resumed[-1][name], tensor) for name, tensor in sharded[1].items())
    assert any(not torch.equal(sharded[0][name], tensor) for name, tensor in sharded[1].items())
