"""What a message looks like to a door, rendered once at ingest and kept as bytes."""

from protocols.render.bodystructure import render_body, render_bodystructure
from protocols.render.envelope import render_envelope

__all__ = ["render_body", "render_bodystructure", "render_envelope"]
