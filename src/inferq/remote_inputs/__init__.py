"""Files that data names by URLs: which may be named, and how workers fetch them.

The proxy uses `source_rules` alone, before it accepts a job. A worker imports `file_fetcher`, and the
libraries that it needs, with the first job that names a file.
"""
