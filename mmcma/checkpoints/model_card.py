"""The README.md of an exported adapter, as the Hugging Face Hub shows it."""
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from mmcma.models.backbones.pretrained import BUNDLED

_SHOWN = ['R@1', 'R@5', 'R@10', 'MdR', 'MnR']
_DIRECTIONS = dict(t2v='text to visual', v2t='visual to text')


def model_card(content: Mapping[str, Any], report: Mapping[str, Any], name: str) -> str:
    """Text of the card.

    Args:
        content: What ``adapter_config.json`` says.
        report: What ``report.json`` says; empty where there is none.
        name: The adapter's name.
    """
    return '\n'.join(['---', _front_matter(content, report, name), '---', *_body(content, name), *_metrics(report)])


def _front_matter(content: Mapping[str, Any], report: Mapping[str, Any], name: str) -> str:
    data = ModelCardData(library_name='mmcma', base_model=_hub_name(content['base_model_name_or_path']),
                         tags=['mmcma', 'adapter', 'text-video-retrieval', 'image-text-retrieval'])
    if report:
        data.model_name = name
        data.eval_results = [
            EvalResult(task_type='retrieval', dataset_type=report['dataset'], dataset_name=_data_set(report),
                       metric_type=f'{direction}/{key}', metric_name=f'{key}, {words}',
                       metric_value=_last(report)[f'{direction}/{key}'])
            for direction, words in _DIRECTIONS.items() for key in _SHOWN]
    return data.to_yaml()


def _hub_name(base_model: str) -> Any:
    """The name where it can be one on the Hub: the card of an adapter of local weights names none."""
    local = base_model in BUNDLED or base_model.count('/') != 1 or Path(base_model).expanduser().exists()
    return None if local or base_model.startswith(('.', '~', '/')) else base_model


def _body(content: Mapping[str, Any], name: str) -> list[str]:
    return f"""
# {name}

An adapter for text-video and text-image retrieval, made with mmcma {content['mmcma_version']}.

| | |
|---|---|
| base model | `{content['base_model_name_or_path']}` |
| its fingerprint | `{content['base_model_fingerprint']}` |
| method | {content['method']} |
| trained parameters | {content['parameters']:,} |

```python
from mmcma.apis import RetrievalInferencer, init_model

inferencer = RetrievalInferencer(init_model('{name}'))  # the path of this folder
inferencer.rank('a dog catches a frisbee', ['clips/0001.mp4', 'clips/0002.mp4'])
```

The folder holds the trained weights only; the base model is read from where its name leads.""".splitlines()


def _metrics(report: Mapping[str, Any]) -> list[str]:
    if not report:
        return ['']
    lines = ['', f'## Results on {_data_set(report)}', '',
             f'{report["gallery"]["present"]:,} of {report["gallery"]["expected"]:,} items, '
             f'{report["num_captions"]:,} captions; ranked by {report["protocols"]["t2v"]} (text to visual) and '
             f'{report["protocols"]["v2t"]} (visual to text). R@k in percent, ranks from 1.', '',
             f'| | direction | {" | ".join(_SHOWN)} |', f'|---|---|{"---|" * len(_SHOWN)}']
    for model, metrics in report['results'].items():
        for direction, words in _DIRECTIONS.items():
            values = ' | '.join(f'{metrics[f"{direction}/{key}"]:.1f}' for key in _SHOWN)
            lines.append(f'| {model} | {words} | {values} |')
    return [*lines, '']


def _data_set(report: Mapping[str, Any]) -> str:
    return ' '.join(filter(None, [report['dataset'], report.get('split')]))


def _last(report: Mapping[str, Any]) -> Mapping[str, float]:
    """The model's own metrics stand after those of zero-shot."""
    return list(report['results'].values())[-1]
