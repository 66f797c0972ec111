"""The trackers of docs/train.md, each with the lines that stand there: a training offline, and what they hold of it."""
import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from helpers.commands import run
from helpers.tiny_run import write_config

ROOT = Path(__file__).parents[2]
PAGE = ROOT / 'docs' / 'train.md'
LINES = {backend: lines for lines in re.findall(r'```python\n(.*?)```', PAGE.read_text(), re.S)
         for backend in re.findall(r"type='(Wandb|MLflow|Tensorboard)VisBackend'", lines)}
OFFLINE = {'WANDB_MODE': 'offline', 'WANDB_ERROR_REPORTING': 'false', 'WANDB_SILENT': 'true',
           'MLFLOW_DISABLE_TELEMETRY': 'true'}

IN_THIS_PROCESS = partial(run, 'train')


@pytest.fixture
def trained(tmp_path, monkeypatch, tiny_clip):
    """Trains with the lines for a backend; gives the losses and validation R@1, of which mmengine's own file has."""
    monkeypatch.chdir(tmp_path)
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)

    def train(backend: str, train: Callable[..., int] = IN_THIS_PROCESS) -> tuple[list[float], list[float]]:
        hooks = 'custom_hooks = _base_.custom_hooks'  # with the report, which gives query panels
        config = write_config(tmp_path, tiny_clip, epochs=1, extra=f'{LINES[backend]}\n{hooks}')
        assert train(config, '--work-dir', 'work') == 0
        written = [json.loads(line) for line in next(Path('work').glob('*/vis_data/scalars.json')).open()]
        losses, recalls = ([line[name] for line in written if name in line] for name in ('loss', 't2v/R@1'))
        assert len(losses) == 4 and len(recalls) == 1
        return losses, recalls
    return train


@pytest.mark.slow
def test_weights_and_biases(trained):
    losses, recalls = trained('Wandb', in_a_process)
    file = next(Path('work').glob('*/vis_data/wandb/offline-run-*/*.wandb'))
    history = [{item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
               for record in wandb_records(file.read_bytes()) if record.WhichOneof('record_type') == 'history']
    assert [row['loss'] for row in history if 'loss' in row] == losses
    assert [row['t2v/R@1'] for row in history if 't2v/R@1' in row] == recalls
    assert list(file.parent.glob('files/media/images/query_panels*.png'))


def in_a_process(*arguments) -> int:
    """Exit code of a training in a process of its own: wandb writes what it holds when that ends."""
    path = os.pathsep.join([str(ROOT), str(ROOT / 'tests')])
    return subprocess.run([sys.executable, ROOT / 'tools' / 'train.py', *arguments], capture_output=True,
                          env={**os.environ, 'PYTHONPATH': path}).returncode


def wandb_records(data: bytes) -> Iterator:
    """Records of a file of wandb, which is a log of LevelDB behind a header of seven bytes.

    Each block of 32 KiB has pieces of records: checksum, length and kind (1 whole, 2 first, 3 middle, 4 last).
    """
    from wandb.proto.wandb_internal_pb2 import Record
    start, record = 7, b''
    while start + 7 <= len(data):
        if (left := 32768 - start % 32768) < 7:  # no room for a piece's header
            start += left
            continue
        length, kind = struct.unpack_from('<HB', data, start + 4)
        record += data[start + 7:start + 7 + length]
        start += 7 + length
        if kind in (1, 4):
            yield Record.FromString(record)
            record = b''


@pytest.mark.slow
def test_mlflow(trained):
    losses, recalls = trained('MLflow')
    from mlflow import MlflowClient
    client = MlflowClient('sqlite:///mlflow.db')
    written, = client.search_runs([client.get_experiment_by_name('adapters').experiment_id])
    identity = written.info.run_id
    assert [metric.value for metric in client.get_metric_history(identity, 'loss')] == losses
    assert [metric.value for metric in client.get_metric_history(identity, 't2v/R_at_1')] == recalls
    assert written.info.run_name == 'msrvtt' and written.info.status == 'FINISHED'
    assert written.data.params['model.neck.bottleneck_dim'] == '4'
    assert {'config.py', 'query_panels_1.png'} <= {artifact.path for artifact in client.list_artifacts(identity)}


def test_tensorboard(trained):
    losses, recalls = trained('Tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(str(next(Path('work').glob('*/vis_data')))).Reload()
    for name, values in {'loss': losses, 't2v/R@1': recalls}.items():
        assert [event.value for event in events.Scalars(name)] == pytest.approx(values)
    assert 'query_panels' in events.Tags()['images']
