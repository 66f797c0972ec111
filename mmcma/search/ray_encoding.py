"""Files as rows of a gallery on the machines of a Ray cluster: tasks read, actors encode and write."""
import logging
import os
import pickle
import socket
from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from importlib import import_module
from itertools import chain

import torch

from mmcma.apis import RetrievalInferencer
from mmcma.checkpoints.config_data import required_modules
from mmcma.search.assembly import Assembly, Encoded, FileResult, Gathered, WrittenPart
from mmcma.search.encoding import Encoder, encode_read
from mmcma.search.listing import ListedFile
from mmcma.search.reading import ReadFile
from mmcma.search.rows import Moment
from mmcma.search.tables import is_local
from mmcma.search.writer import Written, write_rows
from mmcma.utils.errors import ConfigError, DataError
from mmcma.utils.jobs import watched_jobs
from mmcma.utils.spans import Span

os.environ.setdefault('RAY_BACKEND_LOG_LEVEL', 'fatal')  # what fails is raised here
os.environ.setdefault('RAY_NUM_REDIS_GET_RETRIES', '1')  # a cluster that has gone is noticed in 40 s
try:
    import pyarrow
    import ray
    from ray.data import ActorPoolStrategy, DataContext, from_arrow
except ImportError as error:
    raise ConfigError(f"--ray needs Ray ({error}); install it with pip install 'mmcma[ray]'") from error


@contextmanager
def ray_encoder(address: str, inferencer: RetrievalInferencer, gallery: str, *, workers: int | None,
                timeout: float) -> Iterator[Encoder]:
    """An :data:`~mmcma.search.encoding.Encoder` on a cluster that runs, while the context lasts.

    Args:
        address: ``'auto'`` for the cluster of this machine, or ``host:port`` of its head.
        inferencer: Its model is sent to the actors, so that they have the driver's weights.
        gallery: The URI or absolute folder that they write to.
        workers: Tasks that read at a time; None for as many as cores are free.
        timeout: Seconds without a frame after which a file has failed.

    Raises:
        DataError: There is no cluster, or it fails.
    """
    _connect(address)
    try:
        yield partial(_encode, inferencer=inferencer, gallery=gallery, workers=workers, timeout=timeout)
    finally:
        ray.shutdown()


def _connect(address: str) -> None:
    try:
        if address != 'auto':  # Ray itself would try for minutes, and then end this process
            host, _, port = address.rpartition(':')
            socket.create_connection((host, int(port)), timeout=5).close()
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f'no Ray cluster can be used at {address!r} ({_last_line(error)}). Start one with "ray start '
                        '--head --port=6379" and on each further machine "ray start --address=HOST:6379", and give '
                        'auto or HOST:6379 on one of these machines') from error
    logging.getLogger('ray.data').setLevel(logging.ERROR)
    context = DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False


def _last_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1]


def _encode(job: ReadFile, todo: Sequence[ListedFile], *, inferencer: RetrievalInferencer, gallery: str,
            workers: int | None, timeout: float) -> Iterator[Gathered | Written]:
    """What ended with its process or machine is repeated, and may then come in other company.

    So rows that are written with those that were taken already are not taken, and the files of which something
    is missing in the end are done once more, from their beginning.
    """
    waiting = {found.path: found for found in todo}
    model = ray.put(deepcopy(inferencer.model).to('cpu'))
    while waiting:
        before, assembly, refused = len(waiting), Assembly(), False
        try:
            for result in _encode_once(job, list(waiting.values()), model, inferencer, gallery, workers, timeout):
                taken = _taken(result, waiting, assembly)
                if taken is None:
                    refused = True
                    continue
                yield taken
                for path in taken.files if isinstance(taken, Written) else [taken.found.path] * taken.complete:
                    del waiting[path]
        except ray.exceptions.RayError as error:
            raise DataError(f'the Ray cluster gave up: {_last_line(error)}. What was indexed so far is whole; mend it '
                            'and run mmcma index again to go on') from error
        if len(waiting) == before and not refused:
            raise DataError(f'the Ray cluster says nothing of {next(iter(waiting))} and {before - 1:,} others')


