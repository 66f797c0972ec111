"""What a model can be made from: paths are looked for here, names of models on the Hub."""
import pytest

from mmcma.checkpoints.sources import is_data, resolve_model
from mmcma.models.backbones import pretrained
from mmcma.utils.errors import ConfigError, WeightsError


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """The names that the Hub, which cannot be reached, was asked for; in a folder with a run in ``work_dirs``."""
    names = []

    def unreachable(_, name, **options):
        names.append(name)
        raise ConnectionError('Name or service not known')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pretrained, 'is_offline_mode', lambda: False)
    monkeypatch.setattr(pretrained.HfApi, 'model_info', unreachable)
    monkeypatch.setattr(pretrained.AutoConfig, 'from_pretrained', lambda *_: pytest.fail('transformers was asked'))
    return names


@pytest.mark.parametrize('name', ['work_dirs/typo', 'exports/typo', './typo', '/typo', '~/typo', 'a/b/c', 'typo',
                                  'exports/' + 'x' * 300])
def test_a_path_that_leads_nowhere_is_said_at_once(asked, tmp_path, name):
    (tmp_path / 'exports').mkdir()
    with pytest.raises((ConfigError, WeightsError), match='no such') as error:
        resolve_model(name)
    assert asked == [] and 'hf download' not in str(error.value) and len(str(error.value)) < 400


def test_near_names_are_said(asked, tmp_path):
    (tmp_path / 'work_dirs' / 'cma_tiny').mkdir(parents=True)
    with pytest.raises(ConfigError, match="Did you mean 'work_dirs/cma_tiny'"):
        resolve_model('work_dirs/cma_tyni')


def test_a_file_that_is_no_model_is_not_said_to_be_near_itself(asked, tmp_path):
    (tmp_path / 'notes.txt').touch()
    with pytest.raises(ConfigError, match="model 'notes.txt'") as error:
        resolve_model('notes.txt')
    assert 'Did you mean' not in str(error.value)


def test_the_hub_is_asked_once_for_a_name(asked):
    with pytest.raises(WeightsError, match='hf download openai/absent'):
        resolve_model('openai/absent')
    assert asked == ['openai/absent']


def test_what_was_downloaded_is_a_name_wherever_folders_lie(asked, tmp_path, monkeypatch):
    (tmp_path / 'openai').mkdir()
    assert not pretrained.may_be_on_the_hub('openai/clip')
    monkeypatch.setattr(pretrained, 'try_to_load_from_cache', lambda *_: '/cache/config.json')
    assert pretrained.may_be_on_the_hub('openai/clip')
    assert pretrained.locate('openai/clip') == 'openai/clip'


def test_a_config_of_the_package_goes_by_its_name_and_is_a_program():
    assert resolve_model('cma_tiny_msvd').config.model.neck.type == 'CrossModalAdapter'
    assert not is_data('cma_tiny_msvd') and is_data('tiny') and is_data('openai/clip-vit-base-patch16')
