"""How well Penchant finds, measured by questions whose answers are known: `penchant eval`.

datasets, public_sets, question_file     what is stored and asked
front_door, in_process                   a daemon on a data directory of its own; the same without a socket
baselines                                grep, FTS5, vectors and their fusion on the same texts
protocol, measures                       what is asked how, and what an answer is worth
recall                                   a whole run, from data set to result
report, drawing, plot                    the result as a table, JSON and a picture
"""
