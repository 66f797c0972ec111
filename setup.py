from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def requirements(name: str) -> list[str]:
    """Lines of requirements/<name>.txt without comments."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith('#')]


def version() -> str:
    scope: dict = {}
    exec((ROOT / 'mmcma' / '__init__.py').read_text(), scope)
    return scope['__version__']


setup(
    name='mmcma',
    version=version(),
    description='Cross-Modal Adapter: parameter-efficient transfer of CLIP to image-text and video-text retrieval',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['mmcma', 'mmcma.*']),
    # So an editable install puts this folder on the path. The finder that would stand for it otherwise comes too late
    # beside a clone: Python takes the clone's folder, called mmcma as well, for a namespace package.
    package_dir={'': '.'},
    # In .mim lie links to configs and tools: a wheel carries them as those of OpenMMLab do.
    package_data={'mmcma': ['pretrained/**/*', '**/*.j2', '**/*.css', '**/*.js', '**/*.html', '**/*.svg',
                            '.mim/**/*']},
    install_requires=requirements('runtime'),
    extras_require={
        'decord': requirements('decord'),
        'docs': requirements('docs'),
        'mmpretrain': requirements('mmpretrain'),
        'ray': requirements('ray'),
        'search': requirements('search'),
        'heic': requirements('heic'),
        'shots': requirements('shots'),
        'trackers': requirements('trackers'),
        'tests': [line for name in ('tests', 'search', 'heic', 'shots', 'ray', 'mmpretrain', 'decord', 'trackers',
                                    'docs') for line in requirements(name)],
    },
    entry_points={'console_scripts': ['mmcma=mmcma.cli.main:main']},
)
