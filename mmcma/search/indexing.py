"""From a folder of files to a gallery, and from its last state to the next."""
import os
import time
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mmcma.apis import RetrievalInferencer
from mmcma.apis.media import frame_pipeline
from mmcma.datasets.video.moments import AUTO, check_plan
from mmcma.search.assembly import Gathered
from mmcma.search.encoding import Encoder, encode_here
from mmcma.search.gallery import check_fingerprint
from mmcma.search.listing import ListedFile, Listing, list_folder
from mmcma.search.lock import check_idle, writer_lock
from mmcma.search.manifest import FORM, GalleryManifest, find_manifest
from mmcma.search.progress import IndexProgress, Progress
from mmcma.search.reading import ReadFile
from mmcma.search.repair import repaired
from mmcma.search.rows import Moment
from mmcma.search.tables import is_local
from mmcma.search.writer import GalleryWriter, Written, write_rows
from mmcma.utils.errors import ConfigError, DataError, few

#: Rows of a commit, and the seconds that the first of them waits: what a kill loses, beside files being decoded.
ROWS_AT_ONCE, LONGEST_WAIT = 1024, 10


@dataclass
class IndexReport:
    """What became of the files of a folder, each counted once.

    Attributes:
        added, updated, deleted, failed, unchanged: How many of each.
        items, moments: How many files the gallery holds now, and their moments.
        failures: Why each of the failed ones could not be read, by path; also of files of which moments are missing.
        skipped: How many other files the folder holds, by suffix, most first.
    """
    added: int = 0
    updated: int = 0
    deleted: int = 0
    failed: int = 0
    unchanged: int = 0
    items: int = 0
    moments: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)


