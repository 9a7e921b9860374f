"""Files of pictures and sound, turned into the arrays that models take: everything that is known of Pillow.

Workers alone import it; what a model takes is described in `inferq.tensors.media_specs`.
"""
