"""mmcma: parameter-efficient transfer of vision-language models to retrieval."""
__version__ = '0.1.0'
