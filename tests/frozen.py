"""The last module that the server of forks imports: it exempts all that was imported from garbage collection.

A full collection visits every object, whose pages a fork would then have to copy: half a second for each process.
"""

import gc

gc.freeze()
