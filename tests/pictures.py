"""Pictures for the tests, as files."""

from io import BytesIO

import numpy as np
from PIL import Image


def encode(image, form="PNG", **options):
    """The file of a picture: of an image, or of an array of bytes."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(np.asarray(image, dtype=np.uint8))
    file = BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def make_gradient(width, height):
    """Pixels of which no two are the same: red grows to the right, green downwards."""
    red, green = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([red, green, np.full_like(red, 200)], axis=-1).astype(np.uint8)
