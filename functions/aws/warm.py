"""What is done once, after a process's first batch: everything made so far stays, so the collector need not look at it.

Modules, clients and caches are tens of thousands of objects, which each full collection would go through
(Python library reference, gc.freeze). A batch makes and drops as many again, none in cycles, so collections are rare.
"""

import gc
from functools import cache


@cache
def keep_what_is_there() -> None:
    """Moves everything that is alive out of the collector's sight; later calls do nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)
