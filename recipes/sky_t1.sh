#!/usr/bin/env bash
# The training set behind Sky-T1-32B-Preview, made anew: about 5k code problems (APPS, TACO) and 10k maths
# problems (NuminaMath amc_aime, math, olympiads of some difficulty), one reasoning sample each, in thought and
# solution, the wrong ones rejected, and another project's science and puzzle rows mixed in.
#
#   bash recipes/sky_t1.sh sky-t1 keys.txt still2.jsonl
#
# Wants GPUs for the model (TP of them) and API keys for what no rule can format. Every step resumes where it was
# stopped. Environment: PYTHON, MODEL, TP, RESULTS.
set -euo pipefail

out=${1:?folder for the training set}
keys=${2:?file of API keys, one per line}
extra=${3:-} # JSON lines with question and combined_text, such as the STILL-2 release
python=${PYTHON:-python}
model=${MODEL:-Qwen/QwQ-32B-Preview}
tp=${TP:-8}
results=${RESULTS:-$out/results}
cd "$(dirname "$0")/.."

# 1. Difficulty of the maths problems. Leave this step out to use the labels that are on the hub.
"$python" label_math_difficulty.py --source amc_aime --keys "$keys"
"$python" label_math_difficulty.py --source math --keys "$keys"
"$python" label_math_difficulty.py --source olympiads --end 20000 --keys "$keys"

# 2. One sample per problem, graded while the model works. APPS and TACO: their test splits, and the medium problems of
#    TACO's training split, so do not report results on APPS or TACO after training. The maths problems are chosen by
#    difficulty.
for_each_part() {
    local run=("$python" inference_and_check.py --model "$model" --tp "$tp" --max-tokens 16384 --temperatures 0.7
        --result-dir "$results" "$@")
    "${run[@]}" --dataset APPS --split test
    "${run[@]}" --dataset TACO --split train --source MEDIUM
    "${run[@]}" --dataset TACO --split test
    "${run[@]}" --dataset NUMINA --source amc_aime --filter-difficulty \
        --math-difficulty-lower-bound 1 --math-difficulty-upper-bound 9
    "${run[@]}" --dataset NUMINA --source math --filter-difficulty \
        --math-difficulty-lower-bound 4 --math-difficulty-upper-bound 9
    "${run[@]}" --dataset NUMINA --source olympiads --end 20000 --filter-difficulty \
        --math-difficulty-lower-bound 9 --math-difficulty-upper-bound 9
}
for_each_part

# 3. Thought and solution: rules first, the model for the rest of those that were judged correct. The dry run tells the
#    price; --max-cost DOLLARS on the second command limits it.
"$python" convert_format.py --input_dir "$results" --keys "$keys" --dry-run
"$python" convert_format.py --input_dir "$results" --keys "$keys"

# 4. A verdict belongs to the text it judged: grade the formatted ones.
for_each_part --check

# 5. The training file, with its card beside it. All other benchmarks of the suite are kept out, so they must be at
#    hand: GPQA asks for access on its page.
"$python" convert_to_data.py --input_dir "$results" --output "$out/sky_t1.json" --format llamafactory --thought markers \
    --seed 1 ${extra:+--extra "$extra"}
