"""Whatever the page takes from Gradio beyond its documented interface, and the bugs that it works around.

All of it was seen in Gradio 6.31, the one minor release that requirements.txt admits. Each entry says what it takes and
why. To move to another minor: change VERSION and the requirement, read this file, tools.py (for MCP clients) and
assets/quirks.js (in a browser) from top to bottom, and run the tests of tests/ui. assets/page.css names classes too.
"""

from __future__ import annotations

from asyncio import Event, sleep
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import gradio as gr
import gradio.utils
import httpx
from gradio.blocks import BlocksConfig
from gradio.context import LocalContext
from gradio.exceptions import InvalidPathError as InvalidPathError
from gradio.helpers import Examples as Examples
from gradio.i18n import I18nData
from gradio.processing_utils import encode_pil_to_bytes, hash_bytes, save_base64_to_cache, ssrf_protected_download
from gradio.route_utils import API_PREFIX, get_fn, get_root_url
from gradio.route_utils import FnIndexInferError as FnIndexInferError
from gradio.server_messages import HeartbeatMessage
from gradio.state_holder import SessionState, StateHolder
from gradio.utils import get_upload_folder
from gradio_client.utils import is_file_obj_with_meta
from PIL import Image

VERSION = "6.31"

Translated = I18nData
"""What a gr.I18n makes of a key. The class has no public name, and labels are declared to be one."""

CHINESE_READERS = ("zh-CN", "zh-TW")
"""The languages in which Gradio's own page is Chinese. For others, such as zh-HK or a bare zh, its buttons are English,
so the server's words are English for them too."""


# -- files ------------------------------------------------------------------------------------------------------


def upload_folder() -> Path:
    """Gradio's cache of uploads, GRADIO_TEMP_DIR or its default (gradio.utils.get_upload_folder). The page serves only
    files that lie in it, and no public function names it."""
    return Path(get_upload_folder()).resolve()


def own_files(demo: gr.Blocks) -> set[Path]:
    """The files of a page that nobody has asked yet: pictures of its examples (gradio.Blocks.temp_file_sets)."""
    return {Path(name).resolve() for files in demo.temp_file_sets for name in files}


def forget_files(demo: gr.Blocks) -> None:
    """Components write down every file that they show, for a deletion that is off, because ui/storage does it."""
    for files in demo.temp_file_sets:
        files.clear()


def is_upload(file: Any) -> bool:
    """Whether `file` is the dict of an uploaded file (gradio_client.utils.is_file_obj_with_meta, which fails
    where "meta" is no dict). Gradio has checked the path of such a dict, and of no other; handlers with
    preprocess=False get either."""
    return isinstance(file, dict) and isinstance(file.get("meta"), dict) and is_file_obj_with_meta(file)


def fetch_upload(address: str) -> str:
    """Path in the cache of what an http(s) or a data URL names (gradio.processing_utils). Gradio fetches what stands
    alone in a parameter, but nothing in a list. Its download refuses addresses within the server's own network."""
    folder = str(upload_folder())
    if address.startswith("data:"):
        return save_base64_to_cache(address, folder)
    return ssrf_protected_download(address, folder)


def encode_picture(image: Image.Image, format: str) -> bytes:
    """A picture as Gradio itself would write it, metadata included (gradio.processing_utils.encode_pil_to_bytes)."""
    return encode_pil_to_bytes(image, format)


def close_server(demo: gr.Blocks) -> None:
    """Close it within a second. Gradio's own way waits five for connections that pages hold open; what stops waiting
    for them is uvicorn's (`demo.server`, `force_exit`)."""
    server = getattr(demo, "server", None)
    if server is None:  # it was not launched
        return
    thread = Thread(target=demo.close, kwargs={"verbose": False}, daemon=True)
    thread.start()
    thread.join(0.4)
    server.force_exit = True
    thread.join(0.3)


def upload_path(data: bytes, name: str) -> Path:
    """Where an upload of these bytes under this name lies: in a folder named by a salted hash of them
    (gradio.processing_utils.hash_bytes), which nobody can guess."""
    return upload_folder() / hash_bytes(data) / name


