# call "dashboard_frame.gp" FOLDER
# What the pictures of kvbench dashboard share: what it left in FOLDER with --tables, colours, what is said of a step.
folder = ARG1
load folder."/view"
call "animation.gp" folder 960 600 60
set datafile nocolumnheaders
unused = "#f2f2f2"

# From orange (-limit) over white to blue, in steps: a palette of gnuplot's would use up the 256 colours of a GIF.
mixed(channel, orange, blue, share) = int(255 + share * (share < 0 ? 255 - orange : blue - 255) + 0.5) << channel
between(share) = mixed(16, 0xb3, 0x00, share) + mixed(8, 0x5f, 0x72, share) + mixed(0, 0x00, 0xb2, share)
step_towards(share) = floor((share < -1 ? -1 : share > 1 ? 1 : share) * 12 + 0.5) / 12.0
shade(value, limit) = between(step_towards(value / limit))

# Whole pixels to each of n cells, as far as they go.
whole(pixels, n) = n > pixels ? pixels : pixels / n * n

array token[n_positions + 1]
stats folder."/tokens" using (token[int($1) + 1] = strcol(2), 0) nooutput
weights_in_words = weights[1:10] eq "synthetic:" ? "Synthetic weights, seed ".weights[11:*] : "Weights: ".weights

# A cache in fewer bits comes with the weights that a float32 cache gives, each a black mark at the end of its bar.
fewer_bits = kv ne ""
slash = strstrt(kv, "/")
keys_kept = slash ? kv[1:slash - 1] : kv
values_kept = slash ? kv[slash + 1:*] : kv
marks_in_words = "Black marks: a float32 cache's weights for the same tokens."

title_font = font("DejaVu Sans:Bold", 14)
bold_font = font("DejaVu Sans:Bold", 9)

# Step `step` puts position newest(step) into the cache; its token, and the one after it that is then generated.
newest(step) = n_prompt + step - 2
token_at(position) = cut(token[position + 1], 14)
counted_steps(step) = sprintf("step %d of %d  →  token %s", step, n_steps, token_at(newest(step) + 1))
story(step) = step == 1 ? \
    sprintf("The prompt fills the cache; the query of its last token, %s, meets %s.", \
    token_at(newest(step)), n_prompt == 1 ? "its own key" : sprintf("all %d keys", n_prompt)) : \
    sprintf("Token %s, just generated, joins the cache at position %d; its query meets all %d keys.", \
    token_at(newest(step)), newest(step), newest(step) + 1)

# The first token often takes nearly all: its weight is written, and its bar ends with the panel.
bar_limit = largest * 1.04 < 1 ? largest * 1.04 : 1.0
bar_end(weight) = weight > bar_limit ? bar_limit : weight
bar_colour(position) = position == 0 ? 0x888888 : 0x0072b2
