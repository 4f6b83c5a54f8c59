"""Whether a file begins and ends as an image does: a cut or foreign one is told unread."""

import struct

# First bytes, and what the last kilobyte then holds.
ENDS = {
    b"\xff\xd8\xff": b"\xff\xd9",
    b"\x89PNG\r\n\x1a\n": b"IEND\xae\x42\x60\x82",
}
# Formats whose end says nothing.
BEGINNINGS = (
    *(b"P%d" % kind for kind in range(1, 8)), b"Pf", b"PF", b"\x00\x00\x01\x00",
    b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ",
)  # fmt: skip


def looks_whole(head: bytes, tail: bytes, size: int) -> bool:
    """Whether ``head`` and ``tail`` of a file of ``size`` bytes may be those of a whole image.

    False is a suspicion: some cameras write behind the end, and TGA has no first bytes.
    """
    for beginning, end in ENDS.items():
        if head.startswith(beginning):
            return end in tail[-1024:]
    if head.startswith(b"GIF8"):
        return tail.rstrip(b"\0").endswith(b";")
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return struct.unpack_from("<I", head, 4)[0] + 8 <= size
    if head[:4] in (b"II*\0", b"MM\0*"):  # the directory of a TIFF often stands last
        order = "<" if head[:1] == b"I" else ">"
        return len(head) >= 8 and struct.unpack_from(f"{order}I", head, 4)[0] < size
    if head.startswith(b"BM"):
        return len(head) >= 6 and struct.unpack_from("<I", head, 2)[0] <= size
    return head.startswith(BEGINNINGS) or head[4:8] == b"ftyp"
