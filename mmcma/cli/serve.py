"""Search a gallery in a browser.

  mmcma serve gallery/
  mmcma serve gallery/ --port 8000 --max-upload 500
  mmcma serve gallery/ --host 0.0.0.0

A text, an image or a video is the query; results play, with the weight of each of their frames below. Only the folder
that was indexed is shown. With --host 0.0.0.0 everyone who reaches this machine can search it, see it and upload.
"""
import argparse
import errno
import os
import signal
import socket
import sys
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from mmcma.cli.arguments import check_at_least
from mmcma.utils.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('gallery', metavar='GALLERY', help='folder that mmcma index made')
    parser.add_argument('--host', default='127.0.0.1', help='address to answer at (default: 127.0.0.1, only this '
                        'machine)')
    parser.add_argument('--port', type=int, default=7860, help='default: 7860; 0 for any that is free')
    parser.add_argument('-k', type=int, default=12, help='how many to show (default: 12)')
    parser.add_argument('--max-upload', type=int, default=100, metavar='MB',
                        help='largest image or video that is taken as a query (default: 100)')
    parser.add_argument('--model', help='the model that made the gallery, where it has moved or is a config or a '
                        'checkpoint (default: the one that the gallery names)')
    parser.add_argument('--checkpoint', metavar='FILE', help='the trained weights of that model, where they have '
                        'moved (default: those that the gallery names)')
    parser.add_argument('--device', help='where the model works, as in cuda (default: a GPU if there is one)')


def run(args: argparse.Namespace) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does, and leaves nothing behind
    check_gradio()
    check_at_least(args, max_upload=1, k=1)
    from mmcma.search import open_gallery
    with closing(listen(args.host, args.port)) as listening, TemporaryDirectory(prefix='mmcma-serve-') as folder:
        os.environ['GRADIO_TEMP_DIR'] = f'{folder}/uploads'
        gallery = open_gallery(args.gallery, model=args.model, checkpoint=args.checkpoint, device=args.device)
        if not gallery.manifest.complete:
            print(f'{args.gallery} is not complete: mmcma index goes on where it stopped', file=sys.stderr)
        serve(gallery, listening, Path(folder), args)


def check_gradio() -> None:
    """Refuses to go on without Gradio.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"the page needs Gradio ({error}); install it with pip install 'mmcma[search]'") from error


def listen(host: str, port: int) -> socket.socket:
    """A socket for this address.

    Raises:
        ConfigError: It cannot be had.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ':' in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        if getattr(error, 'errno', None) == errno.EADDRINUSE:
            raise ConfigError(f'port {port} of {host} is taken; choose another with --port') from error
        raise ConfigError(f'cannot answer at {host}, port {port} ({error}); choose others with --host and '
                          '--port') from error


def serve(gallery, listening: socket.socket, folder: Path, args: argparse.Namespace) -> None:
    """Answers until interrupted.

    Args:
        gallery: An open one.
        listening: Where requests come in.
        folder: For what is uploaded and converted, an empty one.
        args: Arguments of the command line.
    """
    import uvicorn

    from mmcma.search.service import LOOPBACK, make_app
    local = args.host in LOOPBACK
    if not local:
        print(f'warning: everyone who reaches {args.host} can search this gallery, see its files and upload',
              file=sys.stderr)
    (folder / 'previews').mkdir()
    app = make_app(gallery, folder / 'previews', results=args.k, max_upload=args.max_upload, local=local)
    server = uvicorn.Server(uvicorn.Config(app, log_level='warning', timeout_graceful_shutdown=1))
    host = f'[{args.host}]' if ':' in args.host else args.host
    print(f'{args.gallery}: http://{host}:{listening.getsockname()[1]} (Ctrl-C ends it)', flush=True)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listening])
