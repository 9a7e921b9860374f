"""The worker process: waits for jobs, runs their model, stores the results."""

import sys

if "structlog" not in sys.modules and "rich" not in sys.modules:
    # structlog imports rich where it is installed; a worker does not use it, and saves 3 MB without it
    sys.modules["rich"] = None  # type: ignore[assignment] # an import of it fails
    import structlog  # noqa: F401

    del sys.modules["rich"]
