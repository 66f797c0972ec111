"""Search a gallery in a browser, or over HTTP.

  mmcma serve gallery/
  mmcma serve gallery/ --port 8000 --max-upload 500
  MMCMA_TOKEN=… mmcma serve gallery/ --host 0.0.0.0

A text, an image or a video is the query; what is found plays from its moment on. New moments of the gallery are taken
up while it runs. /docs lists the API. It answers this machine only; with another --host it gives the files of the
gallery to everyone who reaches it and brings the token.
"""
import argparse
import errno
import ipaddress
import os
import signal
import socket
import sys
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from mmcma.cli.arguments import add_gallery_model_arguments, check_at_least
from mmcma.utils.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('gallery', metavar='GALLERY', help='what mmcma index made')
    parser.add_argument('--host', default='127.0.0.1', help='address to answer at (default: 127.0.0.1, only this '
                        'machine)')
    parser.add_argument('--port', type=int, default=7860, help='default: 7860; 0 for any that is free')
    who = parser.add_mutually_exclusive_group()
    who.add_argument('--token', default=os.environ.get('MMCMA_TOKEN'), help='a secret that requests have to bring '
                     '(default: the environment variable MMCMA_TOKEN, which other users of this machine do not see)')
    who.add_argument('--no-token', action='store_true', help='give the gallery to everyone who reaches --host')
    parser.add_argument('--max-upload', type=int, default=100, metavar='MB',
                        help='largest image or video that is taken as a query (default: 100)')
    add_gallery_model_arguments(parser)


def run(args: argparse.Namespace) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does, and leaves nothing behind
    check_at_least(args, max_upload=1)
    check_token(args)
    check_installed()
    from mmcma.search import open_gallery
    with closing(listen(args.host, args.port)) as listening, TemporaryDirectory(prefix='mmcma-serve-') as folder:
        gallery = open_gallery(args.gallery, model=args.model, checkpoint=args.checkpoint, device=args.device)
        if not gallery.manifest.complete:
            print(f'{args.gallery} is not complete: mmcma index goes on where it stopped', file=sys.stderr)
        serve(gallery, listening, Path(folder), args)


def check_token(args: argparse.Namespace) -> None:
    """Refuses an address that others reach without a word on who may ask, and a token that cannot be sent.

    Raises:
        ConfigError: Either is the case.
    """
    if args.no_token:
        args.token = None
    elif args.token is None and not is_loopback(args.host):
        raise ConfigError(f'--host {args.host} needs --token TOKEN (or MMCMA_TOKEN), or --no-token to give the gallery '
                          'to everyone who reaches it')
    if args.token is not None and not (args.token and args.token.isascii() and args.token.isprintable()
                                       and ' ' not in args.token):
        raise ConfigError('--token must be of ASCII letters, digits and signs, without blanks, and not empty')


def check_installed() -> None:
    """Refuses to go on without what answers requests.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import fastapi  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"the service needs FastAPI ({error}); install it with pip install 'mmcma[search]'"
                          ) from error


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost'


def listen(host: str, port: int) -> socket.socket:
    """A socket for this address.

    Raises:
        ConfigError: It cannot be had.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ':' in host else socket.AF_INET)
    except (OSError, OverflowError, UnicodeError) as error:
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

    from mmcma.search.service import make_app
    host = f'[{args.host}]' if ':' in args.host else args.host
    local = is_loopback(args.host)
    if not local and args.token is None:
        print(f'warning: everyone who reaches {args.host} can search this gallery, see its files and upload',
              file=sys.stderr)
    app = make_app(gallery, folder, token=args.token, max_upload=args.max_upload,
                   hosts=('localhost', '127.0.0.1', '[::1]', host) if local else ())
    server = uvicorn.Server(uvicorn.Config(app, log_level='warning', timeout_graceful_shutdown=1,
                                           timeout_keep_alive=60))
    print(f'{args.gallery}: http://{host}:{listening.getsockname()[1]} (Ctrl-C ends it)', flush=True)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listening])
