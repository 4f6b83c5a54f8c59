"""Faces, or whatever the bundle beside this file draws, from seeds: python app.py."""

from pathlib import Path

import gradio as gr
from PIL.Image import Image

import ganforge as gf
from ganforge.utils.images import to_pil

MODEL = gf.load(Path(__file__).parent)


def draw(seed: float, count: float, truncation: float, label: str | None) -> list[Image]:
    """One picture a seed, from ``seed`` on."""
    images = MODEL.sample(int(count), int(seed), truncation if truncation < 2 else None, label)
    return [to_pil(image) for image in images]


demo = gr.Interface(
    draw,
    [
        gr.Number(0, label="Seed", precision=0, minimum=0),
        gr.Slider(1, 64, 16, step=1, label="Pictures"),
        gr.Slider(0.1, 2, 2, step=0.1, label="Truncation (2: none)"),
        gr.Dropdown(MODEL.classes or [], label="Class", visible=bool(MODEL.classes)),
    ],
    gr.Gallery(label="A seed names its picture", columns=8, format="png"),
    title=MODEL.folder.name,
    description=f"{type(MODEL.module).__name__}, {MODEL.step} steps, made with ganforge.",
    flagging_mode="never",
)

if __name__ == "__main__":
    demo.launch()
