"""Reads what a scrape was answered, with the parsers of prometheus_client."""

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser


def read_samples(exposition):
    """Returns the value of each sample, by its name and the values of its labels in the order of their names.

    Args:
        exposition: With `headers`, and a `body` or `content` that is not compressed.
    """
    body = getattr(exposition, "body", None) or exposition.content
    is_openmetrics = exposition.headers["Content-Type"].startswith("application/openmetrics-text")
    parse = (openmetrics_parser if is_openmetrics else parser).text_string_to_metric_families
    samples = {}
    for family in parse(body.decode()):
        for sample in family.samples:
            key = (sample.name, *(value for _, value in sorted(sample.labels.items())))
            assert key not in samples, f"{key} is there twice"
            samples[key] = sample.value
    return samples
