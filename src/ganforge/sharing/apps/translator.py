"""Pictures translated by the bundle beside this file: python app.py."""

from pathlib import Path

import gradio as gr
import torch
from PIL.Image import Image
from torchvision.transforms.functional import pil_to_tensor

import ganforge as gf
from ganforge.utils.images import to_pil

MODEL = gf.load(Path(__file__).parent)


def translate(picture: Image | None, direction: str) -> Image | None:
    """The picture in the other domain, at its own size."""
    if picture is None:
        return None
    channels = MODEL.module.input_shape(direction, MODEL.loaded.config.data)[0]
    image = pil_to_tensor(picture.convert("L" if channels == 1 else "RGB"))
    with torch.inference_mode():
        return to_pil(MODEL.translate(image[None], direction)[0])


demo = gr.Interface(
    translate,
    [
        gr.Image(type="pil", label="Before"),
        gr.Radio(MODEL.directions, value=MODEL.directions[0], label="Direction"),
    ],
    gr.Image(label="After", format="png"),
    title=MODEL.folder.name,
    description=f"{type(MODEL.module).__name__}, {MODEL.step} steps, made with ganforge.",
    flagging_mode="never",
)

if __name__ == "__main__":
    demo.launch()
