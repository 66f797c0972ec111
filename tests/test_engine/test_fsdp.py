"""Full fine-tuning with sharded parameters, gradients and optimizer, against plain data parallel training."""
from pathlib import Path

import pytest
import torch
from helpers.commands import run
from helpers.processes import together
from helpers.tiny_run import write_config

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


def train(folder: Path, pretrained: str, extra: str, *resume: str | Path) -> list[dict]:
    """Weights after each epoch of two processes."""
    folder.mkdir()
    config = write_config(folder, pretrained, epochs=2, extra=extra)
    assert together(run, 'train', config, '--work-dir', folder / 'work', '--launcher', 'pytorch', *resume) == [0, 0]
    log, = folder.glob('work/*/*.log')
    assert ('MMFullyShardedDataParallel' if FSDP in extra else 'RetrieverDataParallel') in log.read_text()
    return [torch.load(file, weights_only=False)['state_dict'] for file in sorted(folder.glob('work/epoch_*.pth'))]


@pytest.mark.slow
def test_sharded_training_gives_the_weights_of_data_parallel_training_and_resumes(tiny_clip, tmp_path):
    sharded, expected = (train(tmp_path / name, tiny_clip, extra)
                         for name, extra in dict(a=FULL + FSDP, b=FULL).items())
    assert len(sharded) == len(expected) == 2 and sharded[1].keys() == expected[1].keys()
    for name, tensor in expected[1].items():
        torch.testing.assert_close(sharded[1][name], tensor, rtol=1e-4, atol=1e-6,
                                   msg=lambda text, name=name: name + text)
    *_, resumed = train(tmp_path / 'resumed', tiny_clip, FULL + FSDP, '--resume', tmp_path / 'a/work/epoch_1.pth')
    assert all(torch.equal(resumed[name], tensor) for name, tensor in sharded[1].items())
    assert any(not torch.equal(sharded[0][name], tensor) for name, tensor in sharded[1].items())


@pytest.mark.slow
def test_two_processes_resume_with_dropout(tiny_clip, tmp_path):
    dropout = "model['neck']['dropout'] = 0.3\n"
    _, whole = train(tmp_path / 'whole', tiny_clip, dropout)
    *_, resumed = train(tmp_path / 'resumed', tiny_clip, dropout, '--resume', tmp_path / 'whole/work/epoch_1.pth')
    assert all(torch.equal(resumed[name], tensor) for name, tensor in whole.items())
