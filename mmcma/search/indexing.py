"""From a folder of files to a gallery, and from its last state to the next."""
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mmcma.apis import RetrievalInferencer
from mmcma.apis.media import frame_pipeline
from mmcma.search.encoding import Encoder, Failed, Unchanged, encode_here
from mmcma.search.gallery import check_fingerprint
from mmcma.search.lock import writer_lock
from mmcma.search.manifest import FORM, GalleryManifest, find_manifest
from mmcma.search.reading import ListedFile, ReadFile, list_folder
from mmcma.search.rows import Moment
from mmcma.search.writer import GalleryWriter
from mmcma.utils.errors import ConfigError, DataError

#: Rows of a commit, and the seconds that the first of them waits: what a kill loses, beside files being decoded.
ROWS_AT_ONCE, LONGEST_WAIT = 1024, 10
#: Called with how many files are done, of how many, and how many of them failed.
Progress = Callable[[int, int, int], None]


@dataclass
class IndexReport:
    """What became of the files of a folder, each counted once.

    Attributes:
        added, updated, deleted, failed, unchanged: How many of each.
        items: How many files the gallery holds now.
        failures: Why each of the failed ones could not be read, by path.
    """
    added: int = 0
    updated: int = 0
    deleted: int = 0
    failed: int = 0
    unchanged: int = 0
    items: int = 0
    failures: dict[str, str] = field(default_factory=dict)


def index_folder(folder: str | Path, out: str | Path, inferencer: RetrievalInferencer, *, model: str,
                 checkpoint: str | None = None, workers: int | None = None, timeout: float = 300,
                 ray: str | None = None, progress: Progress = lambda done, total, failed: None) -> IndexReport:
    """Brings a gallery to the state of a folder: encodes what is new or has changed, forgets what is gone.

    Whatever ends it, the gallery can be searched and the next call goes on; who searches
    meanwhile sees what was committed last. Files that cannot be read are listed in the
    gallery's table ``failures`` and tried again by the next call.

    Args:
        folder: Videos and images, in subfolders or not. It is only read.
        out: The gallery's folder, or any URI that LanceDB takes, as in ``s3://bucket/gallery``.
        inferencer: Encodes the files.
        model: What it was made from, for those who open the gallery later.
        checkpoint: Trained weights that it was given beside, for those who open the gallery later.
        workers: Decoding processes; None for one a core.
        timeout: Seconds after which a file has failed.
        ray: Address of a Ray cluster that reads and encodes, or ``'auto'``; None for this process and its workers.
        progress: Called after each file, a :data:`Progress`.

    Raises:
        DataError: There is nothing to index, no file can be read, or the gallery is being written, damaged, or on a
            full disk; or there is no cluster, or it fails.
        ConfigError: The gallery was made of another folder, or Ray is not installed.
        WeightsError: The gallery was made with another model.
    """
    out, root = str(out), Path(folder).resolve()
    found, unfit = list_folder(root)
    with _encoder(inferencer, workers, timeout, ray) as encoder, writer_lock(out):
        manifest = _same_gallery(out, root) or GalleryManifest(
            FORM, str(root), _absolute(model), checkpoint and _absolute(checkpoint), inferencer.fingerprint)
        check_fingerprint(out, manifest, inferencer)
        indexing = _Indexing(GalleryWriter(out, manifest), found, unfit)
        indexing.forget_the_gone()
        indexing.encode(encoder, ReadFile(root, frame_pipeline(inferencer.model.cfg)), progress)
        report = indexing.finish()
    if not report.items:
        path, reason = next(iter(report.failures.items()))
        raise DataError(f'none of the {len(found) + len(unfit):,} files in {folder} can be read; {path}: {reason}')
    return report


def check_request(folder: str | Path, out: str | Path) -> None:
    """Refuses what :func:`index_folder` would refuse whatever the model, before one is built.

    Raises:
        DataError: There is nothing to index, or the gallery is being written or damaged.
        ConfigError: The gallery was made of another folder.
    """
    list_folder(Path(folder))
    if _same_gallery(str(out), Path(folder).resolve()) is not None:
        with writer_lock(str(out)):
            pass


