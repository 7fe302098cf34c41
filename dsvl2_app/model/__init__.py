"""Tensors in, tensors out. Any module of this folder brings all of it, so that its classes are registered whole."""

from dsvl2_app.model import modeling as modeling
