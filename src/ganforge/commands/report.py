"""What a command says at its end: tables of scores, and where everything lies."""

LIPS = tuple(
    f"lips_{what}_{voice}_"
    for what in ("classes", "opening", "width", "shut")
    for voice in ("known", "new")
)
