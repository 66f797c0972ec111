"""``gallery.json``: what a gallery holds and how it was made."""
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mmcma.checkpoints.sources import is_data
from mmcma.utils.errors import ConfigError, DataError
from mmcma.utils.files import write_atomic

#: Version of the files' form.
VERSION = 1
_TEXTS = ('root', 'model', 'fingerprint', 'collection')


@dataclass(frozen=True)
class GalleryManifest:
    """What a gallery holds and how it was made.

    Attributes:
        version: Version of the files' form.
        root: The folder that was indexed.
        model: What ``init_model`` was given to make it.
        checkpoint: Trained weights that it was given beside; None where ``model`` has them.
        fingerprint: Fingerprint of the inferencer whose embeddings it holds.
        store: Address of the Milvus server; None for the file in the gallery.
        collection: Name of its collection there.
        items: How many items it holds; None while they are being changed.
        next_id: Every id of an item was below.
    """
    version: int
    root: str
    model: str
    checkpoint: str | None
    fingerprint: str
    store: str | None
    collection: str
    items: int | None = None
    next_id: int = 0

    def write(self, folder: Path) -> None:
        """Writes ``gallery.json`` into the gallery's folder."""
        write_atomic(json.dumps(asdict(self), indent=1).encode(), folder / 'gallery.json')

    def check_model(self, folder: str | Path) -> None:
        """Refuses a model that only the user may name: a config is a program, and a gallery may be a stranger's.

        Raises:
            ConfigError: It is neither an exported folder nor a pretrained model.
        """
        if self.checkpoint is None and is_data(self.model):
            return
        again = f'--model {self.model}' + (f' --checkpoint {self.checkpoint}' if self.checkpoint else '')
        raise ConfigError(f'{folder} names a config or a checkpoint, and a gallery may choose a model of the Hugging '
                          f'Face Hub or a folder of mmcma export only: if it is yours, add {again}')


def read_manifest(folder: str | Path) -> GalleryManifest:
    """The content of ``gallery.json`` in ``folder``.

    Raises:
        DataError: There is none, or it is damaged or of another version.
    """
    path = Path(folder, 'gallery.json')
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        version = content['version']
        manifest = GalleryManifest(**content) if version == VERSION else None
        if manifest is not None and not all(isinstance(content[name], str) for name in _TEXTS):
            raise ValueError(f'{", ".join(_TEXTS)} must be text')
    except FileNotFoundError:
        raise DataError(f'{folder} is no gallery (it has no gallery.json); make one with mmcma index FOLDER --out '
                        f'{folder}') from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f'{path}: damaged ({error}); delete the gallery and index its folder again') from error
    if manifest is None:
        raise DataError(f'{path} is of version {version!r}, and this program reads version {VERSION}; index the folder '
                        'again into another --out')
    return manifest
