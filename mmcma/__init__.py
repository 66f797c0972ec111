"""mmcma: parameter-efficient transfer of vision-language models to retrieval."""
__version__ = '0.2.0.dev0'
