"""`python -m src.backend.worker` runs one inferq worker."""

from inferq.worker.main import main

if __name__ == "__main__":
    main()
