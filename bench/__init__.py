"""The benchmark: the functions of `functions/` measured against a plain handler, other engines and their own growth.

`python -m bench` runs all of it. Nothing outside imports this package but its tests.
"""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
"""The repository: where the benchmark's processes run."""
