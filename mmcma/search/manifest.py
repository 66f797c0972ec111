"""What a gallery is and which rows are in it: one row of its table ``gallery``, which readers begin with."""
import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa

from mmcma.checkpoints.sources import is_data
from mmcma.datasets.video.moments import AUTO
from mmcma.search.tables import is_local, lance, latest, one_line_errors, overwrite, table_uri
from mmcma.utils.errors import ConfigError, DataError

#: Version of the tables' form.
FORM = 2


@dataclass(frozen=True)
class GalleryManifest:
    """What a gallery is and which rows are in it.

    Attributes:
        form: Version of the tables' form.
        root: The folder that was indexed.
        model: What ``init_model`` was given to make it.
        checkpoint: Trained weights that it was given beside; None where ``model`` has them.
        fingerprint: Fingerprint of the inferencer whose embeddings it holds.
        cut: How files are cut into moments.
        key_frames: Whether key frames alone were decoded.
        complete: Whether the last indexing came to its end.
        version: The version of the table ``moments`` that is meant, so that all tables change in one moment.
        rows: How many rows that has.
        checksum: Sum of their checksums.
        index: Checksum of its index of vectors; 0 where there is none.
        written: When it was committed, seconds since 1970.
    """
    form: int
    root: str
    model: str
    checkpoint: str | None
    fingerprint: str
    cut: str = AUTO
    key_frames: bool = False
    complete: bool = False
    version: int = 0
    rows: int = 0
    checksum: int = 0
    index: int = 0
    written: float = 0

    def write(self, gallery: str, table: lance.LanceDataset | None = None) -> lance.LanceDataset:
        """Commits it: what readers see from now on.

        Args:
            gallery: The gallery's folder or URI.
            table: Its table ``gallery`` as this process left it.

        Raises:
            DataError: It cannot be written, or another process has written it meanwhile.
        """
        uri, content = table_uri(gallery, 'gallery'), json.dumps(asdict(self))
        row = pa.table(dict(content=[content], checksum=pa.array([zlib.crc32(content.encode())], pa.uint32())))
        return overwrite(uri, row, table or latest(uri))

    def check_model(self, gallery: str) -> None:
        """Refuses a model that only the user may name: a config is a program, and a gallery may be a stranger's.

        Raises:
            ConfigError: It is neither an exported folder nor a pretrained model.
        """
        if self.checkpoint is None and is_data(self.model):
            return
        again = f'--model {self.model}' + (f' --checkpoint {self.checkpoint}' if self.checkpoint else '')
        raise ConfigError(f'{gallery} names a config or a checkpoint, and a gallery may choose a model of the Hugging '
                          f'Face Hub or a folder of mmcma export only: if it is yours, add {again}')


def read_manifest(gallery: str) -> GalleryManifest:
    """The manifest of a gallery as it was last committed.

    Raises:
        DataError: There is none, or it is damaged or of another version.
    """
    manifest = find_manifest(gallery)
    if manifest is None:
        raise DataError(f'{gallery} is no gallery; make one with mmcma index FOLDER --out {gallery}')
    return manifest


def find_manifest(gallery: str, version: int | None = None) -> GalleryManifest | None:
    """Like :func:`read_manifest`; None where there is no gallery, or none of this version of its table."""
    uri = table_uri(gallery, 'gallery')
    if (table := latest(uri, version)) is None:
        _refuse_old_form(gallery)
        return None
    with one_line_errors(uri, f'The gallery is damaged; {repair_command(gallery)}'):
        content, checksum = (column[0].as_py() for column in table.to_table(['content', 'checksum']).columns)
        if zlib.crc32(content.encode()) != checksum:
            raise ValueError('it is not what was written')
    fields = json.loads(content)
    if fields['form'] != FORM:
        raise DataError(f'{gallery} is of version {fields["form"]!r}, and this program reads version {FORM}; index '
                        'the folder again into another --out')
    return GalleryManifest(**fields)


def repair_command(gallery: str) -> str:
    """What to do about a damaged gallery."""
    return f'the command that made it, with --repair, encodes anew what is lost: mmcma index … --out {gallery} --repair'


def _refuse_old_form(gallery: str) -> None:
    """Raises a DataError with the one command that makes the new one, if it is a gallery of an earlier version."""
    path = Path(gallery, 'gallery.json')
    if not is_local(gallery) or not path.is_file():
        return
    try:
        made = json.loads(path.read_text(encoding='utf-8'))
        command = f'mmcma index {made["root"]} --model {made["model"]} ' + (
            f'--checkpoint {made["checkpoint"]} ' if made['checkpoint'] else '') + f'--out {gallery}.new'
    except (OSError, ValueError, TypeError, KeyError):
        command = f'mmcma index FOLDER --model MODEL --out {gallery}.new'
    raise DataError(f'{gallery} was made by an earlier version of mmcma, whose form is read no longer; make it anew: '
                    f'{command}')
