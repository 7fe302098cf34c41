"""Everyday things: what they are called, where drawings of them come from, and the packs that hold these.

vocabulary  nouns.txt -> nouns with plural, other names, kind and purpose
packages    where drawings, models and photographs come from, with versions and licences
sources     packages -> cut-outs of things, and grounds
gather      `python -m dsvl2_app sprites`: packages -> two packs, one for training and one for evaluation
pack        a pack's file: cut-out pictures with what they show
"""
