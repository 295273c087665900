# What the figures drawn from runs.csv share: the paths, one configuration, and its words for the title.

# Rows of another configuration than the first are counted and not drawn: a median over both would describe neither.
configuration(row) = strcol("model")."|".strcol("weights")."|".strcol("gemm")."|".strcol("isa")."|". \
    strcol("threads")."|".strcol("prompt_tokens")."|".strcol("new_tokens")
shortened(name) = strlen(name) > 40 ? "…".name[strlen(name) - 38:*] : name
choose(row) = (chosen = configuration(row), model = shortened(strcol("model")), weights = strcol("weights"), \
    gemm = strcol("gemm"), isa = strcol("isa"), threads = strcol("threads"), \
    prompt_tokens = strcol("prompt_tokens"), new_tokens = strcol("new_tokens"))
drawn(row) = configuration(row) eq chosen

# `present` has the paths that are drawn; in `paths` the first two keep their line styles when a run lacks one of them.
with_name(list, name) = strstrt(" ".list." ", " ".name." ") ? list : list." ".name
paths = "naive cached"
present = ""
note(path) = (paths = with_name(paths, path), present = with_name(present, path))

chosen = ""
other_rows = 0
stats rows using (chosen eq "" ? choose(0) : "", drawn(0) ? note(strcol("path")) : "", \
    other_rows = other_rows + !drawn(0)) nooutput

counted(n, noun) = n." ".noun.(n eq "1" ? "" : "s")
weights_in_words = weights[1:10] eq "synthetic:" ? "synthetic weights (seed ".weights[11:*].")" : weights." weights"
known(text, words) = text eq "" ? "" : ", ".words
setting = weights_in_words.known(threads, counted(threads, "thread")).known(gemm, gemm).known(isa, isa)
workload = "prompt of ".counted(prompt_tokens, "token").", ".new_tokens." new"

# Over all medians so far (medians.gp).
fewest = 1e9
most = 0
repetitions(row) = fewest == most ? sprintf("n = %d", most) : sprintf("n = %d to %d", fewest, most)
rows_left_out(n, why) = n > 0 ? "  Left out: ".counted(sprintf("%d", n), "row").why : ""
footnote(row) = (most == 1 ? "Points: one repetition (n = 1), so no interval." : \
    "Points: median of the repetitions (".repetitions(0)."). Bars: smallest to largest."). \
    rows_left_out(left_out, " that did not end ok.").rows_left_out(other_rows, " of another configuration.")
