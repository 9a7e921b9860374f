"""The worker process: waits for jobs, runs their model, stores what came out."""

import sys

if "structlog" not in sys.modules and "rich" not in sys.modules:
    # structlog imports rich wherever it can; a worker's log lines use nothing of it, and its 3 MB are saved
    sys.modules["rich"] = None  # type: ignore[assignment] # an import of it fails
    import structlog  # noqa: F401

    del sys.modules["rich"]
