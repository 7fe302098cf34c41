#!/usr/bin/env bash
# litellm sends a picture by itself to "deepseek/deepseek-vl2"; with a question beside it the question goes alone, and is answered.
#
# Expected: a provider's name says where a request goes and by which protocol; a picture that it is not to have is refused, as litellm's
#   refusals of parameters are (UnsupportedParamsError, unless drop_params is set).
# Happens: for some providers a message of parts is made one text before it is sent: the words of all text parts, set one behind the
#   other, and nothing of the rest. For "deepseek/" that is so unless litellm's own list of models says that this one takes pictures, which
#   names none of DeepSeek-VL2; for "docker_model_runner/" and "sambanova/", which serve models with vision, always. A message of
#   pictures alone has no words and passes as it is. So trying it with a picture works and asking about one does not; the answer is made up.
# Shown: a server of the protocol of a few lines; a picture alone and between two texts, sent by four providers, and by "deepseek/" once more
#   after litellm.register_model: what arrived.
# Matters here: "deepseek/" is the prefix that one takes for this model on one's own server, beside api_base. Take "openai/" or "hosted_vllm/".
# Source: https://github.com/BerriAI/litellm/pull/38397; litellm 1.110.2, llms/deepseek/chat/transformation.py,
#   litellm_core_utils/prompt_templates/common_utils.py (convert_content_list_to_str).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check litellm==1.110.2
cat > "$folder/show.py" <<'PYTHON'
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from threading import Thread

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm

litellm.suppress_debug_info = True
arrived = []


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        arrived.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][0]["content"])
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        choice = {"index": 0, "message": {"role": "assistant", "content": "A cup."}, "finish_reason": "stop"}
        self.wfile.write(json.dumps({"id": "1", "created": 1, "model": "m", "object": "chat.completion", "choices": [choice]}).encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
Thread(target=server.serve_forever, daemon=True).start()
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
WORDS = [{"type": "text", "text": text} for text in ("What changed from this", "to this?")]


def sent(model, content):
    message = {"role": "user", "content": content}
    litellm.completion(model=model, messages=[message], api_base=f"http://127.0.0.1:{server.server_port}/v1", api_key="none")
    got = arrived[-1]
    return got if isinstance(got, str) else [part["type"] for part in got]


def both(model):
    return sent(model, [PICTURE]), sent(model, [WORDS[0], PICTURE, WORDS[1], PICTURE])


print(f"litellm {version('litellm')}: what arrived of a picture alone; of two between two texts")
whole = ["image_url"], ["text", "image_url", "text", "image_url"]
words = ["image_url"], "What changed from thisto this?"
same = True
for provider in ("openai", "hosted_vllm", "deepseek", "docker_model_runner", "sambanova"):
    found = both(f"{provider}/deepseek-vl2")
    print(f"    {provider}/deepseek-vl2: {found[0]}; {found[1]}")
    same = same and found == (whole if provider in ("openai", "hosted_vllm") else words)
about = {"litellm_provider": "deepseek", "mode": "chat", "supports_vision": True}
litellm.register_model({"deepseek/deepseek-vl2": about})
found = both("deepseek/deepseek-vl2")
print(f"    deepseek/deepseek-vl2, registered as one with vision: {found[0]}; {found[1]}")
same = same and found == whole
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/show.py"
