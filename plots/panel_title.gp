# call "panel_title.gp" TITLE UNIT
# Above the panel that is drawn next, with the scale that axis.gp chose. Label 101.
set label 101 "{/:Bold ".ARG1."}  ".ARG2.scale_note at graph 0,graph 1 offset screen 0,screen 17.0 / height \
    textcolor rgb ink
