"""Cuts tests/data/chain_golden.json from the full table of exact chain gradients.

The table (1,460 rows) was computed with mpmath 1.4.1 at 420 digits by its authors and is given to this project
beside the repository; the subset is committed so that the core stays tested where the table is absent. Numbers
are facts; the file is under the repository's licence.
Run from crates/gradprobe: python3 tests/generators/chain_subset.py ../../../shared/golden/chain.json
"""
import json
import sys

full = json.load(open(sys.argv[1]))
seen = {}
rows = []
for row in full["rows"]:
    key = (row["activation"], row["depth"], row["x"], row["w"])
    deep = row["depth"] > 4
    if (deep and row["layer"] not in (0, 1, 25)) or (deep and (row["w"] != 2.0 or row["x"] not in (1.0, -100.0))):
        continue
    if not deep and (row["w"] not in (1.0, 0.5) or row["x"] not in (100.0, -1.0)):
        continue
    rows.append({k: row[k] for k in ("activation", "depth", "x", "w", "layer", "sign", "log10_abs", "value", "at_kink")})
each = [r for r in full["rows_with_a_weight_per_layer"] if r["x"] == full["rows_with_a_weight_per_layer"][0]["x"]]
meta = {k: full["meta"][k] for k in ("description", "generator", "constants", "kinks")}
meta["subset"] = "tests/generators/chain_subset.py"
with open("tests/data/chain_golden.json", "w") as f:
    f.write('{"meta": ' + json.dumps(meta, ensure_ascii=False) + ',\n"rows": [\n')
    f.write(",\n".join(map(json.dumps, rows)))
    f.write('\n],\n"rows_with_a_weight_per_layer": [\n')
    f.write(",\n".join(map(json.dumps, each)))
    f.write("\n]}\n")
print(len(rows), len(each))
