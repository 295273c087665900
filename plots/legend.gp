# call "legend.gp" BEFORE
# The arms, with BEFORE in front of each name.
before_arm = ARG1
do for [i = 1:n_arms] {
    legend_text = before_arm.arm[i]
    legend_style = style_of(i)
    call "legend_entry.gp" legend_style legend_text
}
