"""What may be asked of a gallery."""
import math

from mmcma.datasets.annotations.texts import fault_of
from mmcma.utils.errors import DataError, short


def check_query(query: str, preprocessor) -> None:
    """Refuses a query that says nothing or too much.

    Raises:
        DataError: It is empty or longer than the model reads.
    """
    if not query.strip():
        raise DataError('the query is empty; describe what is to be found')
    if (fault := fault_of(query)) is not None:
        raise DataError(f'the query {short(query)} holds {fault}')
    (tokens,), limit = preprocessor.token_counts([query]), preprocessor.limit
    if tokens > limit:
        words = len(query.split())
        raise DataError(f'the query has {tokens} tokens ({words} words), and the model reads {limit}; shorten it to '
                        f'about {math.floor(words * (limit - 2) / tokens)} words')
