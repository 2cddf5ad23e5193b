"""Let xtcocotools 1.14.3's setup.py read its version on Python 3.13.

It executes version.py inside of a function and looks into ``locals()``. Since Python 3.13 (PEP 667)
``exec`` without a namespace writes to a copy. The frame's own mapping still reaches ``locals()``.
"""

import builtins
import contextlib
import sys
from pathlib import Path

python_exec = builtins.exec


def exec_in_frame(code, *namespaces, **options):
    frame = sys._getframe(1)
    python_exec(code, *(namespaces or (frame.f_globals, frame.f_locals)), **options)


builtins.exec = exec_in_frame

# This file stands before the sitecustomize that there may be, such as that of pip's isolation.
sys.path.remove(str(Path(__file__).parent))
del sys.modules['sitecustomize']
with contextlib.suppress(ImportError):
    import sitecustomize  # noqa: F401
