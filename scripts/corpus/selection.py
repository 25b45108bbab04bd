"""Which documents stay, and in which part each is: the same for the same texts, whatever the order of files."""
import collections
import hashlib

SHINGLE = 5  # words


def name_of(text):
    return hashlib.sha256(text.encode()).hexdigest()


class Seen:
    """Runs of five words that were kept already. A document of which more than `share` is known is a near-duplicate."""

    def __init__(self, share):
        self.share, self.shingles = share, set()

    def takes(self, text):
        words = text.split()
        own = {hash(tuple(words[i:i + SHINGLE])) for i in range(max(1, len(words) - SHINGLE + 1))}
        if len(own & self.shingles) > self.share * len(own):
            return False
        self.shingles |= own
        return True


def without_boilerplate(documents, times=4, length=40):
    """Lines of at least `length` characters that stand in `times` documents or more are a form's, not the documents'."""
    documents = list(documents)
    counts = collections.Counter()
    for text in documents:
        counts.update({line for line in text.split("\n") if len(line) >= length})
    return ["\n".join(line for line in text.split("\n") if counts[line] < times) for text in documents]


def select(documents, cap, seen):
    """In the order of their hashes, up to `cap` bytes, near-duplicates left out."""
    out, size = [], 0
    for text in sorted(set(documents), key=name_of):
        bytes_ = len(text.encode())
        if size + bytes_ <= cap and seen.takes(text):
            out.append(text)
            size += bytes_
    return out


def split(documents, share=0.02, most=500_000):
    """{"train", "validation", "test"}: in the order of hashes, test and then validation are filled up to their share of the bytes."""
    ordered = sorted(documents, key=name_of)
    sizes = {text: len(text.encode()) for text in ordered}
    limit = min(most, share * sum(sizes.values()))
    out = {"test": [], "validation": [], "train": []}
    room = {"test": limit, "validation": limit}
    for text in ordered:
        part = next((p for p in room if sizes[text] + 1 <= room[p]), "train")
        out[part].append(text)
        if part in room:
            room[part] -= sizes[text] + 1  # with the form feed
    return out
