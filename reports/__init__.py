"""Reports: store -> tables, figures, one page. They read the store and nothing else, and print no pasted number.

A file of this folder that defines `FAMILY` is one family of tables and figures, found by its file name: adding a
report is adding a file. The others are what families share: `scores` reads the store, `ranking` holds the
statistics as pure functions of arrays, `tables`, `latex`, `terminal`, `drawing` and `page` write.
"""