def file_address(file: str | Path) -> str:
    """The address of a file in the cache, for the page whose event is served; outside of one, relative to the page.
    The route has no public name; gr.HTML and HTML in Markdown need it, because Gradio makes no addresses in them."""
    return f"{root_address()}gradio_api/file={quote(str(file), safe='/')}"


def root_address() -> str:
    """Where a visitor's browser finds the app, with a slash at the end (gradio.route_utils.get_root_url, with which
    Gradio makes the addresses of its own files); "" outside of an event.

    It is absolute, because in another site's page what is relative is that site's. A proxy may have told neither its
    scheme nor its port: these are then those of the page that asks, where that has the same host.
    """
    served = served_request()
    request = None if served is None else served.request
    if request is None:
        return ""
    route = API_PREFIX + request.url.path.rpartition(API_PREFIX)[2]
    root = httpx.URL(get_root_url(request, route, request.app.root_path))
    origin = httpx.URL(request.headers.get("origin", ""))
    if origin.host == root.host and root.port in (None, origin.port):
        root = root.copy_with(scheme=origin.scheme, port=origin.port)
    return f"{str(root).rstrip('/')}/"


MANIFEST = (b'href="/manifest.json"', b'href= "manifest.json"')
"""What Gradio's page asks for at the root of the server; and the same, as long, below the page's own path."""

COMPONENT = Path(gr.__file__).parent / "templates" / "frontend" / "gradio.js"
"""The script that defines <gradio-app>. Gradio serves what it imports, below assets/, but not the script itself."""


# -- sessions ---------------------------------------------------------------------------------------------------


def has_session(request: gr.Request) -> bool:
    """Whether who asks can come back: a call without a session is given its own event's id as one (gradio.queueing)."""
    return bool(request.session_hash) and request.session_hash != LocalContext.event_id.get(None)


def spare_work(demo: gr.Blocks) -> None:
    """Have Gradio keep of each session and do for each event what this page needs, and no more. `demo` was launched.

    It describes the whole page anew for every session (gradio.state_holder.SessionState.config_values), which of this
    page takes 34 ms, in which its event loop serves nobody, and 0.26 MB; what was typed is kept there too. Only links
    to a state of the page are made of that, and it has none. Calls without a session are one each, and would push out
    the conversations of visitors. After every event it sums up the last 10,000 with pandas, for a monitor that is off.
    And before the first it imports matplotlib, where that is installed, in case a handler draws: seconds in the event
    loop, in which even /healthz has no answer.
    """
    demo.default_config.__class__ = _Config
    demo.app.state_holder = _Sessions()
    demo.app.state_holder.set_blocks(demo)
    demo._queue.ANALYTICS_MAX_EVENTS = 0
    gradio.utils.MatplotlibBackendMananger = nullcontext


class _Config(BlocksConfig):
    """The page's components and events, whose copies, one for each session, describe none of them."""

    def __copy__(self) -> BlocksConfig:
        copy = super().__copy__()
        copy.config_for_block = lambda *_, **__: {}
        return copy


class _Sessions(StateHolder):
    def __getitem__(self, session_id: str) -> SessionState:
        if session_id in self.blocks._queue.event_ids_to_events:
            return SessionState(self.blocks)
        return super().__getitem__(session_id)


# ui/payloads.Page overrides two methods of gr.Blocks that have no documentation: process_api, through which every event
# goes, whichever way it came, and preprocess_data, where its values are first looked at. ui/login puts logins where
# Gradio keeps them.

# -- events -----------------------------------------------------------------------------------------------------


def served_request() -> gr.Request | None:
    """The request that is being served (gradio.context.LocalContext), where Gradio's own gr.Info finds it. A handler
    gets it as a parameter; the words that it calls for are written far below it."""
    return LocalContext.request.get(None)


def begin_serving(request: gr.Request | None) -> None:
    """What goes wrong before a handler is called is said in the visitor's language, too; Gradio sets the request just
    before the call."""
    LocalContext.request.set(request)


