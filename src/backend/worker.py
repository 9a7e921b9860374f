"""`python -m src.backend.worker` runs one inferq worker."""

import sys

try:
    from inferq.worker.main import main
except ModuleNotFoundError as error:
    sys.exit(f"{error}. This environment lacks it: run `uv sync` in inferq's folder, and this again.")

if __name__ == "__main__":
    main()
