# bench end to end: the files of a run, what fails while the others go on, arms that take turns, and what a run that was
# ended leaves. Rows are read by Python's csv module.

setup() {
    load helpers
    of_program
    export KVBENCH_ISA=portable
}

teardown() {
    stop_child
}

bench() {
    "$program" bench --model "$tiny" "$@"
}

# rows FOLDER: the Python on stdin holds about `rows`, dictionaries of FOLDER/runs.csv, and `tokens`, `kernels`, `context`.
# What the machine stalled is left out: it was measured once more.
rows() {
    python3 -E -c "
import csv, datetime, json, math, os, re, sys
def read(name):
    with open(name, newline='', encoding='utf-8') as file:
        text = file.read()
    assert text.endswith('\n'), name
    result = list(csv.DictReader(text.splitlines(), strict=True))
    assert all(None not in row and None not in row.values() for row in result), name
    for row in result:
        assert not set(row.values()) & {'nan', '-nan', 'NaN', 'inf', '-inf', 'null'}, row
    return result
def near(value, expected):
    assert math.isclose(float(value), expected, rel_tol=1e-6), (value, expected)
def in_rounds(rows, n, point):
    \"\"\"Every cell once a round, the cells of a point side by side.\"\"\"
    ok = [r for r in rows if r['status'] == 'ok']
    size = len({r['cell'] for r in ok})
    assert len(ok) == n * size, (len(ok), n, size)
    for i, r in enumerate(ok):
        assert (r['repetition'], r['round'], r['place']) == (str(i // size + 1),) * 2 + (str(i % size + 1),), r
        points = [point(q) for q in ok[i - i % size:i + 1]]
        assert point(r) not in points[:-1] or points[-2] == point(r), points
    for k in range(n):
        assert len({r['cell'] for r in ok[k * size:(k + 1) * size]}) == size
os.chdir(sys.argv[1])
rows, tokens = [r for r in read('runs.csv') if r['status'] != 'stalled'], read('tokens.csv')
kernels = read('kernels.csv') if os.path.exists('kernels.csv') else []
with open('context.json', encoding='utf-8') as file:
    context = json.load(file)
figures = ['cold_ttft_ms', 'ttft_ms', 'ttpt_ms', 'e2e_ms', 'prefill_tok_s', 'decode_tok_s', 'output_tok_s',
           'kv_live_bytes']
$(cat)" "$1"
}

# ---- A run, looked at from all sides

@test "a run's rows say what was measured, and how" {
    ends 0 bench --suite batch --batch 1,4 --new 8 --reps 2 --threads 2 --gemm reference --out run --verbose
    has "$out" naive cached
    counts 1 runs.csv "$out"
    [[ $(grep -vc 'warning: ' <<<"$err") -ge 8 ]]
    rows run <<'PY'
about = context['run']
in_rounds(rows, 2, lambda r: r['batch'])
assert len({r['run_id'] for r in rows}) == 1 and rows[0]['run_id']
for r in rows:
    keeps, batch = r['path'] == 'cached', int(r['batch'])
    assert (r['suite'], r['weights'], r['weights_source'], r['gemm'], r['isa']) == (
        'batch', 'f32', 'F32', 'reference', 'portable')
    assert (r['cache'], r['kv']) == (('contiguous', 'f32') if keeps else ('', ''))
    assert (r['threads'], r['prompt_tokens'], r['new_tokens'], r['status'], r['error']) == ('2', '21', '8', 'ok', '')
    assert r['model'].endswith('tiny-f32') and r['gate'] == 'exact' and float(r['logit_difference']) < 1e-4
    ttft, ttpt, e2e = (float(r[k]) for k in ('ttft_ms', 'ttpt_ms', 'e2e_ms'))
    assert ttft > 0 and ttpt > 0 and float(r['cold_ttft_ms']) > 0
    near(e2e, ttft + 7 * ttpt)
    near(r['prefill_tok_s'], batch * 21 / (ttft * 1e-3))
    near(r['decode_tok_s'], batch / (ttpt * 1e-3))
    near(r['output_tok_s'], batch * 8 / (e2e * 1e-3))
    assert 0 < float(r['ttpt_p50_ms']) <= float(r['ttpt_p95_ms']) and r['ttpt_p99_ms'] == '' # seven steps are too few
    # 2 L C T B 4 bytes with L 2, C 32 and T = 21 + 8 - 1: the last token is selected but not run
    live = 2 * 2 * 32 * 28 * batch * 4 if keeps else 0
    assert int(r['kv_live_bytes']) == live
    assert int(r['kv_reserved_bytes']) >= live and (keeps or r['kv_reserved_bytes'] == '0')
    assert int(r['rss_peak_bytes']) > 100000
    share = 100 * float(r['limit_ms']) / ttpt
    assert (r['limit_pct'] == '') == (share > 100) == r['limit_fault'].startswith('faster than its probes'), r
    assert share > 100 or math.isclose(float(r['limit_pct']), share, rel_tol=1e-6)
    assert int(r['probes']) > 0 and float(r['probe_read_bytes_per_s']) > 0 and float(r['probe_fma_flop_per_s']) > 0
    work = [(float(t['bytes']) / float(r['probe_read_bytes_per_s']), float(t['flops']) / float(r['probe_fma_flop_per_s']),
             float(t['limit_ns']) * 1e-9) for t in tokens if (t['cell'], t['repetition']) == (r['cell'], r['repetition'])]
    assert all(math.isclose(max(read, compute), limit, rel_tol=1e-6) for read, compute, limit in work)
    assert float(r['switches']) >= 0 and float(r['page_faults']) >= 0
    assert abs(float(r['started_s']) - datetime.datetime.fromisoformat(about['start']).timestamp()) < 60
    own = [t for t in tokens if (t['cell'], t['repetition']) == (r['cell'], r['repetition'])]
    assert [t['token'] for t in own] == [str(i) for i in range(1, 9)]
    assert [t['context_tokens'] for t in own] == [str(i) for i in range(21, 29)]
    near(sum(float(t['latency_ns']) for t in own) * 1e-6, e2e)
    assert own[0]['flops'] == r['prefill_flops'] and own[0]['bytes'] == r['prefill_bytes']
    near(sum(float(t['flops']) for t in own[1:]) / 7, float(r['flops']))
    near(sum(float(t['bytes']) for t in own[1:]) / 7, float(r['bytes']))
    near(sum(float(t['limit_ns']) for t in own[1:]) / 7 * 1e-6, float(r['limit_ms']))
assert about['command'][about['command'].index('--batch') + 1] == '1,4'
assert about['start'] <= about['end'] and about['threads'] == 2
assert (about['weights'], about['gemm'], about['isa']) == ('F32', 'reference', 'portable')
PY
    # The folder is left alone from now on
    cp -r run before
    refuses 2 'run holds a run already' "$program" bench --model "$tiny" --suite batch --batch 1 --new 2 --out run
    diff -r run before
}

@test "every combination of the axes is an arm, and arms take turns" {
    ends 0 bench --suite batch --batch 2 --new 3 --reps 2 --path naive,cached --gemm packed,openblas --threads 1,2 \
        --chunk 8,16 --isa portable --out run
    rows run <<'PY'
arms = [(p, g, t, c) for p in ('naive', 'cached') for g in ('packed', 'openblas') for t in '12' for c in ('8', '16')]
in_rounds(rows, 2, lambda r: '')
found = [(r['path'], r['gemm'], r['threads'], r['chunk']) for r in rows if r['status'] == 'ok']
assert sorted(found[:16]) == sorted(found[16:]) == sorted(arms) and found[:16] != found[16:]
assert len({r['cell'] for r in rows}) == 16 and {r['status'] for r in rows} == {'ok'}
assert context['run']['gemm'] == 'packed,openblas' and context['run']['threads'] == 2
PY
    ends 0 bench --suite batch --batch 2 --threads 1,2 --gemm packed,openblas --benchmark_list_tests
    counts 8 '' "$out"
    counts 1 'batch/cached/batch:2/prompt:21/new:44/gemm:openblas/threads:2/' "$out"
}

@test "kernels are measured, listed and filtered as all else" {
    ends 0 bench --suite kernels --quick --gemm packed,openblas --reps 2 --threads 1 --out run \
        --benchmark_filter=c_attn.*rows:8/
    has "$err" '; kernels: matmul c_attn, packed, 8 rows 1/2: ' '; kernels: matmul c_attn, openblas, 8 rows 2/2: '
    rows run <<'PY'
in_rounds(kernels, 2, lambda k: k['rows'])
assert not rows and {(k['gemm'], k['rows']) for k in kernels} == {('packed', '8'), ('openblas', '8')}
PY
    ends 0 bench --suite kernels --quick --gemm packed --benchmark_list_tests --benchmark_filter=attention
    counts 2 '' "$out"
    counts 1 'kernels/attention/prefill/portable/context:64/' "$out"
}

@test "the tables are Markdown, CSV or JSON lines, too, with nothing else on stdout" {
    ends 0 bench --suite batch --batch 1 --new 3 --reps 2 --out run --format csv
    python3 -E -c "
import csv, sys
rows = list(csv.DictReader(sys.argv[1].splitlines(), strict=True))
assert {r['path'] for r in rows} == {'naive', 'cached'} and float(rows[0]['ttft_ms_median']) > 0" "$out"
    ends 0 bench --resume run --quiet --format json
    python3 -E -c "
import json, sys
rows = [json.loads(line) for line in sys.argv[1].splitlines()]
assert {r['path'] for r in rows} == {'naive', 'cached'} and rows[0]['batch'] == 1" "$out"
    ends 0 bench --resume run --quiet --format markdown
    has "$out" '| --' '| cached '
    ls run/datapackage.json
}

# ---- What cannot be run

@test "what is longer than the window is a row that says so, of a run that failed" {
    ends 1 bench --suite batch --batch 1,4 --new 60 --reps 2
    counts 1 '4 of 4 cells failed' "$err"
    rows results/latest <<'PY'
assert {(r['batch'], r['path']) for r in rows} == {(b, p) for b in '14' for p in ('naive', 'cached')} and len(rows) == 4
for r in rows:
    assert r['status'] == 'failed' and r['repetition'] == '' and not any(r[f] for f in figures)
    assert 'take 80 positions, the model has 64' in r['error']
PY
}

@test "the sweep goes on after what does not fit" {
    ends 1 bench --suite batch --batch 2000000000,1 --new 4 --reps 1 --time 0 --out run
    rows run <<'PY'
assert [r['status'] for r in rows] == ['failed', 'failed', 'ok', 'ok']
assert [r['path'] for r in rows[:2]] == ['cached', 'naive'] # the smallest first
assert all('memory' in r['error'] and not r['ttft_ms'] for r in rows[:2])
PY
}

@test "budgets skip and least times repeat" {
    ends 0 bench --suite batch --batch 1 --new 4 --reps 2 --cell-budget 0.0000001s --out skipped
    rows skipped <<'PY'
assert [r['status'] for r in rows] == 2 * ['skipped'] and 'the budget of a cell is' in rows[0]['error']
PY
    ends 0 bench --suite batch --batch 1 --new 4 --reps 1 --min-time 0.1 --path cached --out long --quiet
    rows long <<'PY'
times = [float(r['e2e_ms']) for r in rows if r['status'] == 'ok']
assert len(times) > 10 and sum(times[:-1]) < 100 <= sum(times)
PY
}

# ---- Time and precision

@test "what does not fit into the time is left out, and the largest first" {
    ends 0 bench --suite batch --batch 2000000000,1 --new 4 --reps 6 --time 30s --out run
    counts 1 'were not enough: the 2 largest of 4 cells were left out; give it more --time' "$err"
    rows run <<'PY'
for r in rows[:2]:
    assert (r['status'], r['batch']) == ('skipped', '2000000000')
    assert re.fullmatch('left out: its 6 rounds would take [0-9:]+, and --time has (less|nothing) left; give it more', r['error'])
in_rounds(rows[2:], 6, lambda r: r['batch'])
PY
}

@test "what shows both paths by batch is opened first and left out last, the parts of a step the other way round" {
    ends 0 bench --suite depth,parts,grid --batch 1 --time 1s --out run
    rows run <<'PY'
assert {r['status'] for r in rows} == {'skipped'}
suites = [r['suite'] for r in rows]
assert suites == sorted(suites, key=('grid', 'depth', 'parts').index) and len(set(suites)) == 3, suites
PY
    lacks "$err" 'not drawn'
}

@test "a run ends in its time, whole" {
    local seconds=8 # with sanitizers the limits alone take as long where the caches are large
    ! "$program" info | grep -q sanitizers || seconds=30
    ends 0 bench --suite batch --batch 1,2 --new 8 --reps 9999 --precision 0.000001 --time ${seconds}s --out run
    has "$err" '--time'
    has "$out" 'Files: run'
    rows run <<PY
assert rows and {r['status'] for r in rows} == {'ok'} and context['run']['end']
start = datetime.datetime.fromisoformat(context['run']['start']).timestamp()
assert float(rows[-1]['started_s']) - start < $seconds
PY
}

@test "precision adds rounds, at counts that grow by a factor" {
    ends 0 bench --suite batch --batch 1 --new 4 --reps 1 --precision 10000% --out wide --quiet
    rows wide <<<"in_rounds(rows, 6, lambda r: '')"
    ends 0 bench --suite batch --batch 1,2 --new 4 --reps 6 --precision 20% --time 15s --out narrow --quiet
    rows narrow <<PY
counts = [sum(r['status'] == 'ok' and r['batch'] == b for r in rows if r['path'] == p) for b in '12' for p in ('naive', 'cached')]
over = 'wider than the precision' in """$err""" # the machine was too restless for it
assert over or set(counts) <= {6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048}, counts
PY
}

@test "a folder that cannot be made" {
    echo 'a file' >file
    tells 1 file/run bench --suite batch --batch 1 --new 2 --out file/run
    tells 2 --out bench --suite batch --batch 1 --new 2 --out ''
    holds 1
}

# ---- Google Benchmark's flags

# A pass over a text that never read the cache would find no difference between types; and bytes are the session's.
@test "what fewer bits cost, and gain: quality.csv, the table, a sentence" {
    unset KVBENCH_ISA
    ends 0 "$program" bench --model kjv --suite precision --quick --time 0 --reps 1 --batch 1,2 --weights f32,int8 --kv f32,int8,int4 \
        --out run --verbose
    has "$out" 'Suite precision' 'Suite quality' 'speed, × f32' 'divergence'
    rows run <<'PYTHON'
quality = {(r['weights'], r['kv'], r['context_tokens']): r for r in read('quality.csv')}
assert len(quality) == 2 * 3, len(quality)
for context in ('64',):
    f32, int8, int4 = [quality['f32', kv, context] for kv in ('f32', 'int8', 'int4')]
    assert float(f32['divergence']) == 0 and float(f32['top_agreement_pct']) == 100
    assert 0 < float(int8['divergence_low']) <= float(int8['divergence']) <= float(int8['divergence_high'])
    assert float(int4['divergence']) > 5 * float(int8['divergence'])
    assert float(quality['int8', 'f32', context]['divergence']) > 0
    assert {r['scored_tokens'] for r in quality.values()} == {'2000'} and f32['model'] == 'kjv'
    assert [float(r['kv_token_bytes']) for r in (f32, int8, int4)] == [5120, 1360, 762.5]
    assert int(f32['kv_reserved_bytes']) > int(int8['kv_reserved_bytes'])
ok = [r for r in rows if r['status'] == 'ok']
for r in ok:
    assert bool(r['ttft_ms']) == (r['batch'] == '1') and float(r['ttpt_ms']) > 0, r
assert len(ok) == 6 * 2
PYTHON
    rm run/summary.csv
    sed -i '$d' run/quality.csv
    ends 0 "$program" bench --resume run
    [ "$(wc -l <run/quality.csv)" = 7 ]
}

# The bound of the gate is the wider one of the two types.
@test "what fits of a load of mixed lengths is what the blocks of its lengths take" {
    ends 0 bench --suite paged --cache contiguous,paged:1,paged:4,paged:16,paged:64 --batch 1 --reps 1 --time 0 --seed 5 --verbose \
        --out run
    rows run <<'PY'
def length(i, longest, seed=5):
    mask = 2**64 - 1
    z = seed + (i + 1) * 0x9e3779b97f4a7c15 & mask
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9 & mask
    z = (z ^ z >> 27) * 0x94d049bb133111eb & mask
    return math.ceil(longest * 8 ** ((((z ^ z >> 31) >> 11) * 2.0**-53) - 1))
loads = {r['cache']: r for r in rows if r['held_sequences']}
assert list(sorted(loads)) == ['contiguous', 'paged:1', 'paged:16', 'paged:4', 'paged:64'], loads.keys()
longest = int(loads['contiguous']['context_tokens'])
token = int(loads['contiguous']['kv_reserved_bytes']) / 8 / longest
for cache, r in loads.items():
    assert (r['status'], r['path'], r['batch'], r['repetition'], r['ttpt_ms']) == ('ok', 'cached', '8', '1', ''), r
    block = int(cache.partition(':')[2] or longest)
    free, n, live = 8 * longest // block, 0, 0
    while n < 64 and (cache != 'contiguous' or n < 8) and math.ceil(length(n, longest) / block) <= free:
        free -= math.ceil(length(n, longest) / block)
        live += length(n, longest)
        n += 1
    assert int(r['held_sequences']) == n, (cache, r['held_sequences'], n)
    assert int(r['kv_live_bytes']) == live * token, (cache, r['kv_live_bytes'], live * token)
    assert 8 * longest * token <= int(r['kv_reserved_bytes']), r
assert int(loads['paged:1']['held_sequences']) >= int(loads['paged:16']['held_sequences']) > 8
PY
    says='paged: in the room of 8 sequences of up to 64 positions a contiguous cache holds 8 of mixed lengths'
    counts 4 "$says" "$out"
}

@test "keys and values in types of their own are an arm" {
    ends 0 bench --suite batch --batch 2 --new 4 --reps 1 --path cached --kv int8,int8/int4,int4/int8 --out run
    rows run <<'PYTHON'
assert sorted(r['kv'] for r in rows) == ['int4/int8', 'int8', 'int8/int4'], rows
assert all('/kv-%s/' % r['kv'] in r['cell'] and r['gate'] == 'lossy' for r in rows)
live = {r['kv']: int(r['kv_live_bytes']) for r in rows}
assert live['int4/int8'] < live['int8'] and len({r['logit_difference'] for r in rows}) == 3, live
PYTHON
    for wrong in int8/int8,int8 int8/x /int8 int8/int4/f32; do
        ends 2 bench --kv $wrong --out other
        has "$err" "'$wrong' has an unknown or repeated name; choose from f32, bf16, int8, int4, or two of them as KEYS/VALUES"
    done
    ends 2 "$program" evaluate --text text --kv int9/int4
    has "$err" "'int9/int4' is not one of f32, bf16, int8, int4, or two of them as KEYS/VALUES"
}

@test "speculation is held against plain steps, each sequence on its own piece of the text" {
    ends 0 "$program" bench --model kjv --suite speculate --speculate none,lookup:3,draft:kjv-draft:2 --batch 2 --new 24 \
        --reps 2 --threads 1 --out run --verbose
    has "$out" 'Suite speculate: 64 prompt tokens, 24 new tokens' 'speed, × plain' 'speculate: at batch 2 drafts by kjv-draft'
    rows run <<'PY'
in_rounds(rows, 2, lambda r: r['batch'])
assert {r['speculate'] for r in rows} == {'none', 'lookup:3', 'draft:kjv-draft:2'}
for r in rows:
    # of every sequence against its own prompt's: they differ, and another one's would be far off
    assert r['status'] == 'ok' and r['gate'] == 'exact' and float(r['logit_difference']) < 1e-4, r
    speculates = r['speculate'] != 'none'
    assert all((r[name] != '') == speculates for name in ('step_tokens', 'acceptance', 'draft_ms', 'verify_ms')), r
    assert not speculates or (float(r['step_tokens']) >= 1 and 0 <= float(r['acceptance']) <= 1), r
assert float(next(r for r in rows if r['speculate'].startswith('draft'))['acceptance']) > 0.4 # the text means something
PY
    ends 0 "$program" bench --model gpt2-medium --synthetic --suite speculate --dry-run
    has "$out" 'speculate lookup:8'
    lacks "$out" draft
}

@test "suites with a time of their own take no more unless told" {
    while read -r minutes options; do
        # shellcheck disable=SC2086 # several options
        ends 0 "$program" bench --model gpt2 --synthetic --dry-run --suite $options
        has "$out" "it will take $minutes minutes"
    done <<'END'
1.8 overflow
3.7 paged,overflow
14.0 overflow,batch
1.7 overflow --quick
END
}

@test "copying with edits: a text that is given, the same for all that drafts" {
    ends 0 "$program" bench --model kjv --suite copy --speculate none,lookup:4 --batch 2 --reps 2 --threads 1 --out run --verbose
    has "$out" 'Suite copy: 64 prompt tokens, 65 new tokens' 'edit every' \
        'copy: on a text that is given, the prompt again with an edit every 32 tokens, at batch 2 lookups of up to 4'
    rows run <<'PY'
in_rounds(rows, 2, lambda r: r['batch'])
for r in rows:
    assert r['status'] == 'ok' and r['gate'] == 'exact' and float(r['logit_difference']) < 1e-4, r
    assert r['edit_every'] == '32' and r['suite'] == 'copy', r
    if r['speculate'] != 'none': # the same in each round: it is the task's
        assert float(r['step_tokens']) > 2 and float(r['acceptance']) > 0.5, r
assert len({r['acceptance'] for r in rows}) == 2
PY
    ends 0 "$program" bench --model gpt2-medium --synthetic --suite copy --dry-run
    has "$out" 'speculate lookup:8'
}

@test "texts that suite quality refuses" {
    echo short >text
    ends 2 "$program" bench --suite quality --model gpt2 --text text --out run
    has "$err" 'no text means anything to the synthetic weights of gpt2'
    ends 1 "$program" bench --suite quality --model kjv --text text --out run
    has "$err" 'a text of 6 tokens is too short for contexts of 256'
}

@test "names are listed without weights or files" {
    ends 0 "$program" bench --suite batch --batch 1,4 --benchmark_list_tests
    is "$err" ''
    counts 4 '' "$out"
    counts 1 batch/naive/batch:1/prompt:21/new:50/ "$out"
    ends 0 "$program" bench --suite batch --batch 1,4 --benchmark_list_tests '--benchmark_filter=naive.*:4'
    counts 1 '' "$out"
    counts 1 batch/naive/batch:4/ "$out"
    holds 0
}

@test "a filter, and the file of --benchmark_out" {
    ends 0 bench --suite batch --batch 1,4 --new 4 --reps 2 --out run --benchmark_filter=cached \
        --benchmark_out=out.json --benchmark_out_format=json
    rows run <<'PY'
rows = [r for r in rows if r['status'] == 'ok']
assert [r['path'] for r in rows] == 4 * ['cached']
with open('../out.json', encoding='utf-8') as file:
    out = json.load(file)
assert isinstance(out['context'], dict)
assert [b['name'].split('/')[:3] for b in out['benchmarks']] == [['batch', 'cached', f'batch:{r["batch"]}'] for r in rows]
for b, r in zip(out['benchmarks'], rows):
    assert b['run_type'] == 'iteration'
    near(b['real_time'], float(r['e2e_ms']))
    near(b['ttft_ms'], float(r['ttft_ms']))
PY
}

@test "the end is ten lines at most, and --verbose tells the rest of the same run" {
    ends 0 bench --suite batch --batch 1,2 --new 8 --reps 6 --time 0 --threads 1 --out run --quiet
    [[ $(grep -c . <<<"$out$err") -le 10 ]]
    has "$out" 'What was found' $'\nThe machine was ' $'\nFiles: run' $'\nNext: '
    counts 3 '- ' "$out"
    lacks "$out" 'Suite batch' skipped
    ends 0 bench --resume run --quiet --verbose
    has "$out" 'Suite batch' 'Files in run'
    # what the time was not enough for is one line, and the door adds one that names the page
    ends 0 bench --suite batch --batch 1 --new 4 --precision 0.01% --time 4s --threads 1 --out short --quiet
    [[ $(grep -c . <<<"$out$err") -le 9 ]]
    counts 1 'note: ' "$err"
    has "$err" 'note: 0:04 were not enough: ' '; give it more --time'
    ends 0 bench --suite batch --batch 1 --time 0.001s --threads 1 --out nothing --quiet
    has "$out" 'Nothing was measured (of '
    has "$err" 'were not enough: nothing was measured'
    ends 0 bench --suite kernels --quick --reps 1 --threads 1 --out kernels --quiet --benchmark_filter=c_attn.*rows:8/
    # OpenBLAS has no sanitizers, and is then faster than probes that have them: such a row has no share of the limit
    "$program" info | grep -q sanitizers || counts 1 '- kernels: the fastest is matmul' "$out"
}

# ---- The results folder

@test "results/latest leads to the last run" {
    export KVBENCH_RESULTS=$box/kept/here
    for i in 1 2; do
        ends 0 bench --suite batch --batch 1 --new 2 --reps 1 --quiet --verbose
        counts "$(grep -c '' <<<"$err")" 'kvbench bench: warning: ' "$err"
        has "$out" cached
        target=$(readlink kept/here/latest)
        lacks "$target" /
        [[ $target != "${first-}" ]]
        first=$target
        is "$(sed -n 2p kept/here/latest/runs.csv | cut -d, -f1)" "$target"
        sleep 1.05 # until the id differs
    done
    holds 1
}

# ---- Runs that end early

# has_rows N FOLDER: its runs.csv has so many, beside those that the machine stalled.
has_rows() {
    [[ -e $2/runs.csv && $(grep -vc ',stalled,' "$2/runs.csv") -gt $1 ]]
}

# interrupts SIGNAL N FOLDER: sends it to a long run that has N rows.
interrupts() {
    start "$program" bench --model "$tiny" --suite batch --batch 8 --new 40 --reps 1000 --threads 1 --quiet --out "$3"
    soon has_rows "$2" "$3"
    kill "-$1" "$child"
}

whole_rows() {
    rows "$1" <<PY
assert $2 <= len(rows) < 2000 and {r['status'] for r in rows} == {'ok'}
for i, r in enumerate(rows):
    assert (r['round'], r['place'], r['repetition']) == (str(1 + i // 2), str(1 + i % 2), str(1 + i // 2))
PY
}

@test "a run that is told to stop ends with whole rows and its context" {
    for signal in INT TERM; do
        interrupts "$signal" 3 "$signal"
        finishes 1
        counts 1 'kvbench bench: stopped; ' "$err"
        whole_rows "$signal" 3
        rows "$signal" <<<"assert isinstance(context['run']['end'], str)"
    done
}

@test "a run that is killed leaves whole rows" {
    for n in 1 8; do
        interrupts KILL "$n" "run$n"
        finishes 137
        whole_rows "run$n" "$n"
    done
}

@test "--require-steady ends with 3 where nothing says that the machine was steady, and keeps what was measured" {
    ends 3 bench --suite batch --batch 1 --new 2 --reps 1 --path cached --require-steady --out ungraded
    has "$err" '--require-steady: the machine was not graded: fewer than 6 repetitions with probes'
    rows ungraded <<'PY'
assert [r['status'] for r in rows] == ['ok']
PY
}
