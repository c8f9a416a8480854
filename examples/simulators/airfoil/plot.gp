# gnuplot -e "run='FOLDER'" plot.gp: draws what curves.sh left in FOLDER.
set terminal pngcairo size 1000,720 font "sans,11"
set output run."/airfoil.png"
set multiplot
set grid linecolor rgb "#dddddd"
set style line 1 linewidth 2 linecolor rgb "#888888" pointtype 7 pointsize 0.6
set style line 2 linewidth 2 linecolor rgb "#0060ad" pointtype 7 pointsize 0.6
set key top right

set origin 0, 0.62
set size 1, 0.38
set lmargin 9
set size ratio -1
set xrange [-0.02:1.02]
set yrange [-0.07:0.13]
set ytics 0.05
set xlabel "chord"
plot run."/before.shape" with lines linestyle 1 title "before", \
     run."/after.shape" with lines linestyle 2 title "after"

set origin 0, 0
set size noratio
set size 1, 0.6
set autoscale
set key top left
set xrange [0:1.05]
set yrange [40:*]
set ytics autofreq
set xlabel "lift coefficient"
set ylabel "drag coefficient / 0.0001"
do for [lift in "0.3 0.5 0.7"] { set arrow from lift, 40 to lift, graph 1 nohead dashtype 3 linecolor rgb "#888888" }
plot run."/before.polar" with linespoints linestyle 1 title "before", \
     run."/after.polar" with linespoints linestyle 2 title "after"
