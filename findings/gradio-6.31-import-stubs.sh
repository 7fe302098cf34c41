#!/usr/bin/env bash
# Importing gradio parses its own components again every time, for about half of the import.
#
# Expected: `import gradio` costs what its modules cost; type stubs are part of the wheel, or made when it is built.
# Happens: the metaclass of components (component_meta.py, create_or_modify_pyi) reads the source file of every component
#   class while gradio is imported, parses it with `ast`, looks for the class once more in the stub beside it, and
#   writes that stub where it differs or is not there. The stubs are the same after the first import; the work is done
#   at every import all the same, in every process.
# Shown: processor time of `import gradio` as it is, and with that one function doing nothing, three times in turns; the
#   lesser of each. At least a quarter of the import goes to the stubs.
# Matters here: the page, each worker of the tests and each command that shows the page pay for it; commands that need no
#   page do not import gradio.
# Source: gradio 6.31.0, gradio/component_meta.py; found by profiling the collection of our tests.
set -euo pipefail
GRADIO=6.31.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "gradio==$GRADIO"
cat > "$folder/show.py" <<'PYTHON'
import importlib.abc
import importlib.machinery
import sys
import time


class WithoutStubs(importlib.abc.MetaPathFinder):
    """Finds one module as usual, and replaces a function of it once it is there."""

    def find_spec(self, name, path, target=None):
        if name != "gradio.component_meta":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        load = spec.loader.exec_module

        def load_without_stubs(module):
            load(module)
            module.create_or_modify_pyi = lambda *arguments: None

        spec.loader.exec_module = load_without_stubs
        return spec


if sys.argv[1] == "without":
    sys.meta_path.insert(0, WithoutStubs())
started = time.process_time()
import gradio

assert gradio.__version__ == sys.argv[2]
print(f"{time.process_time() - started:.2f}")
PYTHON
run() { "$folder/venv/bin/python" "$folder/show.py" "$1" "$GRADIO"; }
run usual > "$folder/first"  # writes the stubs and the compiled modules
for _ in 1 2 3; do
    run usual >> "$folder/usual"
    run without >> "$folder/without"
done
usual=$(sort -n "$folder/usual" | head -1)
without=$(sort -n "$folder/without" | head -1)
echo "gradio $GRADIO: import takes $usual s of processor time, $without s without looking at stubs"
awk -v usual="$usual" -v without="$without" 'BEGIN { exit !(without < 0.75 * usual) }'
