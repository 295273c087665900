# load "runs.gp"
# What the figures that draw paths share: the paths of runs.csv, and the configuration in words.

shortened(name) = strlen(name) > 40 ? "…".name[strlen(name) - 38:*] : name
choose(row) = (chosen = 1, model = shortened(strcol("model")), weights = strcol("weights_source"), gemm = strcol("gemm"), \
    isa = strcol("isa"), threads = strcol("threads"), prompt_tokens = strcol("prompt_tokens"), \
    new_tokens = strcol("new_tokens"), batch = strcol("batch"))

# `present` has the paths that are drawn; in `paths` the first two keep their line styles when a run lacks one of them.
paths = " naive cached"
present = ""
note(path) = (paths = with_word(paths, path), present = with_word(present, path))
has_path(path) = strstrt(present." ", " ".path." ") > 0
style_of(path) = line_style(index_in(paths, path))

chosen = 0
stats rows."/runs.csv" using (chosen ? "" : choose(0), note(strcol("path"))) nooutput

weights_in_words = weights[1:10] eq "synthetic:" ? "synthetic weights (seed ".weights[11:*].")" : weights." weights"
known(text, words) = text eq "" ? "" : ", ".words
setting = weights_in_words.known(threads, counted(threads, "thread")).known(gemm, gemm).known(isa, isa)
workload = "prompt of ".counted(prompt_tokens, "token").", ".new_tokens." new"
