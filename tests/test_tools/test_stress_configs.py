"""The campaign of mutated configs, small, and what it found."""
import re

import pytest
import stress
from mmengine.config import Config
from mmengine.runner import Runner

from mmcma.config import building, check_config
from mmcma.utils.errors import ConfigError

LOADER = dict(batch_size=2, num_workers=0, dataset=dict(type='GlyphPictures', length=4),
              sampler=dict(type='DefaultSampler'), collate_fn=dict(type='pseudo_collate'))


def test_every_mutated_config_is_right_or_refused(monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', ['stress.py', 'configs', '--trials', '40', '--seed', '3'])
    stress.main()
    row = capsys.readouterr().out
    assert re.search(r'trials 40 .* wrong 0  crashed 0 ', row)
    assert int(re.search(r'refused (\d+)', row)[1]) > 20


@pytest.mark.parametrize('changes, message', [
    (dict(batch_size='x'), 'train_dataloader cannot be built: .*batch_size=x'),
    (dict(num_workers=-1), 'train_dataloader cannot be built: ValueError: num_workers'),
    (dict(dataset=dict(type='GlyphPictures', length=4, lenght=4)), 'train_dataloader.dataset.*lenght')])
def test_a_loader_that_cannot_be_built_is_named(changes, message):
    cfg = Config(dict(train_dataloader={**LOADER, **changes}, default_scope='mmcma'))
    with pytest.raises(ConfigError, match=message):
        with building(cfg):
            Runner.build_dataloader(cfg.train_dataloader, seed=0)


@pytest.mark.parametrize('loader, message', [
    ({**LOADER, 'batchsize': 2}, "train_dataloader: DataLoader takes no 'batchsize'. Did you mean 'batch_size'"),
    (3, 'train_dataloader must be a dict'),
    ({**LOADER, 'dataset': dict(type='GlyphMotion', splitt='test')},
     "train_dataloader.dataset: GlyphMotion takes no 'splitt'. Did you mean 'split'"),
    ({**LOADER, 'sampler': dict(type=3)}, 'train_dataloader.sampler.type=3 must be the name of a sampler')])
def test_what_a_loader_does_not_take(loader, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_config(Config(dict(train_dataloader=loader)))
