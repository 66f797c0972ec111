"""Find videos and images in a gallery by text, or by an image or video.

  mmcma search gallery/ "a dog catches a frisbee" -k 5
  mmcma search gallery/ --image dog.jpg --html found.html
  mmcma search gallery/ "two people cook" --json | jq -r '.[].path'
  mmcma search "two people cook" --server http://127.0.0.1:7860

The model is the one that made the gallery. Its best by pooled vectors, --rerank of them, are put in order by the
model's own similarity; the scores are that similarity's. Of long videos moments are found, as in film.mkv
0:41:20–0:41:30; of moments that overlap, the better one is shown. A running mmcma serve (--server) answers at once.
"""
import argparse
import json
import os
import sys
from pathlib import Path

from mmcma.cli.arguments import add_gallery_model_arguments, check_at_least, check_can_be_written
from mmcma.utils.errors import ConfigError, short


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('gallery', metavar='GALLERY', nargs='?', help='what mmcma index made; none with --server')
    parser.add_argument('query', nargs='?', help='text to search for; behind -- where it begins with a dash')
    parser.set_defaults(last='query')
    parser.add_argument('--image', metavar='FILE', help='search for what is like this image')
    parser.add_argument('--video', metavar='FILE', help='search for what is like this video')
    parser.add_argument('--server', metavar='URL', help='ask a running mmcma serve, as in http://127.0.0.1:7860')
    parser.add_argument('--token', default=os.environ.get('MMCMA_TOKEN'), help='the token of that service (default: '
                        'the environment variable MMCMA_TOKEN)')
    parser.add_argument('-k', type=int, default=10, help='how many to show (default: 10)')
    parser.add_argument('--rerank', type=int, default=100, metavar='N',
                        help='how many the model puts in order (default: 100)')
    parser.add_argument('--folder', default='', metavar='DIR', help='only below this folder of the gallery')
    parser.add_argument('--seconds', nargs=2, type=float, metavar=('MIN', 'MAX'), help='only of this length')
    parser.add_argument('--per-file', type=int, metavar='N', help='at most so many moments of a file')
    parser.add_argument('--json', action='store_true', help='print JSON')
    parser.add_argument('--html', metavar='FILE', help='write a page with the frames that matched')
    add_gallery_model_arguments(parser)


def run(args: argparse.Namespace) -> None:
    settle_server(args)
    given = [query for query in (args.query, args.image, args.video) if query is not None]
    if len(given) != 1:
        raise ConfigError(f'{len(given)} queries: give a text, or --image FILE, or --video FILE')
    if args.query is not None and not args.query.strip():
        raise ConfigError('the query is empty; describe what is to be found')
    if args.query is not None and not is_utf8(args.query):
        raise ConfigError(f'the query {short(args.query)} is not UTF-8, as the terminal says its texts are')
    if args.query is None and not os.path.exists(given[0]):
        raise ConfigError(f'{given[0]}: no such file')
    check_at_least(args, k=1, rerank=0, per_file=1)
    if args.seconds is not None and not 0 <= args.seconds[0] <= args.seconds[1]:
        raise ConfigError(f'--seconds {args.seconds[0]:g} {args.seconds[1]:g} is no length: the shortest first')
    check_can_be_written(args.html, '--html')
    hits = ask_server(args, given[0]) if args.server else ask_gallery(args, given[0])
    if args.json:
        found = [dict(hit._asdict(), best_moment=hit.best_moment) for hit in hits]
        print(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        show(hits)


def is_utf8(text: str) -> bool:
    """Whether a text of the command line was UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def settle_server(args: argparse.Namespace) -> None:
    """With ``--server`` the one thing that is named without an option is the query.

    Raises:
        ConfigError: There is no gallery, or one beside the server, or what needs the gallery's files.
    """
    if args.server is None:
        if args.gallery is None:
            raise ConfigError('give a gallery, or --server URL')
        return
    if args.gallery is not None and args.query is not None:
        raise ConfigError(f'give the gallery {args.gallery} or --server {args.server}, not both')
    args.gallery, args.query = None, args.gallery
    for name in ('html', 'model', 'checkpoint', 'device'):
        if getattr(args, name) is not None:
            raise ConfigError(f'--{name} needs the gallery itself: it does not go with --server')


def ask_server(args: argparse.Namespace, query: str) -> list:
    """What a running service finds; nothing of a model is imported."""
    from mmcma.search import Client
    return Client(args.server, args.token).search(
        query if args.query is not None else Path(query), args.k, args.rerank, folder=args.folder,
        seconds=args.seconds, per_file=args.per_file)


def ask_gallery(args: argparse.Namespace, query: str) -> list:
    """What the gallery finds, and a page of it where one is wanted."""
    from mmcma.search import open_gallery
    gallery = open_gallery(args.gallery, model=args.model, checkpoint=args.checkpoint, device=args.device)
    if not gallery.manifest.complete:
        print(f'{args.gallery} is not complete: mmcma index goes on where it stopped', file=sys.stderr)
    search = gallery.search_path if args.query is None else gallery.search_text
    hits = search(query, args.k, args.rerank, folder=args.folder, seconds=args.seconds,
                  per_file=args.per_file)
    if args.html:
        from mmcma.search.result_page import write_result_page
        write_result_page(args.html, query, hits, gallery)
    return hits


def show(hits: list) -> None:
    """Prints a line for each hit."""
    for rank, hit in enumerate(hits, 1):
        span = '' if hit.span is None else f' {hit.span}'
        moment = '' if hit.best_moment is None else f'  best at {hit.best_moment:.1f} s'
        mark = f'  ({hit.mark})' if hit.mark else ''
        path = ''.join(sign if sign.isprintable() else sign.encode('unicode_escape').decode() for sign in hit.path)
        print(f'{rank:>3}  {hit.score:6.3f}  {path}{span}{moment}{mark}')
    if not hits:
        print('nothing found')
