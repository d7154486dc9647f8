"""The last module that the server of forks imports: what was imported is the server's own, and no fork cleans it up.

A full garbage collection visits every object, whose pages a fork would then have to copy: half a second for each
process. And at its end, each would run what PyTorch leaves to be run at the end of the server.
"""

import gc
import weakref

gc.freeze()
for finalizer in [*weakref.finalize._registry]:  # type: ignore[attr-defined] # there is no public list
    finalizer.atexit = False