def read_event_data(event: gr.EventData) -> Any:
    """What the browser told of an event: a dict, unless somebody else than the page wrote it. gr.EventData takes it for
    one."""
    return event._data


def takes_events(demo: gr.Blocks) -> bool:
    """Whether the task lives that begins what waits in the queue (gradio.queueing.Queue.start_processing). Whatever
    ends it, nothing starts it again, and events wait for ever."""
    return not demo._queue.stopped


def count_waiting(demo: gr.Blocks, address: str) -> int:
    """How many events of that network address wait in the queue, which has a limit for all together
    (gradio.queueing.Queue)."""
    queues = [*demo._queue.event_queue_per_concurrency_id.values()]
    waiting = [event.request.client for queue in queues for event in [*queue.queue] if event.request]
    return sum(client is not None and client.host == address for client in waiting)


def is_about_unknown_event(error: BaseException) -> bool:
    """Whether it was raised where Gradio looks an event up by its number or name (gradio.route_utils.get_fn), which it
    does not expect to fail."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code is get_fn.__code__


async def visitor_leaves() -> None:
    """Returns once nobody listens to the event that is being answered (gradio.queueing.Queue); never for a call that is
    no event.

    Gradio looks whether a connection is closed when it has a message for it, or every ten seconds, and stops a handler
    at its next result. This gives it a message twice a second, and needs no result.
    """
    blocks, event_id, request = LocalContext.blocks.get(None), LocalContext.event_id.get(None), served_request()
    if blocks is None or event_id is None or request is None:
        await Event().wait()
        return
    queue = blocks._queue
    while any(job._id == event_id and job.alive for jobs in queue.active_jobs for job in jobs or ()):
        messages = queue.pending_messages_per_session.get(request.session_hash or "")
        if messages is not None:
            await messages.put(HeartbeatMessage())
        await sleep(0.4)


def last_update(*updates: Mapping[Any, Any]) -> dict[Any, Any]:
    """The last result of a streaming handler: all that must stay on the page, the later updates over the earlier.

    Of two results of one event that come at once, Gradio's page can lose what only the first one sets. So the last one
    sets everything again, whether or not an earlier one did. What one event sets before another begins is not lost.
    """
    return {part: value for update in updates for part, value in update.items()}


def gallery_changes(gallery: gr.Gallery, examples: Examples | None) -> list[Callable[..., Any]]:
    """The events after which `gallery` may hold other pictures. Its `change` misses the first example chosen."""
    return [gallery.change, *([examples.load_input_event.success] if examples else [])]


def download_script(elem_id: str) -> str:
    """JavaScript that downloads the file which an event has just given to a hidden gr.DownloadButton. No event of
    Gradio downloads by itself, and the button has its file a moment after `success`, for which there is no event."""
    return f"() => setTimeout(() => document.querySelector('#{elem_id}').click(), 300)"


# -- schemas for MCP clients ------------------------------------------------------------------------------------


def spell_out_schemas(demo: gr.Blocks) -> None:
    """Spell out the types of the named endpoints' parameters, so that MCP clients accept them.

    Gradio hands MCP clients schemas that refer to definitions which are not where they look for them, and of gr.JSON a
    type that is no type; they refuse to call such a tool. Takes `demo.fns` and replaces `component.api_info`.
    """
    for event in demo.fns.values():
        if event.api_visibility == "public":
            for component in event.inputs:
                _spell_out(component)


def _spell_out(component: Any) -> None:
    schema = component.api_info()
    plain = _resolve(schema, schema.get("$defs", {}))
    component.api_info = lambda: plain
    if "$defs" in schema:  # lists of files: from MCP clients they are addresses, which uploads.uploaded_path checks
        component.data_model = None


def _resolve(node: Any, definitions: dict[str, Any]) -> Any:
    """Definitions in place of references to them."""
    if isinstance(node, list):
        return [_resolve(each, definitions) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _resolve(definitions[node["$ref"].rpartition("/")[2]], definitions)
    return {
        key: _resolve(value, definitions)
        for key, value in node.items()
        if key != "$defs" and (key, value) != ("type", {})
    }
