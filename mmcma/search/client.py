"""A client of ``mmcma serve``; it needs neither a model nor the gallery's files."""
import json
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from os import PathLike
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit
from uuid import uuid4

from mmcma.search.hit import Hit
from mmcma.utils.errors import ConfigError, DataError, cause, one_short_line

_CONNECTIONS = dict(http=HTTPConnection, https=HTTPSConnection)


class Client:
    """Asks a running service.

    Args:
        url: Where it is, as in ``http://127.0.0.1:7860``. Nothing else is asked: no proxy, and nothing that it names.
        token: The one that it was started with.
        timeout: Seconds that it may be silent.

    Raises:
        ConfigError: That is no address.
    """

    def __init__(self, url: str, token: str | None = None, *, timeout: float = 60) -> None:
        self.url, self.timeout = url.rstrip('/'), timeout
        self._headers = {} if token is None else {'Authorization': f'Bearer {token}'}
        try:
            self._parts = urlsplit(self.url)
            self._connection = _CONNECTIONS[self._parts.scheme]
            if not self._parts.hostname or self._parts.port == 0 or not (token or '').isascii():
                raise ValueError
        except (KeyError, ValueError):
            raise ConfigError(f'{url!r} is no address of a service, as in http://127.0.0.1:7860') from None

    def search(self, query: str | PathLike, k: int = 10, rerank: int = 100, *, offset: int = 0, folder: str = '',
               seconds: tuple[float, float] | None = None, per_file: int | None = None) -> list[Hit]:
        """What the service finds, best first; paths are relative to the folder that was indexed.

        Args:
            query: A text, or a ``Path`` of an image or video, which is sent.
            k: How many.
            rerank: How many of the first stage's best the model's similarity puts in order.
            offset: How many of the best to leave out.
            folder: Only files below it.
            seconds: Only files that last as long: shortest and longest.
            per_file: At most so many moments of a file.

        Raises:
            ConfigError: The service refuses the request or the token, or the file cannot be read.
            DataError: It does not answer, or its gallery is damaged.
        """
        asked = dict(k=k, rerank=rerank, offset=offset, folder=folder, per_file=per_file,
                     **dict(zip(('min_seconds', 'max_seconds'), seconds or ())))
        params = {name: value for name, value in asked.items() if value is not None}
        answer = self._ask('search', params, Path(query)) if isinstance(query, PathLike) else \
            self._ask('search', dict(params, q=query))
        try:
            return [Hit(**{name: found[name] for name in Hit._fields}) for found in answer['hits']]
        except (KeyError, TypeError) as error:
            raise self._silence(error) from error

    def health(self) -> dict:
        """What the service searches, and with which model."""
        return self._ask('health', {})

    def _ask(self, what: str, params: dict, file: Path | None = None) -> dict:
        body, headers = (None, {}) if file is None else _form(file)
        connection = self._connection(self._parts.netloc.rpartition('@')[2], timeout=self.timeout)
        try:
            connection.request('GET' if body is None else 'POST', f'{self._parts.path}/api/{what}?{urlencode(params)}',
                               body, self._headers | headers)
            answer = connection.getresponse()
            content = json.load(answer)
            detail = content.get('detail')
        except (OSError, HTTPException, ValueError, AttributeError) as error:
            raise self._silence(error) from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise (ConfigError if answer.status < 500 else DataError)(f'{self.url}: {one_short_line(str(detail))}')
        return content

    def _silence(self, error: Exception) -> DataError:
        return DataError(f'{self.url} does not answer as mmcma serve does ({cause(error)}); is it running there?')


def _form(file: Path) -> tuple[bytes, dict[str, str]]:
    """A file as the field ``file`` of a form (RFC 7578), and the headers that say so."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigError(f'{file}: cannot be read ({error.strerror})') from error
    boundary = uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{quote(file.name)}"\r\n\r\n'
    return (head.encode() + content + f'\r\n--{boundary}--\r\n'.encode(),
            {'Content-Type': f'multipart/form-data; boundary={boundary}'})
