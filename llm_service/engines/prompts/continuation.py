"""Continues the assistant's last turn: the prompt ends where its text does."""

from engines.errors import Unsupported

CONTINUED_HERE = "\u2063continued-here\u2063"
"""Ends the turn's text while the template is applied; the text that the template writes after it is the turn's end."""


def up_to_continuation(prompt: str) -> str:
    """Return a prompt up to the end of the last turn's text; raises ``Unsupported`` where the template changed it."""
    text, mark, end = prompt.rpartition(CONTINUED_HERE)
    if not mark or CONTINUED_HERE in text or len(end) > 200:
        raise Unsupported("the model's chat template cannot continue an answer", field="messages")
    return text
