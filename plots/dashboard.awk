# Checks a CSV file of kvbench dashboard as a whole and lays it out for gnuplot.
#
#   awk -f csv.awk -f sort.awk -f dashboard.awk <FILE
#
# The working folder gets, separated by tabs: tokens (position, label), attention.STEP (for every panel a block of
# position and weight), and where one head of one layer was recorded query.STEP, key.STEP and value.STEP (position,
# dimension and number of what that step computed). Standard output gets what holds for the whole picture, as
# assignments for gnuplot. The first thing that is wrong is one line on standard output, and exit status 1.

BEGIN {
    FS = "\n"
    n_panels = 0
    n_columns = split("step kind layer head position dimension value token text", columns, " ")
    whole = "^[0-9]+$"
    number = "^[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?$"
    # which columns a row of that kind fills with numbers
    needs["model"] = needs["weights"] = ""
    needs["token"] = "step position token"
    needs["query"] = needs["key"] = needs["value"] = "step layer head position dimension value"
    needs["attention"] = "step layer head position value"
}

function fail(where, message)
{
    print where ": " message
    failed = 1
    exit 1
}

function check_header(n,    i)
{
    for (i = 1; i <= n; i++)
        column[field[i]] = i
    for (i = 1; i <= n_columns; i++)
        if (!(columns[i] in column))
            fail(":1", "the header has no column " columns[i] "; give a file that kvbench dashboard wrote")
}

function get(name)
{
    return field[column[name]]
}

function check_row(    kind, names, n, i)
{
    kind = get("kind")
    if (!(kind in needs))
        fail(":" NR, "kind is " shown(kind) ", which is not known")
    n = split(needs[kind], names, " ")
    for (i = 1; i <= n; i++)
        if (get(names[i]) !~ (names[i] == "value" ? number : whole))
            fail(":" NR, names[i] " is " shown(get(names[i])) ", which is not a " \
                (names[i] == "value" ? "" : "whole ") "number")
}

function note_panel(layer, head)
{
    if ((layer, head) in panel_of)
        return
    panel_of[layer, head] = n_panels
    layer_of[n_panels] = layer
    head_of[n_panels++] = head
    if (layer != layer_of[0])
        by_layer = 1
}

function note_row(    kind, position)
{
    kind = get("kind")
    position = get("position") + 0
    if (kind == "model" || kind == "weights") {
        about[kind] = get("text")
        sub(/\/+$/, "", about[kind])
        sub(/.*\//, "", about[kind])
    } else if (kind == "token") {
        label[position] = get("text")
        n_tokens++
        n_prompt += get("step") == 0
    } else if (kind == "attention") {
        note_panel(get("layer"), get("head"))
        weight[panel_of[get("layer"), get("head")], get("step") + 0, position] = get("value")
    } else {
        detailed = 1
        vector[kind, position, get("dimension") + 0] = get("value")
        if (get("dimension") >= head_size)
            head_size = get("dimension") + 1
    }
}

function write_vectors(kind, step, first, last, numbers, n,    t, d, file)
{
    file = kind "." step
    for (t = first; t <= last; t++)
        for (d = 0; d < head_size; d++) {
            if (!((kind, t, d) in vector))
                fail("", "the " kind " of position " t " has no dimension " d)
            print t "\t" d "\t" vector[kind, t, d] >file
            numbers[++n] = vector[kind, t, d] + 0
        }
    close(file)
    return n
}

function distance(value)
{
    return value < 0 ? -value : value
}

# The colours reach as far on both sides as the 5th or the 95th percentile, whichever is farther from 0.
function write_kind(kind, n_steps,    step, newest, numbers, n, low, high)
{
    n = 0
    for (step = 1; step <= n_steps; step++) {
        newest = n_prompt + step - 2
        n = write_vectors(kind, step, kind != "query" && step == 1 ? 0 : newest, newest, numbers, n)
    }
    sort_numbers(numbers, n)
    low = distance(quantile(numbers, n, 0.05))
    high = distance(quantile(numbers, n, 0.95))
    high = high < low ? low : high
    print kind "_limit = " (high > 0 ? high : 1)
}

function write_attention(step,    panel, t, file, value)
{
    file = "attention." step
    for (panel = 0; panel < n_panels; panel++) {
        for (t = 0; t < n_prompt + step - 1; t++) {
            if (!((panel, step, t) in weight))
                fail("", "layer " layer_of[panel] ", head " head_of[panel] " has no attention weight of step " step \
                    ", position " t)
            value = weight[panel, step, t]
            print t "\t" value >file
            if (t > 0 && value + 0 > largest)
                largest = value + 0
        }
        printf "\n\n" >file
    }
    close(file)
}

function assign(name, value)
{
    gsub(/[[:cntrl:]]/, "?", value)
    gsub(/'/, "''", value)
    print name " = '" value "'"
}

function write_all(    n_positions, n_steps, t, step, panel, names)
{
    n_steps = n_tokens - n_prompt
    n_positions = n_tokens - 1
    for (t = 0; t < n_tokens; t++) {
        if (!(t in label))
            fail("", "there is no token of position " t)
        gsub(/[[:cntrl:]]/, "?", label[t])
        gsub(/"/, "”", label[t]) # gnuplot takes quotes away
        print t "\t" label[t] >"tokens"
    }
    for (step = 1; step <= n_steps; step++)
        write_attention(step)
    print "n_prompt = " n_prompt "; n_steps = " n_steps "; n_positions = " n_positions "; n_panels = " n_panels
    print "largest = " (largest > 0 ? largest : 1) "; by_layer = " by_layer + 0 "; head_size = " head_size + 0
    if (detailed) {
        write_kind("query", n_steps)
        write_kind("key", n_steps)
        write_kind("value", n_steps)
    }
    for (panel = 0; panel < n_panels; panel++)
        names = names " " (by_layer ? layer_of[panel] : head_of[panel])
    assign("panels", substr(names, 2))
    assign("layer", layer_of[0])
    assign("head", head_of[0])
    assign("model", about["model"])
    assign("weights", about["weights"])
}

{ sub(/\r$/, "") }

NR == 1 {
    n_fields = split_record($0, field)
    check_header(n_fields)
    next
}

{
    n = split_record($0, field)
    if (n != n_fields)
        fail(":" NR, n ? n " fields where the header has " n_fields : "a quoted field does not end")
    check_row()
    note_row()
}

END {
    if (failed)
        exit 1
    if (NR == 0)
        fail("", "the file is empty; record again with ./kvbench dashboard")
    if (n_prompt < 1 || n_tokens <= n_prompt || n_panels < 1)
        fail("", "no step is in it; record again with ./kvbench dashboard")
    write_all()
}
