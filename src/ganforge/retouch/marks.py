"""Pictures written with the mark that a part of them is synthetic, by the IPTC's vocabulary."""

from pathlib import Path

from PIL import Image, PngImagePlugin, TiffImagePlugin

from ganforge.data.decode import open_picture
from ganforge.utils.files import atomic_path
from ganforge.utils.images import JPEG_QUALITY

KIND = "compositeWithTrainedAlgorithmicMedia"
TERM = f"http://cv.iptc.org/newscodes/digitalsourcetype/{KIND}"
STATEMENT = (
    '<rdf:Description rdf:about="" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    f'Iptc4xmpExt:DigitalSourceType="{TERM}" xmp:CreatorTool="ganforge"/>'
)
PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    f"{STATEMENT}</rdf:RDF></x:xmpmeta>"
    '<?xpacket end="w"?>'
)
PNG_KEYWORD, TIFF_TAG = "XML:com.adobe.xmp", 700
WRITABLE = (".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")  # formats that hold the mark


def marked(earlier: bytes | str | None) -> bytes:
    """An XMP packet that says so, within what a picture said of itself before."""
    text = earlier.decode("utf-8", "replace") if isinstance(earlier, bytes) else earlier or ""
    if "</rdf:RDF>" not in text:
        return PACKET.encode()
    if TERM in text:
        return text.encode()
    return text.replace("</rdf:RDF>", f"{STATEMENT}</rdf:RDF>", 1).encode()


def write(image: Image.Image, path: Path, like: Image.Image, mark: bool) -> None:
    """Write a picture atomically with the colour profile, Exif and XMP of ``like``.

    ``mark`` adds the statement; the format follows the suffix, one of ``WRITABLE``.
    """
    xmp = like.info.get("xmp") or like.info.get(PNG_KEYWORD)
    packet = marked(xmp) if mark else xmp.encode() if isinstance(xmp, str) else xmp
    options: dict[str, object] = {"icc_profile": like.info.get("icc_profile")}
    if exif := like.getexif().tobytes():
        options["exif"] = exif
    suffix = path.suffix.lower()
    if suffix in (".tif", ".tiff"):
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        if packet:
            tags[TIFF_TAG] = packet
            tags.tagtype[TIFF_TAG] = 1  # bytes
        options = {"icc_profile": options["icc_profile"], "tiffinfo": tags}
    elif suffix == ".png":
        text = PngImagePlugin.PngInfo()
        if packet:
            text.add_itxt(PNG_KEYWORD, packet.decode())
        options["pnginfo"] = text
    else:
        options |= {"quality": JPEG_QUALITY} | ({"xmp": packet} if packet else {})
    with atomic_path(path) as temporary:
        image.save(temporary, **options)


def is_marked(path: Path) -> bool:
    """Whether a picture says that a part of it is synthetic."""
    info = open_picture(path.read_bytes()).info
    told = info.get("xmp") or info.get(PNG_KEYWORD) or b""
    return TERM in (told.decode("utf-8", "replace") if isinstance(told, bytes) else told)
