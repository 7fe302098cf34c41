"""`import dsvl2_app` is cheap, and still transformers' Auto classes know the model, whichever is imported first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dsvl2_app
from dsvl2_app.registration import AUTO_MODELS

CHECKPOINT = Path(__file__).parent / "reference" / "tiny" / "checkpoint"
HEAVY = {"torch", "transformers", "gradio", "numpy"}
USE = f"""
import transformers
from transformers import AutoConfig, AutoProcessor
import dsvl2_app
folder = {str(CHECKPOINT)!r}
assert type(AutoConfig.from_pretrained(folder)) is dsvl2_app.DeepseekVL2Config
assert isinstance(AutoProcessor.from_pretrained(folder), dsvl2_app.DeepseekVL2Processor)
for name in {AUTO_MODELS}:
    if hasattr(transformers, name):
        model = getattr(transformers, name).from_pretrained(folder)
        assert type(model) is dsvl2_app.DeepseekVL2ForConditionalGeneration
"""


ORDERS = [
    "import transformers",
    "import dsvl2_app, importlib.util; importlib.util.find_spec('transformers')",  # looked for, not imported
    # each of these is half imported itself when it imports transformers
    "import dsvl2_app.model.configuration",
    "import dsvl2_app.text.processor",
    "import dsvl2_app.text.image_processor",
    "import dsvl2_app.text.tokens",
]
# A process for each order, forked from one that has torch, whose import would take most of the time.
FORK = """
import os, sys, torch, accelerate
assert 'transformers' not in sys.modules
for first in {orders}:
    child = os.fork()
    if not child:
        exec(first + {use!r})
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, first
"""


def run(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], check=True, timeout=200)


@pytest.mark.slow
def test_importing_the_package_imports_no_library_and_a_public_name_does() -> None:
    run(f"import sys, dsvl2_app; assert not {HEAVY} & set(sys.modules)")
    assert dsvl2_app.__all__ == [name for name in dir(dsvl2_app) if name in dsvl2_app.__all__]
    assert all(getattr(dsvl2_app, name) for name in dsvl2_app.__all__)
    with pytest.raises(AttributeError, match="no attribute 'DeepseekVL3'"):
        _ = dsvl2_app.DeepseekVL3


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_auto_classes_load_the_model_whatever_is_imported_first() -> None:
    run(FORK.format(orders=ORDERS, use=USE))
