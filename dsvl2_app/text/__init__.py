"""Token ids <-> strings: conversation -> prompt ids (`prompt`), logits -> id (`sampling`), ids -> text
(`stream`), text -> boxes (`boxes`)."""
