"""Full fine-tuning with sharded parameters, gradients and optimizer, against plain data parallel training."""
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
optim_wrapper = dict(clip_grad=None, optimizer=dict(_delete_=True, type='SGD', lr=0.1))
"""
# As docs/scale.md has it, with what a machine without GPUs and so small a model need.
FSDP = """
strategy = dict(type='FSDPStrategy', state_dict_cfg='full', model_wrapper=dict(
    type='MMFullyShardedDataParallel', ignored_modules=['head'], device_id='cpu',
    auto_wrap_policy=dict(type='torch.distributed.fsdp.wrap.size_based_auto_wrap_policy', min_num_params=20000)))
custom_hooks = [dict(type='BestCheckpointHook')]
"""


@pytest.mark.slow
def test_sharded_training_gives_the_weights_of_data_parallel_training(tiny_clip, tmp_path):
    weights = {}
    for name, extra in dict(MMFullyShardedDataParallel=FULL + FSDP, RetrieverDataParallel=FULL).items():
        folder = tmp_path / name
        folder.mkdir()
        config = write_config(folder, tiny_clip, epochs=1, extra=extra)
        assert together(run, 'train', config, '--work-dir', folder / 'work', '--launcher', 'pytorch') == [0, 0]
        log, = folder.glob('work/*/*.log')
        assert name in log.read_text()
        weights[name] = torch.load(folder / 'work' / 'epoch_1.pth', weights_only=False)['state_dict']
    sharded, expected = weights.values()
    assert sharded.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(sharded[name], tensor, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: name + text)
