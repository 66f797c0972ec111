"""A gallery with the model that made it."""
from pathlib import Path

from mmcma.search.gallery import Gallery
from mmcma.search.manifest import read_manifest


def open_gallery(folder: str | Path, *, model: str | None = None, checkpoint: str | None = None,
                 device: str | None = None) -> Gallery:
    """A gallery, ready to be searched.

    Args:
        folder: Where it lies.
        model: In place of the one that ``gallery.json`` names, should it have moved.
        checkpoint: Likewise.
        device: Where the model works.

    Raises:
        DataError: There is no gallery, or it is damaged or in use.
        ConfigError: There is no such model.
        WeightsError: It is another model.
    """
    from mmcma.apis import RetrievalInferencer, init_model
    manifest = read_manifest(folder)
    if model is None:
        model, checkpoint = manifest.model, checkpoint or manifest.checkpoint
    return Gallery.open(folder, RetrievalInferencer(init_model(model, checkpoint, device)))
