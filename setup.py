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
    package_data={'mmcma': ['pretrained/**/*', '**/*.j2', '**/*.css', '**/*.js', '**/*.html', '**/*.svg']},
    install_requires=requirements('runtime'),
    extras_require={
        'docs': requirements('docs'),
        'ray': requirements('ray'),
        'search': requirements('search'),
        'heic': requirements('heic'),
        'shots': requirements('shots'),
        'tests': sum(map(requirements, ('tests', 'search', 'heic', 'shots', 'ray', 'docs')), []),
    },
    entry_points={'console_scripts': ['mmcma=mmcma.cli.main:main']},
)
