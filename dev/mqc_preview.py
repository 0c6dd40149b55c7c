"""Writes virpack_mqc.json of a run, as the program will: python dev/mqc_preview.py OUT_mqc.json RUN_DIRECTORY"""

import json
import re
import sys
from pathlib import Path

from report_preview import CALLS, UNCERTAIN, VIRAL, read_run, summary

COLOURS = {"viral": "#c4491a", "uncertain": "#dfa21b", "cellular": "#2d6ca6", "unjudged": "#b3b7bc"}


def content(directory):
    run, records = read_run(directory)
    parts, _ = summary(records)
    sample = Path(run["inputs"][0]["path"]).name.removesuffix(".gz").rpartition(".")[0] if len(run["inputs"]) == 1 else Path(run["output"]).name
    sample = re.sub(r"[^\w.+-]", "_", sample, flags=re.ASCII)
    return {
        "id": "virpack_calls",
        "section_name": "virpack",
        "section_href": "https://github.com/virpack/virpack",
        "description": f"Records by what virpack calls them: viral from a virus_score of {VIRAL}, uncertain from {UNCERTAIN}.",
        "plot_type": "bargraph",
        "pconfig": {"id": "virpack_calls_plot", "title": "virpack: calls", "ylab": "Records", "cpswitch_counts_label": "Records"},
        "categories": {call: {"name": "not judged" if call == "unjudged" else call, "color": COLOURS[call]} for call in CALLS},
        "data": {sample: {part["call"]: part["records"]["count"] for part in parts}},
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(content(sys.argv[2]), indent=2) + "\n")