def index_folder(folder: str | Path, out: str | Path, inferencer: RetrievalInferencer, *, model: str,
                 checkpoint: str | None = None, workers: int | None = None, timeout: float = 300,
                 ray: str | None = None, repair: bool = False, moments: str | float | None = None, fast: bool = False,
                 progress: Progress = lambda progress: None) -> IndexReport:
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
        timeout: Seconds without a frame after which a file has failed.
        ray: Address of a Ray cluster that reads and encodes, or ``'auto'``; None for this process and its workers.
        repair: Read all of the gallery and encode anew what is not as it was written.
        moments: How files are cut: seconds of a window, ``'auto'``, ``'shots'`` or ``'whole'``, as for
            :func:`mmcma.datasets.video.moments.check_plan`; None for what the gallery has, ``'auto'`` for a new one.
        fast: Decode key frames alone.
        progress: Called after each moment, a :data:`~mmcma.search.progress.Progress`.

    Raises:
        DataError: There is nothing to index, no file can be read, or the gallery is being written, damaged, or on a
            full disk; or there is no cluster, or it fails.
        ConfigError: The gallery was made of another folder, or Ray is not installed.
        WeightsError: The gallery was made with another model.
    """
    root, out = Path(folder).resolve(), str(Path(out).resolve() if is_local(str(out)) else out)
    cut = None if moments is None else check_plan(moments)
    listing = list_folder(root)
    with _encoder(inferencer, workers, timeout, ray, out) as encoder, writer_lock(out):
        new = GalleryManifest(FORM, str(root), _absolute(model), checkpoint and _absolute(checkpoint),
                              inferencer.fingerprint, AUTO if cut is None else cut, fast)
        _check_place(out)
        manifest = repaired(out, new) if repair else find_manifest(out) or new
        _check_same(out, manifest, root, cut, fast)
        check_fingerprint(out, manifest, inferencer)
        indexing = _Indexing(GalleryWriter(out, manifest), listing)
        indexing.forget_the_gone()
        pipeline = frame_pipeline(inferencer.model.cfg)
        indexing.encode(encoder, ReadFile(root, pipeline, manifest.cut, manifest.key_frames), progress)
        report = indexing.finish()
    if not report.items:
        path, reason = next(iter(report.failures.items()))
        raise DataError(f'none of the {len(listing.found) + len(listing.failed):,} files in {folder} can be read; '
                        f'{path}: {reason}')
    return report


def check_request(folder: str | Path, out: str | Path, repair: bool = False, moments: str | float | None = None,
                  fast: bool = False) -> None:
    """Refuses what :func:`index_folder` would refuse whatever the model, before one is built.

    Raises:
        DataError: There is nothing to index, or the gallery is being written or damaged.
        ConfigError: The gallery was made of another folder, or its files are cut in another way.
    """
    cut = None if moments is None else check_plan(moments)
    list_folder(Path(folder))
    _check_place(str(out))
    try:
        manifest = find_manifest(str(out))
    except DataError:
        if not repair:
            raise
        return
    if manifest is not None:
        _check_same(str(out), manifest, Path(folder).resolve(), cut, fast)
        with writer_lock(str(out)):
            pass


def _check_place(out: str) -> None:
    """Refuses a file, and a folder in which other things lie than what a gallery, begun or earlier, has."""
    if not is_local(out) or not os.path.exists(out):
        return
    if not os.path.isdir(out):
        raise ConfigError(f'--out {out} is no folder; choose another')
    names = sorted(os.listdir(out))
    foreign = [name for name in names if name != 'lock' and not name.endswith('.lance') and not name.startswith('.')]
    if foreign and not {'gallery.lance', 'gallery.json'} & set(names):
        raise ConfigError(f'--out {out} is no gallery and has other things in it ({few(foreign)}); choose another')



def _check_same(out: str, manifest: GalleryManifest, root: Path, cut: str | None, fast: bool) -> None:
    check_idle(out, manifest)
    if manifest.root != str(root):
        raise ConfigError(f'{out} was made of the folder {manifest.root!r} and not {str(root)!r}; choose another --out')
    if cut is not None and cut != manifest.cut:
        raise ConfigError(f'{out} was made with --moments {manifest.cut} and not {cut}; choose another --out')
    if fast != manifest.key_frames:
        raise ConfigError(f'{out} was made {"with" if manifest.key_frames else "without"} --fast; '
                          f'{"add" if manifest.key_frames else "leave out"} it, or choose another --out')


def _encoder(inferencer: RetrievalInferencer, workers: int | None, timeout: float, ray: str | None,
             out: str) -> AbstractContextManager[Encoder]:
    if ray is not None:
        from mmcma.search.ray_encoding import ray_encoder
        return ray_encoder(ray, inferencer, out, workers=workers, timeout=timeout)
    return nullcontext(partial(encode_here, inferencer=inferencer, workers=max(1, workers or os.cpu_count() or 1),
                               timeout=timeout))


def _absolute(name: str) -> str:
    return str(Path(name).resolve()) if name and Path(name).exists() else name


class _Indexing:
    """One run over a gallery whose lock is held."""

    def __init__(self, writer: GalleryWriter, listing: Listing) -> None:
        self.writer, self.found, self.failures = writer, listing.found, dict(listing.failed)
        self.report = IndexReport(skipped=dict(listing.skipped.most_common()))
        self.progress, self.before = IndexProgress(), writer.failures()
        #: Of whole files: encoded but not yet written; written but not yet committed; when there was neither.
        self.moments: list[Moment] = []
        self.written: list[Written] = []
        self.since = time.monotonic()

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
        again = {found.path for found in todo}
        for path in files.keys() & self.before.keys() - again:  # moments that are missing still
            self.failures[path] = self.before[path]
        self.report.unchanged = len(self.found) - len(todo)
        self.progress = IndexProgress(of_files=len(todo), of_all=sum(found.size for found in todo),
                                      failed=len(self.failures))
        for result in encoder(job, todo):
            if isinstance(result, Written):
                self._count(result.files)
                self.written.append(result)
                self.progress.take_written(result)
            else:
                self._take(result)
                self.progress.take(result)
            self._store_in_time()
            self.progress.failed = len(self.failures)
            progress(self.progress)
        self._store()

    def _take(self, file: Gathered) -> None:
        """Writes moments of a long file before they are too many, and takes it up when it is complete."""
        if len(file.rows) >= ROWS_AT_ONCE:
            file.written.append(self._write(file.rows))
            file.rows = []
        if file.complete:
            self._settle(file)

    def _settle(self, file: Gathered) -> None:
        path = file.found.path
        if file.faults:
            self.failures[path] = file.faults[0] if file.failed or len(file.faults) == 1 else \
                f'{file.faults[0]} (and {len(file.faults) - 1:,} more of {file.moments:,} moments)'
        if file.unchanged:
            self._touch(file.found)
            self.failures.update({path: self.before[path]} if path in self.before else {})
        elif file.failed:
            self.writer.remove([path])  # what it was is not what it is
        else:
            self._count([path])
            self.moments += file.rows
            self.written += file.written

    def _count(self, paths: Collection[str]) -> None:
        known = sum(path in self.writer.files for path in paths)
        self.report.updated += known
        self.report.added += len(paths) - known

    def _is_known(self, found: ListedFile) -> bool:
        stored = self.writer.files.get(found.path)
        return stored is not None and (stored.size, stored.modified) == (found.size, found.modified)

    def _touch(self, found: ListedFile) -> None:
        """Takes note of another date of the same content."""
        self.moments += [moment._replace(size=found.size, modified=found.modified)
                         for moment in self.writer.read(found.path)]
        self.report.unchanged += 1

    def _store_in_time(self) -> None:
        rows = len(self.moments) + sum(file.rows for own in self.written for file in own.files.values())
        if rows >= ROWS_AT_ONCE or time.monotonic() - self.since > LONGEST_WAIT:
            self._store()

    def _store(self) -> None:
        """Puts what waits into the gallery."""
        if self.moments:
            self.written.append(self._write(self.moments))
        if self.written:
            self.writer.commit(self.written)
        self.moments, self.written, self.since = [], [], time.monotonic()

    def _write(self, moments: list[Moment]) -> Written:
        return write_rows(self.writer.gallery, moments, self.writer.manifest.fingerprint)

    def finish(self) -> IndexReport:
        """Lists what failed and says that the gallery is complete."""
        self.writer.finish(self.failures)
        files = self.writer.files
        self.report.failed, self.report.items = len(self.failures.keys() - files.keys()), len(files)
        self.report.moments = sum(file.rows for file in files.values())
        self.report.failures = self.failures
        return self.report
