"""From the phase images of a scanner to velocity: what the stage `fields.prepare` is made of.

`_scale` (stored values to phase), `_directions` (encoded components to world axes), `_signal` (where there is signal),
`_unwrap` (whole turns), `_static` (tissue at rest), `_background` (the offset fitted there), `_output` (what is told).
"""
