"""README.md's commands work on the configs that they name, and README_zh-CN.md says what it says."""
import re
import shlex
from pathlib import Path

import pytest

from mmcma.config import check_config, load_config, parse_options

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = ((ROOT / name).read_text(encoding='utf-8') for name in ('README.md', 'README_zh-CN.md'))
BLOCK = re.compile(r'^```[\s\S]*?^```$|(?:^ {4}.*\n)+', re.M)
COMMANDS = [' '.join(line.split()) for block in BLOCK.findall(ENGLISH) if not block.startswith('```')
            for line in block.replace('\\\n', '').splitlines()]


def prose(readme: str) -> str:
    return BLOCK.sub('', readme)


def test_code_blocks_are_equal():
    assert len(BLOCK.findall(ENGLISH)) > 10
    assert BLOCK.findall(CHINESE) == BLOCK.findall(ENGLISH)


@pytest.mark.parametrize('what, pattern', [
    ('code', r'`[^`\n]+`'), ('links', r'\]\(([^)\s]+)\)'), ('figures', r'(?<![\w-])\d[\d,.]*\d')])
def test_code_links_and_figures_in_sentences_are_equal(what, pattern):
    english, chinese = (set(re.findall(pattern, prose(readme))) for readme in (ENGLISH, CHINESE))
    assert english ^ chinese == ({'README.md', 'README_zh-CN.md'} if what == 'links' else set())


def test_headings_and_tables_are_as_many():
    for pattern in (r'^#+ ', r'^\|'):
        english, chinese = (len(re.findall(pattern, prose(readme), re.M)) for readme in (ENGLISH, CHINESE))
        assert english == chinese >= 10


@pytest.mark.parametrize('command', [line for line in COMMANDS if 'configs/' in line])
def test_a_command_names_a_config_and_keys_that_it_has(command):
    words = shlex.split(command)
    options = words[words.index('--cfg-options') + 1:] if '--cfg-options' in words else []
    config, = (word for word in words if word.startswith('configs/'))
    check_config(load_config(ROOT / config, parse_options(options)))