def _taken(result: FileResult | Written, waiting: Container[str], assembly: Assembly) -> Gathered | Written | None:
    """What comes of a result; nothing where some of it was taken already."""
    if isinstance(result, Written):
        return result if all(path in waiting for path in result.files) else None
    return assembly.take(result) if result.found.path in waiting else None


def _encode_once(job: ReadFile, todo: Sequence[ListedFile], model: 'ray.ObjectRef', inferencer: RetrievalInferencer,
                 gallery: str, workers: int | None, timeout: float) -> Iterator[FileResult | Written]:
    """Ray Data holds tasks back while the actors are behind, and repeats what ended with its process or machine."""
    # A task reads what the model then takes at once.
    tasks = [_packed(todo[start:start + inferencer.batch_size])
             for start in range(0, len(todo), inferencer.batch_size)]
    there = ray.cluster_resources()
    gpus, cores = int(there.get('GPU', 0)), int(there.get('CPU', 1))
    # More actors start while they are behind; one core is left to a reader.
    pool = ActorPoolStrategy(size=gpus) if gpus else ActorPoolStrategy(min_size=1, max_size=max(1, cores - 1))
    imports = required_modules(inferencer.model.cfg)
    # Another number of tasks than of actors, or Ray Data would make the two steps one.
    blocks = from_arrow(tasks).map_batches(
        partial(_read, job=job, timeout=timeout, imports=imports), batch_size=None, batch_format='pyarrow',
        concurrency=workers or max(2, cores), num_cpus=1,
    ).map_batches(
        _EncodeRead, fn_constructor_args=(model, inferencer.batch_size, gallery, inferencer.fingerprint),
        batch_size=inferencer.batch_size, batch_format='pyarrow', compute=pool, num_gpus=1 if gpus else None,
        num_cpus=0 if gpus else min(1, cores - 1),
    ).iter_batches(batch_size=None, batch_format='pyarrow', prefetch_batches=0)
    return chain.from_iterable(map(_unpacked, blocks))


def _read(tasks: pyarrow.Table, *, job: ReadFile, timeout: float, imports: Sequence[str]) -> Iterator[pyarrow.Table]:
    _check_seen(str(job.root))
    for module in imports:
        import_module(module)
    # In a process of its own: a file may hang it or crash it, and is then one that cannot be read.
    for outcome in watched_jobs(job, _unpacked(tasks), workers=1, seconds=timeout):
        yield _packed([outcome])


class _EncodeRead:
    """An actor that has the model, and writes what it encodes."""

    def __init__(self, model: 'ray.ObjectRef', batch_size: int, gallery: str, fingerprint: str) -> None:
        _check_seen(gallery)
        on_gpu = bool(ray.get_gpu_ids())
        if not on_gpu:  # its share is one core
            torch.set_num_threads(1)
        self.model, self.batch_size = ray.get(model).to('cuda' if on_gpu else 'cpu'), batch_size
        self.gallery, self.fingerprint = gallery, fingerprint

    def __call__(self, read: pyarrow.Table) -> pyarrow.Table:
        """Files of one moment share a fragment; those of more have their own, since more of them is to come."""
        results: list[FileResult | Written] = []
        fragments: dict[ListedFile | None, list[Moment]] = defaultdict(list)
        for result in encode_read(_unpacked(read), self.model, self.batch_size):
            if isinstance(result, Encoded):
                fragments[result.found if result.moments > 1 else None].append(result.moment)
            else:
                results.append(result)
        for found, moments in fragments.items():
            written = write_rows(self.gallery, moments, self.fingerprint)
            spans = tuple(Span(moment.start, moment.end) for moment in moments)
            results.append(WrittenPart(found, moments[0].moments, spans, written) if found else written)
        return _packed(results)


def _check_seen(place: str) -> None:
    if is_local(place) and not os.path.isdir(place):
        raise DataError(f'{socket.gethostname()} does not see {place}, which must lie under that path on every machine '
                        'of the cluster')


def _packed(values: Sequence) -> pyarrow.Table:
    """Objects as a block of Ray Data."""
    return pyarrow.table(dict(packed=pyarrow.array(map(pickle.dumps, values), pyarrow.large_binary())))


def _unpacked(block: pyarrow.Table) -> Iterator:
    return (pickle.loads(packed) for packed in block['packed'].to_pylist())
