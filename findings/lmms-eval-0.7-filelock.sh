#!/usr/bin/env bash
# A fresh lmms-eval scores nothing beside today's filelock, and says with its exit status that all went well.
#
# Expected: `pip install lmms-eval` gives an environment that evaluates; a run that fails has a status other than zero.
# Happens: the evaluator imports filelock's private module _api, which the releases that pip now takes no longer have; the
#   requirement has no upper bound. It does so after the model was loaded. The command line catches the error, prints a
#   traceback, writes no results and exits with 0.
# Shown: the function that does the import, beside the filelock that pip took; then beside filelock 3.20.0.
# Matters here: our model is found by its entry point and loads, and yet there are no scores. Our documentation names the
#   filelock that works, and the test with the real package looks for the file of results, not at the status.
# Source: lmms-eval 0.7.3, lmms_eval/evaluator.py (_enable_reentrant_filelocks), lmms_eval/__main__.py (cli_evaluate).
set -euo pipefail
LMMS=0.7.3 FILELOCK=4.3.1 OLDER=3.20.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/pip" --disable-pip-version-check)
"${pip[@]}" install --quiet "lmms-eval==$LMMS" "filelock==$FILELOCK"
"${pip[@]}" uninstall --quiet --yes torchvision # not needed for this, and its build need not fit PyTorch's
attempt() {
    "$folder/venv/bin/python" -c 'from lmms_eval.evaluator import _enable_reentrant_filelocks as enable
enable()' > "$folder/log" 2>&1 && echo works || grep -oE '(ModuleNotFound|Import)Error: .*' "$folder/log" | tail -1
}
newest=$(attempt)
"${pip[@]}" install --quiet "filelock==$OLDER"
older=$(attempt)
echo "lmms-eval $LMMS beside filelock $FILELOCK: $newest"
echo "lmms-eval $LMMS beside filelock $OLDER: $older"
if [[ "$newest" == *filelock._api* && "$older" == works ]]; then echo "as described"; else
    echo "NOT as described any more"
    exit 1
fi
