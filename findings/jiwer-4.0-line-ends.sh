#!/usr/bin/env bash
# To jiwer a line end between two words makes one word of them, an empty line does not: the same reading has a word error rate of 0.0 or 1.0.
#
# Expected: words are what stands between white space, as str.split() has it and wc counts. Where the lines of a page end changes no word.
# Happens: by default runs of two or more white characters become a blank, ends are stripped, and words are what stands between
#   blanks. A single line end, tab or no-break space is neither a run nor a blank, so "Total\n12.00" is one word, and each such
#   place costs two errors: a word replaced and one deleted. Two line ends, or a blank before the line end, cost nothing. The class that would mend
#   it, RemoveWhiteSpace, is no part of the default, and without replace_by_space it joins all words.
# Shown: a receipt's line read without a fault, with seven things between its words: jiwer's word error rate by default and with words by
#   str.split(), and how many words jiwer sees.
# Matters here: readings of pages and receipts have a line for each line of the picture, references often one for each paragraph. A reading
#   without a fault can be all wrong by this number, and a worse one that is laid out with empty lines right.
# Source: jiwer 4.0.0, transformations.py (wer_default), transforms.py (RemoveMultipleSpaces, ReduceToListOfListOfWords).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jiwer==4.0.0
cat > "$folder/show.py" <<'PYTHON'
import sys
from importlib.metadata import version

import jiwer

WORDS = ["Total", "12.00", "Euro", "Cash"]


class Split(jiwer.AbstractTransform):
    def process_string(self, text):
        return [text.split()]

    def process_list(self, texts):
        return [text.split() for text in texts]


reference = " ".join(WORDS)
print(f"jiwer {version('jiwer')}: words between blanks against the same words between")
same = True
for between, rate in ((" ", 0.0), ("  ", 0.0), ("\n\n", 0.0), (" \n", 0.0), ("\n", 1.0), ("\t", 1.0), ("\u00a0", 1.0)):
    reading = between.join(WORDS)
    by_default, seen = jiwer.wer(reference, reading), len(jiwer.process_words(reference, reading).hypotheses[0])
    by_split = jiwer.wer(reference, reading, reference_transform=Split(), hypothesis_transform=Split())
    print(f"    {between!r}: {by_default}, by str.split() {by_split}; words seen {seen}")
    same = same and by_default == rate and by_split == 0.0 and seen == (1 if rate else 4)
once = jiwer.wer(reference, "Total 12.00\nEuro Cash")
print(f"    one line end among blanks: {once}")
same = same and once == 0.5
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 60 "$folder/venv/bin/python" "$folder/show.py"