def _same_gallery(out: str, root: Path) -> GalleryManifest | None:
    """The gallery that is there, if it was made of this folder; None where there is none.

    Raises:
        ConfigError: It was made of another.
    """
    manifest = find_manifest(out)
    if manifest is not None and manifest.root != str(root):
        raise ConfigError(f'{out} was made of the folder {manifest.root!r} and not {str(root)!r}; choose another --out')
    return manifest


def _encoder(inferencer: RetrievalInferencer, workers: int | None, timeout: float,
             ray: str | None) -> AbstractContextManager[Encoder]:
    if ray is not None:
        from mmcma.search.ray_encoding import ray_encoder
        return ray_encoder(ray, inferencer, workers=workers, timeout=timeout)
    return nullcontext(partial(encode_here, inferencer=inferencer, workers=max(1, workers or os.cpu_count() or 1),
                               timeout=timeout))


def _absolute(name: str) -> str:
    return str(Path(name).resolve()) if name and Path(name).exists() else name


class _Indexing:
    """One run over a gallery whose lock is held."""

    def __init__(self, writer: GalleryWriter, found: dict[str, ListedFile], unfit: dict[str, str]) -> None:
        self.writer, self.found, self.failures = writer, found, dict(unfit)
        self.report = IndexReport()
        #: Encoded but not yet stored, and since when the first of them waits.
        self.waiting: list[Moment] = []
        self.since = 0.0

    def forget_the_gone(self) -> None:
        """Takes out what the folder no longer has."""
        unread = tuple(f'{path}/' for path in self.failures)  # of folders nothing is known
        gone = [path for path in self.writer.files if path not in self.found and not path.startswith(unread)]
        self.writer.remove(gone)
        self.report.deleted = len(gone)

    def encode(self, encoder: Encoder, job: ReadFile, progress: Progress) -> None:
        """Encodes what is new or has changed, and stores it as it comes."""
        files = self.writer.files
        todo = [found._replace(digest=files[path].digest) if path in files else found
                for path, found in self.found.items() if not self._is_known(found)]
        self.report.unchanged = len(self.found) - len(todo)
        for done, result in enumerate(encoder(job, todo), 1):
            if isinstance(result, Failed):
                self._fail(result.found.path, result.error)
            elif isinstance(result, Unchanged):
                self._touch(result.found)
            elif result.found.path in files:
                self.report.updated += 1
                self._keep(result.rows())
            else:
                self.report.added += 1
                self._keep(result.rows())
            progress(done, len(todo), len(self.failures))
        self._store()

    def _is_known(self, found: ListedFile) -> bool:
        stored = self.writer.files.get(found.path)
        return stored is not None and (stored.size, stored.modified) == (found.size, found.modified)

    def _touch(self, found: ListedFile) -> None:
        """Takes note of another date of the same content."""
        self._keep([moment._replace(size=found.size, modified=found.modified)
                    for moment in self.writer.read(found.path)])
        self.report.unchanged += 1

    def _fail(self, path: str, reason: str) -> None:
        self.failures[path] = reason
        self.writer.remove([path])  # what it was is not what it is

    def _keep(self, moments: list[Moment]) -> None:
        self.since = self.since if self.waiting else time.monotonic()
        self.waiting += moments
        if len(self.waiting) >= ROWS_AT_ONCE or time.monotonic() - self.since > LONGEST_WAIT:
            self._store()

    def _store(self) -> None:
        """Puts what waits into the gallery."""
        if self.waiting:
            self.writer.add(self.waiting)
            self.waiting = []

    def finish(self) -> IndexReport:
        """Lists what failed and says that the gallery is complete."""
        self.writer.finish(self.failures)
        self.report.failed, self.report.items = len(self.failures), len(self.writer.files)
        self.report.failures = self.failures
        return self.report
