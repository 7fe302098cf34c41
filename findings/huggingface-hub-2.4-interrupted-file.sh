#!/usr/bin/env bash
# A download that was killed begins at byte 0 when it is asked for again, and what was there stays behind unused.
#
# Expected: hf_hub_download and snapshot_download go on where they ended, as long as the file on the server is the same:
#   up to 0.x the part was kept as <etag>.incomplete and the next call asked for the rest with a Range header.
# Happens: the part has a name drawn anew in every call. A call that fails removes it; a process that is killed leaves it in
#   blobs/, where nothing reads it again or removes it. The next call asks for the whole file. Only attempts within one
#   call ask for the rest.
# Shown: a server of one file that sends 32 of 64 MB and waits; the client is killed, and asks again.
# Matters here: a file of the released weights has up to 8.6 GB. `dsvl2 fetch` keeps its part under the file's hash and
#   hands `http_get` the place to go on from.
# Source: huggingface_hub 2.4.0, file_download.py (_download_to_tmp_and_move); found while testing `dsvl2 fetch`.
set -euo pipefail
HUB=2.4.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "huggingface_hub==$HUB"
cat > "$folder/show.py" <<'PYTHON'
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

SIZE, COMMIT = 64_000_000, "1" * 40
ranges: list[str | None] = []


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def head(self, begin: int = 0) -> None:
        self.send_response(206 if begin else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", '"' + "a" * 64 + '"')
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(SIZE - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{SIZE - 1}/{SIZE}")
        self.end_headers()

    def do_HEAD(self) -> None:
        self.head()

    def do_GET(self) -> None:
        if "/resolve/" not in self.path:
            self.send_error(404)
            return
        asked = self.headers.get("Range")
        ranges.append(asked)
        begin = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        self.head(begin)
        if len(ranges) == 1:
            self.wfile.write(bytes(SIZE // 2))
            self.wfile.flush()
            time.sleep(30)
        else:
            self.wfile.write(bytes(SIZE - begin))

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
Thread(target=server.serve_forever, daemon=True).start()
cache = Path(sys.argv[1])
env = {**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HUB_DISABLE_XET": "1"}
env |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
code = f"from huggingface_hub import hf_hub_download as get; print(get('o/m', 'w.bin', revision={COMMIT!r}, cache_dir={str(cache)!r}))"


def parts() -> list[int]:
    return sorted(each.stat().st_size for each in cache.rglob("*") if each.is_file() and "incomplete" in each.name)


first = subprocess.Popen([sys.executable, "-c", code], env=env, start_new_session=True)
for _ in range(300):
    if parts() and parts()[0] >= SIZE // 4:
        break
    time.sleep(0.1)
time.sleep(1)
os.killpg(first.pid, signal.SIGKILL)
first.wait()
left = parts()
subprocess.run([sys.executable, "-c", code], env=env, check=True, stdout=subprocess.DEVNULL)
whole = [each.stat().st_size for each in cache.rglob("*") if each.is_file() and not each.is_symlink() and each.stat().st_size == SIZE]
import huggingface_hub

print(f"huggingface_hub {huggingface_hub.__version__}: left by the killed call {left} bytes; asked for next: {ranges[1:]}")
print(f"after the second call: whole file {whole}, parts that lie there {parts()}")
same = bool(left) and ranges[1:] == [None] and whole == [SIZE] and parts() == left
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
"$folder/venv/bin/python" "$folder/show.py" "$folder/cache"
