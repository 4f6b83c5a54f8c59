"""Pictures on their way between a page and the program: encoded to be shown, opened with care."""

import base64
import io

import torch
from PIL import Image
from torch import Tensor

from ganforge.data.decode import BROKEN, flatten, open_picture, reason
from ganforge.utils.errors import UserError
from ganforge.utils.images import JPEG_QUALITY, to_pil

SMALL = 256  # pixels a side: larger pictures are shown as JPEG, which is encoded sooner
MOST_BYTES = 50 << 20  # of an upload


def png(image: Tensor) -> bytes:
    """One uint8 ``C×H×W`` image as the file that is downloaded."""
    to_pil(image).save(buffer := io.BytesIO(), "PNG")
    return buffer.getvalue()


def data_url(image: Tensor, most: int | None = None) -> str:
    """One uint8 ``C×H×W`` image as a page shows it, at most ``most`` pixels a side."""
    picture, buffer = to_pil(image), io.BytesIO()
    if most is not None and max(picture.size) > most:
        picture.thumbnail((most, most), Image.Resampling.BOX)
    small = max(picture.size) <= SMALL
    if small:
        picture.save(buffer, "PNG", compress_level=1)
    else:
        picture.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return url_of(buffer.getvalue(), "image/png" if small else "image/jpeg")


def url_of(data: bytes, kind: str) -> str:
    """Bytes as a URL that a page holds itself."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def opened(data: bytes, name: str) -> Image.Image:
    """An uploaded picture, decoded through the guarded door and RGB; a UserError for any other."""
    if len(data) > MOST_BYTES:
        raise UserError(f"{name} has more than {MOST_BYTES >> 20} MB: take a smaller picture.")
    try:
        return flatten(open_picture(data), 3)
    except BROKEN as error:
        raise UserError(f"{name} cannot be read as a picture: {reason(error)}.") from error


def pixels(image: Image.Image, channels: int) -> Tensor:
    """A picture as uint8 ``channels×H×W``."""
    grey = image.convert("L") if channels == 1 else image
    data = torch.frombuffer(bytearray(grey.tobytes()), dtype=torch.uint8)
    return data.reshape(grey.height, grey.width, channels).permute(2, 0, 1).contiguous()
