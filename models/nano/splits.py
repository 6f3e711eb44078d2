"""Which problems are trained on, and which are kept to evaluate with.

Every problem has a canonical key; crc32(key) % 16 decides its split: 0 = held-out evaluation, 1 = public
evaluation, everything else = training.  So no evaluation problem is asked in training, whatever its wording (its sums can
still occur as steps inside the trace of another problem, or with the operands swapped).
"""
import zlib


def split_of(key):
    h = zlib.crc32(key.encode()) % 16
    return {0: "heldout", 1: "public"}.get(h, "train")


def pick(rng, split, make):
    """Draw until the problem's canonical key falls in the wanted split."""
    while True:
        key, prob = make()
        if split_of(key) == split:
            return prob
